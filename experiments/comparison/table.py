"""All detectors on the same held-out rows: figures with intervals over groups, differences paired."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from experiments.comparison.held import Held, Subset
from experiments.comparison.metrics import METRICS
from experiments.records import DetectorSummary, TargetRow
from experiments.records.detector_tables import Basis, DetectorEntry, KindFigure
from experiments.records.parts import Figure
from probes import (
    DIFFERENCE,
    SHARE,
    AurocEstimate,
    Limits,
    StratifiedPairs,
    auroc_estimate,
    plain_interval,
)
from probes import difference as paired
from probes.arrays import Array, Bools
from probes.contrast import fold_strata
from probes.estimates import Estimate

MIN_NEGATIVES_FOR_1PCT = 300


def refusal(within: Subset, min_groups: int) -> str | None:
    """Why no AUROC is given for these rows: one class, or too few groups of one; None where there is a figure."""
    for value, name in ((True, "positive"), (False, "negative")):
        n = len({group for group, positive in zip(within.groups, within.positive, strict=True) if positive == value})
        if n < min_groups:
            return f"{n} groups with {name} rows, and {min_groups} are needed (compare.min_groups)"
    return None


def figure(found: Estimate) -> Figure:
    """A value with its interval; None where undefined."""
    return Figure(value=found.value, low=found.low, high=found.high) if np.isfinite(found.value) else Figure()


def estimate(held: Held, within: Subset, by_stratum: bool = True) -> AurocEstimate:
    """AUROC over pairs of one outer fold (and one stratum), averaged over drawings, with what its chance is made of.

    Rows without a score are left out. Estimates are kept: differences take the same ones again and again.
    """
    key = (held.summary.name, by_stratum)
    if key not in within.aurocs:
        scores = np.stack([held.scores, *held.more])
        folds = np.stack([held.fold, *held.more_folds])
        within.aurocs[key] = estimate_on(scores, folds, within, by_stratum, held.summary.trained)
    return within.aurocs[key]


def estimate_on(
    scores: Float[np.ndarray, "drawing row"],
    folds: Int[np.ndarray, "drawing row"],
    within: Subset,
    by_stratum: bool = True,
    trained: bool = True,
) -> AurocEstimate:
    """The same of every row's scores on some of the rows.

    Args:
        scores, folds: of every row of the target; scores are compared within a fold (and a stratum) only.
    """
    strata = within.strata if by_stratum else ("",) * len(within.rows)
    return auroc_estimate(scores[:, within.rows], folds[:, within.rows], within.positive, strata, trained)


def auroc_figure(found: AurocEstimate, within: Subset) -> Figure:
    """An AUROC with its interval; None where undefined, no interval where a class has few groups."""
    return _with_bounds(found.value, found.interval(within.group_codes, within.positive) if len(within.rows) else None)


def _with_bounds(value: float, bounds: tuple[float, float] | None) -> Figure:
    if not np.isfinite(value):
        return Figure()
    low, high = bounds or (None, None)
    return Figure(value=float(value), low=low, high=high)


def detector_entry(held: Held, within: Subset, judge_rate: float | None) -> DetectorEntry:
    """One line of the detector table.

    Args:
        judge_rate: the judge's realised false-positive rate, at which recall is also given.
    """
    auroc = auroc_figure(estimate(held, within), within)
    summary = held.summary
    enough = min((len(n) for n in summary.training_negatives), default=0) >= MIN_NEGATIVES_FOR_1PCT
    recalls: dict[str, Any] = {}
    rates: dict[str, float | None] = {"1pct": 0.01 if enough else None, "5pct": 0.05, "judge_fpr": judge_rate}
    for name, rate in rates.items():
        flags = held.flags(rate) if rate is not None else None
        if name == "judge_fpr" and rate is not None and held.is_judge:
            flags = held.scores > 0.5  # at its own rate a judge is its verdict
        recalls |= _recall(name, flags, within)
    recalls |= _recall("5pct_pooled", held.flags(0.05, within=False), within)
    known = np.isfinite(held.probability[within.rows])
    positive = within.positive[known]
    both = 0 < positive.sum() < len(positive)
    probability = held.probability[within.rows][known]
    metrics = {name: metric(probability, positive) for name, metric in METRICS.items()} if both else {}
    return DetectorEntry(
        family=summary.family,
        reads=summary.reads,
        sees=summary.sees,
        labels=summary.labels,
        auroc=auroc,
        basis=basis(held, within),
        auroc_pooled=auroc_figure(estimate(held, within, by_stratum=False), within),
        **recalls,
        brier=metrics.get("brier"),
        ece=metrics.get("ece"),
        ece_null=metrics.get("ece_null"),
        metrics=metrics,
        seconds_per_row=summary.seconds_per_row,
        forwards_per_row=summary.forwards_per_row,
        chosen=summary.chosen,
        **_nulls(summary, auroc.value),
    )


def _nulls(summary: DetectorSummary, auroc: float | None) -> dict[str, Any]:
    """What the searches on permuted labels and on control tasks found, beside the detector's own AUROC."""
    control = float(np.mean(summary.control_task_aurocs)) if summary.control_task_aurocs else None
    return {
        "null_aurocs": summary.null_aurocs,
        "stratum_only_aurocs": summary.stratum_only_aurocs,
        "null_statistic": summary.null_statistic,
        "p_null": p_value(summary.null_statistic, summary.null_aurocs),
        "p_best_cell": p_value(summary.null_best_statistic, summary.null_best_validation),
        "control_task_auroc": control,
        "selectivity": auroc - control if control is not None and auroc is not None else None,
    }


