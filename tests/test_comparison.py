"""The detector table on simulated detectors whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.comparison.findings import findings, strata_account
from experiments.comparison.held import align, subset
from experiments.comparison.table import difference, realised_rate, refusal, table
from experiments.records import DetectorSummary, ScoreRow, TargetRow
from experiments.records.parts import Figure

KINDS = ("sycophancy", "metadata")


def make_target(n, rng, share=0.5):
    """Rows of two kinds and two directions; ``share`` of them positive, or a share per kind."""
    rows = []
    for i in range(n):
        of_kind = share if isinstance(share, float) else share[i % 2]
        rows.append(
            TargetRow(
                target="reliant", rollout_id=f"r{i}", group=f"g{i // 2}", kind=KINDS[i % 2],
                direction="correct" if i % 4 < 2 else "incorrect", positive=bool(rng.random() < of_kind), fold=i % 5,
            )
        )  # fmt: skip
    return rows


def make_held(name, scores, target, family="probe", n_folds=5, **more):
    fold = np.array([row.fold for row in target])
    positive = np.array([row.positive for row in target])
    strata = np.array([row.stratum for row in target])
    offset = np.zeros(len(target))
    residuals = []
    for k in range(n_folds):
        means = {s: scores[(fold != k) & ~positive & (strata == s)].mean() for s in set(strata)}
        offset[fold == k] = [means[s] for s in strata[fold == k]]
        train = (fold != k) & ~positive
        residuals.append(tuple(scores[train] - np.array([means[s] for s in strata[train]])))
    summary = DetectorSummary(
        name=name, family=family, reads="", seconds_per_row=0.0, chosen=(), validation=(), null_aurocs=(),
        training_negatives=tuple(tuple(scores[(fold != k) & ~positive]) for k in range(n_folds)),
        training_residuals=tuple(residuals),
    ).model_copy(update=more)  # fmt: skip
    rows = [
        ScoreRow(
            detector=name,
            rollout_id=row.rollout_id,
            fold=row.fold,
            score=float(s),
            offset=float(o),
            probability=float(1 / (1 + np.exp(-s))),
        )
        for row, s, o in zip(target, scores, offset, strict=True)
    ]
    return align(target, rows[::-1], summary)


@pytest.fixture(scope="module")
def contest():
    rng = np.random.default_rng(0)
    target = make_target(800, rng)
    positive = np.array([row.positive for row in target])
    strong = make_held("probe", positive * 3 + rng.normal(size=800), target)
    weak = make_held("weak", positive * 0.5 + rng.normal(size=800), target)
    noise = make_held("noise", rng.normal(size=800), target)
    said = (positive & (rng.random(800) < 0.3)) | (~positive & (rng.random(800) < 0.03))
    judge = make_held("judge_x", said.astype(float), target, "judge")
    helds = {held.summary.name: held for held in (strong, weak, noise, judge)}
    within = subset(target, np.ones(800, bool), 500, rng)
    return target, helds, within, table(helds, within, "judge_x", target)


def test_order_and_chance(contest):
    _, _, _, entries = contest
    aurocs = {name: entry.auroc.value for name, entry in entries.items()}
    assert aurocs["probe"] > 0.97 > aurocs["weak"] > aurocs["noise"]
    low, high = entries["noise"].auroc.low, entries["noise"].auroc.high
    assert low < 0.5 < high


def test_recall_at_five_percent_is_what_the_normal_distribution_says(contest):
    entry = contest[3]["probe"]
    assert entry.recall_at_5pct.value == pytest.approx(0.91, abs=0.05)
    assert entry.realised_fpr_at_5pct.value == pytest.approx(0.05, abs=0.03)
    assert contest[3]["noise"].recall_at_5pct.value == pytest.approx(0.05, abs=0.04)


def test_at_its_own_rate_a_judge_is_its_verdict(contest):
    _, helds, within, entries = contest
    rate = realised_rate(helds["judge_x"], within)
    assert rate == pytest.approx(0.03, abs=0.02)
    assert entries["judge_x"].recall_at_judge_fpr.value == pytest.approx(0.3, abs=0.06)
    assert entries["judge_x"].realised_fpr_at_judge_fpr.value == pytest.approx(rate)
    assert entries["probe"].realised_fpr_at_judge_fpr.value == pytest.approx(rate, abs=0.03)


def test_one_percent_is_refused_under_300_negatives(contest):
    target, helds, _, entries = contest
    assert entries["probe"].recall_at_1pct is not None
    few = subset(target[:200], np.ones(200, bool), 100, np.random.default_rng(1))
    small = make_held("probe", helds["probe"].scores[:200], target[:200])
    assert table({"probe": small}, few, "judge_x")["probe"].recall_at_1pct is None


def test_paired_differences_are_tighter_than_their_parts_and_see_the_truth(contest):
    _, helds, within, entries = contest
    gap = difference(helds["probe"], helds["noise"], within)
    assert gap.low > 0.3
    same = difference(helds["probe"], helds["probe"], within)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert entries["probe"].recall_minus_judge.low > 0.2


def test_an_empty_subset_gives_undefined_figures_not_numbers(contest):
    target, helds, _, _ = contest
    nobody = subset(target, np.zeros(len(target), bool), 100, np.random.default_rng(0))
    entry = table({"probe": helds["probe"]}, nobody, "judge_x")["probe"]
    assert entry.auroc == Figure()
    assert entry.recall_at_5pct.value is None


def test_a_kinds_base_rate_raises_no_recall_within_kinds_and_does_when_pooled():
    """A detector that knows the kind alone: half of the positives at 5% pooled, none of it its own merit."""
    rng = np.random.default_rng(0)
    target = make_target(800, rng, share=(0.9, 0.1))
    known = np.array([row.kind == KINDS[0] for row in target], dtype=float)
    held = make_held("hint_kind", known + 0.3 * rng.normal(size=800), target, "baseline")
    entry = table({"hint_kind": held}, subset(target, np.ones(800, bool), 200, rng), "judge_x")["hint_kind"]
    assert entry.auroc.low < 0.5 < entry.auroc.high
    assert entry.auroc_pooled.value > 0.85
    assert entry.recall_at_5pct.value < 0.1
    assert entry.realised_fpr_at_5pct.value == pytest.approx(0.05, abs=0.03)
    assert entry.recall_at_5pct_pooled.value > 0.2


def test_one_class_and_few_groups_are_refused_by_name():
    rng = np.random.default_rng(0)
    target = make_target(200, rng, share=(0.5, 1.0))
    within = subset(target, np.ones(200, bool), 100, rng)
    held = make_held("probe", rng.normal(size=200), [row.model_copy(update={"positive": i % 3 == 0})
                                                      for i, row in enumerate(target)])  # fmt: skip
    entry = table({"probe": held}, within, "", target, min_groups=5)["probe"]
    assert entry.by_kind[KINDS[0]].auroc.value is not None
    assert entry.by_kind[KINDS[1]].auroc is None
    assert entry.by_kind[KINDS[1]].refused == "0 groups with negative rows, and 5 are needed (compare.min_groups)"
    lopsided = [row.model_copy(update={"positive": i < 3}) for i, row in enumerate(target)]
    assert refusal(subset(lopsided, np.ones(200, bool), 100, rng), 5).startswith("2 groups with positive rows")
    named = {line.stratum: line.refused for line in strata_account(within)}
    assert named[f"{KINDS[1]} correct"] == "no negative row"
    assert named[f"{KINDS[0]} correct"] is None


def test_a_row_without_a_score_is_left_out_and_not_taken_for_a_low_one(contest):
    _, helds, within, entries = contest
    probe = helds["probe"]
    scores = probe.scores.copy()
    scores[::3] = np.nan
    partly = table({"probe": replace(probe, scores=scores)}, replace(within, aurocs={}), "judge_x")["probe"]
    assert partly.auroc.value == pytest.approx(entries["probe"].auroc.value, abs=0.02)


def test_a_finding_takes_the_search_every_rival_and_the_belief_matched_control():
    """The same probe stops being a finding when one part fails, and other baselines are no part of the rule."""
    rng = np.random.default_rng(0)
    target = make_target(400, rng)
    positive = np.array([row.positive for row in target])
    good = positive * 2 + rng.normal(size=400)
    null = {"null_aurocs": tuple(0.5 + 0.05 * rng.normal(size=99)), "null_statistic": 0.9}
    within = subset(target, np.ones(400, bool), 300, rng)

    def found(rival=None, is_rival=True, matched=good, **more):
        helds = {
            "probe_a": make_held("probe_a", good, target, **(null | more)),
            "probe_b": make_held("probe_b", rng.normal(size=400), target, null_statistic=0.5, null_aurocs=(0.5,) * 99),
            "words": make_held(
                "words", rng.normal(size=400) if rival is None else rival, target, "baseline", rival=is_rival
            ),
        }
        belief = {} if matched is None else {"probe_a": make_held("probe_a", matched, target)}
        return findings(helds, replace(within, aurocs={}), belief, replace(within, aurocs={}))["probe_a"]

    assert found().found
    assert found().p_holm == pytest.approx(2 * found().p)
    same = good + 0.01 * rng.normal(size=400)
    assert not found(rival=same).found
    assert found(rival=same, is_rival=False).found
    assert found(rival=same, is_rival=False).not_ahead == ("words",)
    assert not found(null_aurocs=(0.99,) * 99).found
    assert not found(null_aurocs=()).found
    assert not found(matched=rng.normal(size=400)).found
    assert found(matched=None).missing == ("belief-matched control",)


def test_a_better_judge_is_not_beaten_and_a_worse_one_is(contest):
    """Decided by recall at the judge's own rate: a binary verdict loses by AUROC to anything continuous."""
    target, _, within, entries = contest
    assert entries["probe"].ahead_of_judge is True
    assert entries["weak"].ahead_of_judge is not True
    rng = np.random.default_rng(3)
    positive = np.array([row.positive for row in target])
    said = (positive & (rng.random(800) < 0.95)) | (~positive & (rng.random(800) < 0.03))
    better = make_held("judge_y", said.astype(float), target, "judge")
    fair = make_held("fair", positive * 2.6 + rng.normal(size=800), target)
    found = table({"fair": fair, "judge_y": better}, replace(within, aurocs={}), "judge_y")["fair"]
    assert found.ahead_of_judge is False
    assert found.recall_minus_judge.high < 0
