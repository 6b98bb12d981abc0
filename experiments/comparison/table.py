"""All detectors on the same held-out rows: figures with cluster-bootstrap intervals, differences paired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.records import DetectorSummary, ScoreRow, TargetRow
from experiments.records.comparison import DetectorEntry, Figure, KindFigure
from probes import Comparison, brier, cluster_bootstrap, expected_calibration_error, interval, threshold_at
from probes.arrays import Array, Bools

MIN_NEGATIVES_FOR_1PCT = 300


@dataclass(frozen=True)
class Held:
    """One detector's held-out scores, aligned with the target's rows; NaN where it has none.

    Attributes:
        offset: what thresholds within kind × direction are taken above.
    """

    summary: DetectorSummary
    scores: Array
    offset: Array
    probability: Array
    fold: NDArray[np.intp]

    @property
    def is_judge(self) -> bool:
        """A verdict, which has no threshold to move."""
        return self.summary.family == "judge" and set(np.unique(self.scores)) <= {0.0, 0.5, 1.0}

    def flags(self, rate: float, within: bool = True) -> Bools | None:
        """Rows above the threshold that ``rate`` of the training negatives exceed, fold by fold; None without any.

        Args:
            within: scores are taken relative to the training negatives of their kind and direction, so that a base
                rate alone raises no flag; else one threshold serves all kinds.
        """
        summary = self.summary
        lists = summary.training_residuals if within and summary.training_residuals else summary.training_negatives
        if not lists:
            return None
        scores = self.scores - self.offset if within else self.scores
        result = np.zeros(len(scores), dtype=bool)
        for k, negatives in enumerate(lists):
            rows = self.fold == k
            result[rows] = scores[rows] > threshold_at(np.array(negatives), rate)
        return result


@dataclass(frozen=True)
class Subset:
    """Rows that detectors are scored on: positives against negatives."""

    rows: NDArray[np.intp]
    positive: Bools
    strata: tuple[str, ...]
    groups: tuple[str, ...]
    weights: Array
    aurocs: dict[tuple[str, bool], tuple[float, Array]] = field(default_factory=dict, repr=False)

    @property
    def n_positive(self) -> int:
        """Number of positives."""
        return int(self.positive.sum())


def align(target: Sequence[TargetRow], rows: Sequence[ScoreRow], summary: DetectorSummary) -> Held:
    """Order a detector's scores as the target's rows are."""
    by_id = {row.rollout_id: row for row in rows if row.detector == summary.name}
    own = [by_id.get(row.rollout_id) for row in target]
    return Held(
        summary,
        np.array([np.nan if row is None else row.score for row in own]),
        np.array([0.0 if row is None else row.offset for row in own]),
        np.array([np.nan if row is None else row.probability for row in own]),
        np.array([row.fold for row in target], dtype=np.intp),
    )


def subset(target: Sequence[TargetRow], keep: Bools, n_resamples: int, rng: np.random.Generator) -> Subset:
    """The rows that ``keep`` marks, compared within kind × direction."""
    rows = np.flatnonzero(keep)
    chosen = [target[int(i)] for i in rows]
    return Subset(
        rows,
        np.array([row.positive for row in chosen], dtype=bool),
        tuple(row.stratum for row in chosen),
        tuple(row.group for row in chosen),
        cluster_bootstrap([row.group for row in chosen], n_resamples, rng) if chosen else np.zeros((n_resamples, 0)),
    )


def refusal(within: Subset, min_groups: int) -> str | None:
    """Why no AUROC is given for these rows: one class, or too few groups of one; None where there is a figure."""
    for value, name in ((True, "positive"), (False, "negative")):
        n = len({group for group, positive in zip(within.groups, within.positive, strict=True) if positive == value})
        if n < min_groups:
            return f"{n} groups with {name} rows, and {min_groups} are needed (compare.min_groups)"
    return None


def figure(point: float, samples: Array) -> Figure:
    """A value with its interval; None where undefined."""
    if not np.isfinite(point):
        return Figure()
    low, high = interval(samples) or (None, None)
    return Figure(value=float(point), low=low, high=high)


def _auroc(held: Held, within: Subset, by_stratum: bool = True) -> tuple[float, Array]:
    """AUROC over pairs of one outer fold (and one stratum), as a point and per resample.

    Rows without a score are left out. Figures are kept: differences take the same ones again and again.
    """
    key = (held.summary.name, by_stratum)
    if key not in within.aurocs:
        within.aurocs[key] = auroc_on(held.scores, held.fold, within, by_stratum)
    return within.aurocs[key]


def auroc_on(scores: Array, fold: NDArray[np.intp], within: Subset, by_stratum: bool = True) -> tuple[float, Array]:
    """AUROC of every row's scores on some of the rows, as a point and per resample; rows without a score are left out.

    Args:
        scores, fold: of every row of the target; scores are compared within a fold (and a stratum) only.
    """
    known = np.flatnonzero(np.isfinite(scores[within.rows]))
    rows = within.rows[known]
    strata = [f"{fold[row]}/{within.strata[i] if by_stratum else ''}" for i, row in zip(known, rows, strict=True)]
    pairs = Comparison.of(within.positive[known], strata)
    own = scores[rows]
    return float(pairs.auroc(own)[0]), pairs.auroc(own, within.weights[:, known])


def _share(flags: Bools, among: Bools, weights: Array) -> Figure:
    """Share of flagged rows among some, with its interval."""
    if not among.any():
        return figure(np.nan, np.zeros(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        samples = (weights @ (flags & among)) / (weights @ among.astype(float))
    return figure(float(flags[among].mean()), samples)


def detector_entry(held: Held, within: Subset, judge_rate: float | None) -> DetectorEntry:
    """One line of the detector table.

    Args:
        judge_rate: the judge's realised false-positive rate, at which recall is also given.
    """
    point, samples = _auroc(held, within)
    pooled, pooled_samples = _auroc(held, within, by_stratum=False)
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
    return DetectorEntry(
        family=summary.family,
        reads=summary.reads,
        auroc=figure(point, samples),
        auroc_pooled=figure(pooled, pooled_samples),
        **recalls,
        brier=brier(probability, positive) if both else None,
        ece=expected_calibration_error(probability, positive) if both else None,
        seconds_per_row=summary.seconds_per_row,
        forwards_per_row=summary.forwards_per_row,
        chosen=summary.chosen,
        **_nulls(summary, float(point) if np.isfinite(point) else None),
    )


def _nulls(summary: DetectorSummary, auroc: float | None) -> dict[str, Any]:
    """What the searches on permuted labels and on control tasks found, beside the detector's own AUROC."""
    control = float(np.mean(summary.control_task_aurocs)) if summary.control_task_aurocs else None
    return {
        "null_aurocs": summary.null_aurocs,
        "stratum_only_aurocs": summary.stratum_only_aurocs,
        "p_null": p_value(auroc, summary.null_aurocs),
        "p_best_cell": p_value(max(summary.validation.values(), default=None), summary.null_best_validation),
        "control_task_auroc": control,
        "selectivity": auroc - control if control is not None and auroc is not None else None,
    }