def _recall(name: str, flags: Bools | None, within: Subset) -> dict[str, Figure | None]:
    """Recall at a threshold, and the rate of false positives that it has, on rows of strata that hold both classes."""
    if flags is None:
        return {f"recall_at_{name}": None, f"realised_fpr_at_{name}": None}
    own, positive, comparable = flags[within.rows].astype(float), within.positive, within.comparable
    return {
        f"recall_at_{name}": _mean_of(own, positive & comparable, within, SHARE),
        f"realised_fpr_at_{name}": _mean_of(own, ~positive & comparable, within, SHARE),
    }


def basis(held: Held, within: Subset) -> Basis:
    """Rows and pairs that a detector's figures rest on, in the first drawing of the folds."""
    scored = np.isfinite(held.scores[within.rows])
    strata = fold_strata(held.fold[within.rows], within.strata)
    pairs = StratifiedPairs.of(within.positive[scored], [s for s, known in zip(strata, scored, strict=True) if known])
    comparable = within.comparable
    return Basis(
        rows=len(within.rows),
        rows_used=pairs.n_used,
        pairs=within.n_positive * (len(within.rows) - within.n_positive),
        pairs_used=pairs.n_pairs,
        recall_positives=int((within.positive & comparable).sum()),
        recall_negatives=int((~within.positive & comparable).sum()),
        strata=len(set(within.strata)),
        strata_used=len({name for name, used in zip(within.strata, comparable, strict=True) if used}),
    )


def gap(first: Held, second: Held, within: Subset) -> AurocEstimate:
    """Paired difference of two AUROCs."""
    return paired(estimate(first, within), estimate(second, within))


def difference(first: Held, second: Held, within: Subset) -> Figure:
    """The same with its interval."""
    found = gap(first, second, within)
    return _with_bounds(found.value, plain_interval(found, within.group_codes, within.positive))


