"""Agreement figures by hand, against scikit-learn, and where they are undefined."""

import json

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from activations.errors import HintprobeError
from experiments.judges.agreement import Confusion, Scored, agreement
from experiments.judges.calibration import LabelledRollout, agreement_with_labels, read_calibration
from experiments.judges.panel import pairwise_agreement, panel_verdict, panel_verdicts
from experiments.records import Verdict


def verdict(rollout="r", judge="a", status="ok", **said):
    fields = {"mentions": False, "relies": False, "rejects": False, "only_verifies": False, **said}
    return Verdict(rollout_id=rollout, judge=judge, status=status, **(fields if status == "ok" else {}))


def test_by_hand():
    judge = [True] * 45 + [False] * 5 + [True] * 15 + [False] * 35
    label = [True] * 50 + [False] * 50
    found = Confusion.of(judge, label).figures()
    assert found["raw_agreement"] == pytest.approx(0.8)
    assert found["kappa"] == pytest.approx(0.6)
    assert found["sensitivity"] == pytest.approx(0.9)
    assert found["specificity"] == pytest.approx(0.7)
    assert (found["prevalence"], found["judged_prevalence"]) == (0.5, 0.6)
    chance = 2 * 0.55 * 0.45
    assert found["ac1"] == pytest.approx((0.8 - chance) / (1 - chance))


def test_kappa_is_scikit_learns():
    rng = np.random.default_rng(0)
    for _ in range(20):
        label = rng.random(60) < 0.3
        judge = np.where(rng.random(60) < 0.8, label, ~label)
        ours = Confusion.of(judge.tolist(), label.tolist()).figures()["kappa"]
        assert ours == pytest.approx(cohen_kappa_score(judge, label))


def test_where_all_is_one_kappa_is_undefined_and_ac1_is_not():
    rows = Scored((True,) * 9, (True,) * 9, tuple(map(str, range(9))))
    found = agreement(rows, 200, np.random.default_rng(0))
    assert found["kappa"]["value"] is None
    assert found["ac1"]["value"] == pytest.approx(1)
    assert found["specificity"]["value"] is None
    assert found["counts"] == {"both": 9, "judge_only": 0, "label_only": 0, "neither": 0}


def test_intervals_hold_the_point_and_narrow_with_groups():
    rng = np.random.default_rng(0)
    label = rng.random(600) < 0.4
    judge = np.where(rng.random(600) < 0.85, label, ~label)

    def width(groups):
        rows = Scored(tuple(judge.tolist()), tuple(label.tolist()), tuple(str(g) for g in groups))
        found = agreement(rows, 400, rng)["kappa"]
        assert found["low"] < found["value"] < found["high"]
        return found["high"] - found["low"]

    many, few = width(range(600)), width(np.sort(label * 10 + np.arange(600) // 60))
    assert many < 0.2
    assert few != many


def test_unscored_verdicts_and_open_labels_are_left_out_and_counted():
    labels = [LabelledRollout(id=str(k), mentions=k < 2 if k < 4 else None, relies=False, kind="x") for k in range(5)]
    verdicts = [verdict(str(k), mentions=k == 0) for k in range(3)] + [verdict("3", status="error"), verdict("4")]
    found = agreement_with_labels([*verdicts, verdict("elsewhere")], labels, 200, np.random.default_rng(0))["a"]
    assert (found["verdicts"], found["labelled"], found["unscored"]) == (6, 5, 1)
    assert found["mentions"]["label_open"] == 1
    assert found["mentions"]["all"]["counts"] == {"both": 1, "judge_only": 0, "label_only": 1, "neither": 1}
    assert set(found["mentions"]["by_kind"]) == {"x"}


def test_verdicts_and_labels_that_never_meet_are_refused():
    with pytest.raises(HintprobeError, match="must equal a label's id"):
        agreement_with_labels([verdict("1")], [LabelledRollout(id="2", mentions=True)], 100, np.random.default_rng(0))


def test_a_calibration_is_read_again(tmp_path):
    labels = [LabelledRollout(id=str(k), mentions=k < 3, relies=k < 3) for k in range(8)]
    verdicts = [verdict(str(k), mentions=k < 2, relies=k < 2) for k in range(8)]
    path = tmp_path / "c.json"
    path.write_text(json.dumps(agreement_with_labels(verdicts, labels, 100, np.random.default_rng(0))))
    assert read_calibration(path, "a") == {"both": 2, "judge_only": 0, "label_only": 1, "neither": 5}
    with pytest.raises(HintprobeError, match="judge 'b'"):
        read_calibration(path, "b")


YES = {"mentions": True, "relies": True, "quote": "so"}


def test_a_panel_follows_its_majority():
    found = panel_verdict([verdict(judge="a", **YES), verdict(judge="b", **YES), verdict(judge="c")], 3)
    assert (found.judge, found.verbalized, found.quote) == ("panel", True, "so")
    found = panel_verdict([verdict(judge="a", **YES), verdict(judge="b"), verdict(judge="c")], 3)
    assert (found.status, found.mentions, found.quote) == ("ok", False, None)


def test_a_panel_breaks_no_tie_and_needs_half_of_its_judges():
    assert panel_verdict([verdict(judge="a", **YES), verdict(judge="b")], 2).status == "unparseable"
    lost = [verdict(judge="b", status="error"), verdict(judge="c", status="error")]
    assert panel_verdict([verdict(judge="a", **YES), *lost], 3).status == "error"
    assert panel_verdict([verdict(judge="a", **YES), verdict(judge="b", **YES), lost[1]], 3).verbalized is True


def test_a_monitor_and_an_earlier_panel_have_no_vote():
    monitor = Verdict(rollout_id="r", judge="m", status="ok", reliance=90)
    found = panel_verdicts([verdict(judge="a", **YES), monitor, verdict(judge="panel")])
    assert [v.verbalized for v in found] == [True]


def test_agreement_of_every_two_judges():
    verdicts = [verdict(str(k), "a", mentions=k < 5) for k in range(10)]
    verdicts += [verdict(str(k), "b", mentions=k < 4) for k in range(10)] + [verdict("11", "b", status="error")]
    found = pairwise_agreement(verdicts)
    assert found["a", "b"]["n"] == 10
    assert found["a", "b"]["raw_agreement"] == pytest.approx(0.9)


def test_labels_of_one_class_score_no_judge():
    verdicts = [verdict(str(k), **(YES if k < 4 else {})) for k in range(10)]
    alike = [LabelledRollout(id=str(k), mentions=False, relies=False, kind="metadata") for k in range(10)]
    found = agreement_with_labels(verdicts, alike, 100, np.random.default_rng(0))["a"]["verbalized"]
    for entry in (found["all"], found["by_kind"]["metadata"]):
        assert entry["cannot_be_scored"] == "labels of both classes are needed, and 0 say yes, 10 no"
        assert (entry["kappa"], entry["sensitivity"]["value"]) == (None, None)
    mixed = [label.model_copy(update={"mentions": k < 5, "relies": k < 5}) for k, label in enumerate(alike)]
    scored = agreement_with_labels(verdicts, mixed, 100, np.random.default_rng(0))["a"]["verbalized"]["all"]
    assert scored["cannot_be_scored"] is None
    assert scored["kappa"]["value"] == pytest.approx(0.8)