def _recall(name: str, flags: Bools | None, within: Subset) -> dict[str, Figure | None]:
    """Recall at a threshold, and the rate of false positives that it has on these rows."""
    if flags is None:
        return {f"recall_at_{name}": None, f"realised_fpr_at_{name}": None}
    own = flags[within.rows]
    return {
        f"recall_at_{name}": _share(own, within.positive, within.weights),
        f"realised_fpr_at_{name}": _share(own, ~within.positive, within.weights),
    }


def difference(first: Held, second: Held, within: Subset) -> Figure:
    """Paired difference of two AUROCs on the same resamples."""
    a, a_samples = _auroc(first, within)
    b, b_samples = _auroc(second, within)
    return figure(a - b, a_samples - b_samples)


def realised_rate(judge: Held, within: Subset) -> float | None:
    """Share of the negatives that a judge calls reliant."""
    if not judge.is_judge:
        return None
    negatives = judge.scores[within.rows][~within.positive]
    return float((negatives > 0.5).mean()) if len(negatives) else None


def of_kinds(target: Sequence[TargetRow], within: Subset) -> dict[str, Subset]:
    """The rows of each kind of hint apart, on the same resamples."""
    kinds = np.array([target[int(i)].kind for i in within.rows])
    found = {}
    for kind in sorted(set(kinds.tolist())):
        at = np.flatnonzero(kinds == kind)
        found[kind] = Subset(
            within.rows[at], within.positive[at], tuple(within.strata[i] for i in at),
            tuple(within.groups[i] for i in at), within.weights[:, at],
        )  # fmt: skip
    return found


def by_kind(held: Held, target: Sequence[TargetRow], within: Subset, min_groups: int) -> dict[str, KindFigure]:
    """AUROC for each kind of hint alone, within direction; a kind of one class or of few groups is refused by name."""
    found = {}
    for kind, part in of_kinds(target, within).items():
        reason = refusal(part, min_groups)
        found[kind] = KindFigure(auroc=None if reason else figure(*_auroc(held, part)), refused=reason)
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
            "auroc_minus_judge": difference(held, helds[judge], within) if judge in helds and name != judge else None,
        }
        entries[name] = detector_entry(held, within, rate).model_copy(update=beside)
    return entries