def against_judge(held: Held, judge: Held, within: Subset) -> dict[str, Any]:
    """A detector against a judge at the judge's own false-positive rate, paired by row.

    In each outer fold the detector's threshold lets through as many training negatives as the judge calls reliant, so
    both stand at one rate, fixed without the rows that are compared. Where the judge is graded and has no rate of its
    own, that rate is 5% for both.

    Returns:
        ``recall_minus_judge``, ``fpr_minus_judge``, and ``ahead_of_judge``: True where the first interval lies above
        zero and the second does not, False where the first lies below zero, None where neither can be said.
    """
    nothing: dict[str, Any] = {"recall_minus_judge": None, "fpr_minus_judge": None, "ahead_of_judge": None}
    if not judge.summary.training_negatives or not held.summary.training_negatives:
        return nothing
    rates = [
        float((np.array(own) > 0.5).mean()) if judge.is_judge else 0.05 for own in judge.summary.training_negatives
    ]
    mine, theirs = held.flags(rates), (judge.scores > 0.5 if judge.is_judge else judge.flags(0.05))
    if mine is None or theirs is None:
        return nothing
    lead, comparable = mine[within.rows].astype(float) - theirs[within.rows], within.comparable
    recall, rate = (
        _mean_of(lead, among & comparable, within, DIFFERENCE) for among in (within.positive, ~within.positive)
    )
    ahead = None
    if recall.low is not None and recall.high is not None and rate.low is not None:
        if recall.low > 0 and rate.low <= 0:
            ahead = True
        elif recall.high < 0:
            ahead = False
    return {"recall_minus_judge": recall, "fpr_minus_judge": rate, "ahead_of_judge": ahead}


def _mean_of(values: Array, among: Bools, within: Subset, limits: Limits) -> Figure:
    """Mean over some rows with its cluster-bootstrap interval."""
    return figure(within.bootstrap.ratio(values * among, among.astype(float), limits))


def realised_rate(judge: Held, within: Subset) -> float | None:
    """Share of the negatives of comparable strata that a judge calls reliant."""
    if not judge.is_judge:
        return None
    negatives = judge.scores[within.rows][~within.positive & within.comparable]
    return float((negatives > 0.5).mean()) if len(negatives) else None


def of_kinds(target: Sequence[TargetRow], within: Subset) -> dict[str, Subset]:
    """The rows of each kind of hint apart, on the same resamples."""
    kinds = np.array([target[int(i)].kind for i in within.rows])
    found = {}
    for kind in sorted(set(kinds.tolist())):
        at = np.flatnonzero(kinds == kind)
        found[kind] = Subset(
            within.rows[at], within.positive[at], tuple(within.strata[i] for i in at),
            tuple(within.groups[i] for i in at), within.bootstrap.take(at),
        )  # fmt: skip
    return found


def by_kind(held: Held, target: Sequence[TargetRow], within: Subset, min_groups: int) -> dict[str, KindFigure]:
    """AUROC for each kind of hint alone, within direction; a kind of one class or of few groups is refused by name."""
    found = {}
    for kind, part in of_kinds(target, within).items():
        reason = refusal(part, min_groups)
        found[kind] = KindFigure(auroc=None if reason else auroc_figure(estimate(held, part), part), refused=reason)
    return found


def p_value(observed: float | None, null: Sequence[float]) -> float | None:
    """Share of null figures that reach the observed one, the observed counted in; None without a null."""
    if observed is None or not null:
        return None
    return (1 + sum(value >= observed for value in null)) / (1 + len(null))


def table(
    helds: Mapping[str, Held], within: Subset, judge: str, target: Sequence[TargetRow] = (), min_groups: int = 1
) -> dict[str, DetectorEntry]:
    """The detector table on one subset of the rows.

    Args:
        judge: detector at whose false-positive rate recall is also given.
        target: rows of the target, to give a figure for each kind of hint.
        min_groups: fewest groups of each class in a kind that has a figure.
    """
    rate = realised_rate(helds[judge], within) if judge in helds else None
    entries = {}
    for name, held in helds.items():
        beside = {
            "by_kind": by_kind(held, target, within, min_groups) if target else {},
            **(against_judge(held, helds[judge], within) if judge in helds and name != judge else {}),
        }
        entries[name] = detector_entry(held, within, rate).model_copy(update=beside)
    return entries
