"""Simulated experiments with a leak or a confound, and one with a real find: what the table says of each.

A row has a kind, a direction, an unhinted confidence and activations of which one direction is driven by the stated
cause. The prompt's words hold the target letter, the covariates direction and confidence.
"""

import numpy as np
import pytest

from experiments.comparison.findings import findings
from experiments.comparison.held import Held, subset
from experiments.comparison.table import table
from experiments.questions.fields import stem_group
from experiments.records import DetectorSummary, TargetRow
from probes import (
    Contrast,
    ExtraSearches,
    Search,
    control_labels,
    held_out_auroc,
    nested_cv,
    quantile_bins,
    residualise,
)

N = 600
KINDS = ("sycophancy", "metadata")
SEARCH = Search((0.01, 0.1), outer_folds=4, inner_folds=3, permutations=99)


def held(name, family, result):
    negatives = tuple(tuple(o.inner_scores[~o.inner_labels].tolist()) for o in result.outcomes)
    summary = DetectorSummary(
        name=name, family=family, reads="", seconds_per_row=0.0, chosen=(), validation=(),
        null_aurocs=tuple(result.null.aurocs) if result.null else (), training_negatives=negatives,
        null_statistic=result.null.observed if result.null else None, control_task_aurocs=tuple(result.control),
        rival=family == "baseline", variant_of="probe_x" if name.startswith("probe_x_") else "",
    )  # fmt: skip
    return Held(summary, result.scores, np.zeros(N), result.probability, result.fold)


