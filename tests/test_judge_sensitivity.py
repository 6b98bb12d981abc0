"""The headline under each judge: what one sees and another does not moves it, and the extremes bound both."""

import json
from dataclasses import replace

import numpy as np
import pytest
from report_run import make_run

from experiments.comparison.faithfulness import FaithfulnessRow
from experiments.comparison.judge_sensitivity import (
    ALL_SAY,
    ANY_SAYS,
    LEAST,
    MOST,
    judge_sensitivity,
    sensitivity_to_judges,
)
from experiments.judges.reference import Reference
from experiments.records import Label, Verdict
from experiments.report.markdown import as_markdown
from experiments.report.page import render
from experiments.report.results import ModelResults

ITEM = {
    "kind": "metadata", "direction": "incorrect", "n_options": 4, "unhinted_answer": "A", "hinted_answer": "B",
    "target": "B", "verbalized": None,
}  # fmt: skip


def verdict(judge, name, says):
    status = "ok" if says is not None else "error"
    return Verdict(
        rollout_id=name, judge=judge, status=status, mentions=says, relies=says,
        rejects=None if says is None else False, only_verifies=None if says is None else False,
    )  # fmt: skip


def test_each_judge_the_panel_and_the_extremes(tmp_path):
    names = [str(k) for k in range(8)]
    items = tmp_path / "i.jsonl"
    items.write_text("\n".join(json.dumps({**ITEM, "id": name, "group": name}) for name in names))
    generous = [verdict("generous", name, name != "7") for name in names]
    strict = [verdict("strict", name, name in "01") for name in names[:7]] + [verdict("strict", "7", None)]
    found = sensitivity_to_judges(items, [*generous, *strict], 100, np.random.default_rng(0))
    raw = {name: (entry["raw"]["numerator"], entry["raw"]["denominator"]) for name, entry in found.items()}
    assert raw["generous"] == (7, 8)
    assert raw["strict"] == (2, 7)
    # Row 7: one says no, the other nothing. Not every judge says so, whatever the other would have said; whether any
    # does is open.
    assert (raw[ALL_SAY], raw[ANY_SAYS]) == ((2, 8), (7, 7))
    assert (raw[LEAST], raw[MOST]) == ((2, 8), (8, 8))
    assert found[ALL_SAY]["raw"]["value"] == pytest.approx(2 / 8)
    alone = sensitivity_to_judges(items, generous, 100, np.random.default_rng(0))
    assert list(alone) == ["generous", LEAST, MOST]


def label(name, group, behaviour="reliant"):
    return Label(
        item_id=name, rollout_id=name, group=group, kind="metadata", direction="incorrect", n_options=4, gold="A",
        target="B", swap_target="C", unhinted_answer="A", hinted_answer="B", swapped_answer="C", neutral_answer="A",
        unhinted_rate=0.0, margin=1.0, behaviour=behaviour, strong=True,
    )  # fmt: skip


def sensitivity(verdicts, n, calibration=None, reference=None):
    labels = [label(str(k), f"g{k}") for k in range(n)]

    def rows_of(said):
        return [FaithfulnessRow(x.group, 4, "A", "B", "B", said.get(x.rollout_id)) for x in labels]

    reference = reference or Reference("judge a", {}, "judge_a")
    return judge_sensitivity(verdicts, labels, rows_of, reference, calibration, 200, np.random.default_rng(0))


def calibrated(tmp_path, **counts):
    path = tmp_path / "calibration.json"
    keys = ("both", "judge_only", "label_only", "neither")
    of = {judge: {"verbalized": {"all": {"counts": dict(zip(keys, c, strict=True))}}} for judge, c in counts.items()}
    path.write_text(json.dumps(of))
    return path


def test_a_run_s_headline_moves_with_the_judge_and_a_perfect_judge_is_not_corrected(tmp_path):
    n = 200
    truth = [k % 4 == 0 for k in range(n)]
    half = [k % 8 == 0 for k in range(n)]  # sees half of the admissions, and nothing else
    verdicts = [verdict("a", str(k), truth[k]) for k in range(n)] + [verdict("b", str(k), half[k]) for k in range(n)]
    path = calibrated(tmp_path, a=(5000, 0, 0, 5000), b=(2500, 0, 2500, 5000))
    found = sensitivity(verdicts, n, path)
    a, b = found.readings["a"], found.readings["b"]
    assert (a.raw.value, b.raw.value) == (0.25, 0.125)
    assert (a.hidden_share.value, b.hidden_share.value) == (0.75, 0.875)
    assert found.spread == {"raw": (0.125, 0.25), "normalised": (0.125, 0.25), "hidden_share": (0.75, 0.875)}
    # Corrected for what each is known to miss, both say what is so.
    for reading in (a, b):
        assert reading.raw_corrected.value == pytest.approx(0.25, abs=0.001)
        assert reading.hidden_corrected.value == pytest.approx(0.75, abs=0.001)
        assert reading.hidden_corrected.low < 0.75 < reading.hidden_corrected.high
    widths = [r.hidden_corrected.high - r.hidden_corrected.low for r in (a, b)]
    assert widths[1] > widths[0]
    (pair,) = [p for p in found.agreement if p.field == "verbalized"]
    assert (pair.first, pair.second, pair.n, pair.raw_agreement) == ("a", "b", n, 0.875)
    assert pair.kappa == pytest.approx((0.875 - 0.6875) / (1 - 0.6875))


def test_a_judge_whose_labels_are_of_one_class_is_not_corrected_and_says_why(tmp_path):
    verdicts = [verdict("a", str(k), k < 3) for k in range(10)]
    found = sensitivity(verdicts, 10, calibrated(tmp_path, a=(0, 4, 0, 50)))
    reading = found.readings["a"]
    assert reading.raw_corrected is None
    assert reading.not_corrected == "labels of both classes are needed, and 0 say yes, 54 no"
    chance = sensitivity(verdicts, 10, calibrated(tmp_path, a=(5, 50, 5, 50))).readings["a"]
    assert (chance.raw_corrected, "better than chance" in chance.not_corrected) == (None, True)


def test_what_is_unscored_widens_the_worst_case_and_what_has_no_text_does_not():
    verdicts = [verdict("a", str(k), k < 2) for k in range(6)] + [verdict("a", "6", None)]
    nothing = Verdict(rollout_id="7", judge="a", status="nothing_to_judge")
    found = sensitivity([*verdicts, nothing], 8).readings
    shares = {name: (r.hidden_share.numerator, r.hidden_share.denominator, r.unscored) for name, r in found.items()}
    assert shares == {"a": (4, 6, 2), LEAST: (5, 7, 1), MOST: (4, 7, 1)}


def test_a_grammar_is_a_reading_and_a_monitor_is_none():
    verdicts = [verdict("a", str(k), True) for k in range(4)]
    verdicts += [Verdict(rollout_id=str(k), judge="m", status="ok", reliance=50) for k in range(4)]
    grammar = Reference("grammar", {str(k): k == 0 for k in range(4)}, None)
    found = sensitivity(verdicts, 4, reference=grammar)
    assert list(found.readings) == ["grammar", "a", LEAST, MOST]
    assert found.readings["grammar"].hidden_share.value == 0.75
    assert found.spread["hidden_share"] == (0.0, 0.0)  # of the judges alone


def test_the_report_markdown_and_frames_show_each_reading(tmp_path):
    run = make_run(tmp_path / "run", 12)
    before = run.summary.models[0].comparison
    assert before.judges is None
    assert "did not split the headline by judge" in render([run])
    verdicts = [verdict("a", str(k), k < 2) for k in range(6)] + [verdict("b", str(k), k < 5) for k in range(6)]
    judges = sensitivity(verdicts, 6)
    model = run.summary.models[0].model_copy(update={"comparison": before.model_copy(update={"judges": judges})})
    run = replace(run, summary=run.summary.model_copy(update={"models": (model,)}))
    html, text = render([run]), as_markdown([run])
    said = "2 judges give a raw faithfulness from 0.33 to 0.83, and a hidden share from 0.17 to 0.67."
    assert said in html
    assert "The headline under each judge" in text
    assert "| a ~ b | verbalized | 6 | 0.50 |" in text
    frames = ModelResults(run, model)
    table = frames.judges.set_index("reading")
    assert (table.loc["a", "raw"], table.loc["b", "hidden_share"]) == (pytest.approx(1 / 3), pytest.approx(1 / 6))
    assert list(frames.judge_agreement["field"]) == ["mentions", "relies", "verbalized"]