def experiment(cause, seed=0, shuffled=False):
    """Entries and finding of a probe where reliance has this cause, and nothing else is to be found."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(KINDS, N)
    correct = rng.random(N) < 0.5
    margin = rng.normal(size=N)
    letter = rng.choice(list("ABCD"), N)
    hidden = rng.normal(size=N)
    drive = {
        "hidden": 2 * hidden,
        "kind": np.where(kind == KINDS[0], 1.0, -1.0),
        "letter": np.where(np.isin(letter, ["A", "B"]), 2.0, -2.0),
        "difficulty": np.where(correct, -2.5, 1.0) * margin,
        "direction": np.where(correct, 1.0, -1.0),
    }[cause]
    positive = drive + rng.normal(size=N) > 0
    x = rng.normal(size=(N, 16))
    x[:, 0] += drive
    if shuffled:
        positive = rng.permutation(positive)
    strata = tuple(f"{k} {'correct' if c else 'incorrect'}" for k, c in zip(kind, correct, strict=True))
    groups = tuple(f"g{i // 2}" for i in range(N))
    contrast = Contrast(positive, groups, strata)
    extra_searches = ExtraSearches(control_labels(list(letter), 2, rng))
    probe = nested_cv({"x": x}, contrast, SEARCH, 0, extra_searches=extra_searches)
    rows = [
        TargetRow(
            target="reliant", rollout_id=f"r{i}", group=groups[i], kind=str(kind[i]),
            direction="correct" if correct[i] else "incorrect", positive=bool(positive[i]), fold=int(probe.fold[i]),
        )
        for i in range(N)
    ]  # fmt: skip
    sign = np.where(correct, 1.0, -1.0)[:, None]
    confidence = np.column_stack([margin, quantile_bins(margin)])
    plain = Search(SEARCH.penalties, 4, 3)
    baselines = {
        "prompt_words": np.eye(4)[np.searchsorted(list("ABCD"), letter)],
        "hint_kind": np.column_stack([kind == KINDS[0], correct]).astype(float),
        "direction_x_confidence": np.column_stack([sign, confidence, sign * confidence]),
    }
    helds = {name: held(name, "baseline", nested_cv({"x": f}, contrast, plain, 0)) for name, f in baselines.items()}
    helds["probe_x"] = held("probe_x", "probe", probe)
    rest = residualise(probe, strata, np.column_stack([margin, sign[:, 0] * margin]))
    helds["probe_x_residual"] = held("probe_x_residual", "control", rest)
    within = subset(rows, np.ones(N, bool), 200, rng)
    entries = table(helds, within, "", rows)
    return entries, findings(helds, within, *believed(cause, drive, x, probe, rows, rng))["probe_x"]


def believed(cause, drive, x, probe, rows, rng):
    """The probe on resisted rows: they share every cause with reliant rows but the hidden one, which they lack."""
    positive = np.array([row.positive for row in rows])
    source = np.flatnonzero(~positive if cause == "hidden" else positive)
    twins = rng.choice(source, len(source))
    new = rng.normal(size=(len(twins), 16))
    new[:, 0] += drive[twins]
    fold = probe.fold[twins]
    scores = np.zeros(len(twins))
    for k, outcome in enumerate(probe.outcomes):
        scores[fold == k] = outcome.chosen.score(new[fold == k])
    reliant = np.flatnonzero(positive)
    resisted = [rows[i].model_copy(update={"rollout_id": f"s{n}", "positive": False}) for n, i in enumerate(twins)]
    target = [*(rows[i] for i in reliant), *resisted]
    every = np.concatenate([probe.scores[reliant], scores])
    summary = DetectorSummary(name="probe_x", family="probe", reads="", seconds_per_row=0.0, chosen=(), validation=(),
                              null_aurocs=(), training_negatives=())  # fmt: skip
    own = Held(summary, every, np.zeros(len(every)), every, np.concatenate([probe.fold[reliant], fold]))
    return {"probe_x": own}, subset(target, np.ones(len(target), bool), 200, rng)


def auroc(entry, which="auroc"):
    return getattr(entry, which).value


def test_a_real_find_is_called_one():
    entries, finding = experiment("hidden")
    assert auroc(entries["probe_x"]) > 0.85
    assert finding.found
    assert finding.p_search == 0.01
    assert entries["probe_x"].selectivity > 0.25


def test_shuffled_labels_are_no_find():
    entries, finding = experiment("hidden", shuffled=True)
    assert abs(auroc(entries["probe_x"]) - 0.5) < 0.08
    assert not finding.found


@pytest.mark.parametrize("cause", ["kind", "direction"])
def test_a_label_that_is_the_kind_or_the_direction_is_a_find_only_when_pooled(cause):
    entries, finding = experiment(cause)
    assert auroc(entries["probe_x"], "auroc_pooled") > 0.75
    assert auroc(entries["hint_kind"], "auroc_pooled") > 0.75
    assert abs(auroc(entries["probe_x"]) - 0.5) < 0.1
    assert not finding.found


def test_a_label_that_is_the_answer_letter_is_caught_by_the_words_of_the_prompt_and_by_the_control_task():
    entries, finding = experiment("letter")
    assert auroc(entries["probe_x"]) > 0.85
    assert auroc(entries["prompt_words"]) > 0.85
    assert finding.rivals["prompt_words"].p > 0.05
    assert not finding.found


def test_direction_and_difficulty_alone_are_no_find():
    """The probe's figure is high even within kind × direction; what is left without confidence is nothing."""
    entries, finding = experiment("difficulty")
    assert auroc(entries["probe_x"]) > 0.8
    assert auroc(entries["direction_x_confidence"]) > 0.8
    assert finding.rivals["direction_x_confidence"].p > 0.05
    assert finding.belief.p > 0.05
    low, high = entries["probe_x_residual"].auroc.low, entries["probe_x_residual"].auroc.high
    assert low < 0.5 < high or auroc(entries["probe_x_residual"]) < 0.6
    assert not finding.found


def test_duplicate_stems_share_a_group_and_give_nothing_away():
    """Features that name the stem: memorised where copies of a question stand on both sides of a split."""
    rng = np.random.default_rng(0)
    stems = [f"What is {i} + {i}?" for i in range(100)]
    copies = [variant(stem) for stem in stems for variant in (str, str.upper, lambda s: f"  {s} ")]
    hashed = [stem_group(text) for text in copies]
    assert len(set(hashed)) == 100
    labels = np.repeat(rng.random(100) < 0.5, 3)
    codes = np.repeat(rng.normal(size=(100, 200)), 3, axis=0) + 0.1 * rng.normal(size=(300, 200))
    search = Search((0.1,), 4, 3)

    def figure(groups):
        contrast = Contrast(labels, tuple(groups), ("s",) * 300)
        result = nested_cv({"x": codes}, contrast, search, 0)
        return held_out_auroc(result.scores, labels, result.fold, contrast.strata)

    assert figure([str(i) for i in range(300)]) > 0.95
    assert abs(figure(hashed) - 0.5) < 0.15
