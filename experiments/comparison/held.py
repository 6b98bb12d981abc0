"""Held-out scores aligned with the rows of a target, and the rows that detectors are scored on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from experiments.records import DetectorSummary, ScoreRow, TargetRow
from probes import (
    AurocEstimate,
    Bootstrap,
    cluster_bootstrap,
    threshold_at,
)
from probes.arrays import Array, Bools, RowIndices


@dataclass(frozen=True)
class Held:
    """One detector's held-out scores, aligned with the target's rows; NaN where it has none.

    Attributes:
        offset, spread: thresholds within kind × direction are taken on ``(score - offset) / spread``.
        more, more_folds: scores and outer folds of further drawings, ``[drawing, row]``.
    """

    summary: DetectorSummary
    scores: Array
    offset: Array
    probability: Array
    fold: RowIndices
    spread: Array = field(default_factory=lambda: np.ones(1))
    more: Float[np.ndarray, "drawing row"] = field(default_factory=lambda: np.zeros((0, 0)))
    more_folds: Int[np.ndarray, "drawing row"] = field(default_factory=lambda: np.zeros((0, 0), dtype=int))

    @property
    def is_judge(self) -> bool:
        """A verdict, which has no threshold to move."""
        return self.summary.family == "judge" and set(np.unique(self.scores)) <= {0.0, 0.5, 1.0}

    def flags(self, rate: float | Sequence[float], within: bool = True) -> Bools | None:
        """Rows above the threshold that ``rate`` of the training negatives exceed, fold by fold; None without any.

        Args:
            rate: one for all folds, or one for each.
            within: scores are taken relative to the training negatives of their kind and direction, so that a base
                rate alone raises no flag; else one threshold serves all kinds.
        """
        summary = self.summary
        lists = summary.training_residuals if within and summary.training_residuals else summary.training_negatives
        if not lists:
            return None
        rates = [rate] * len(lists) if isinstance(rate, (int, float)) else rate
        scores = (self.scores - self.offset) / self.spread if within else self.scores
        result = np.zeros(len(scores), dtype=bool)
        for k, negatives in enumerate(lists):
            rows = self.fold == k
            result[rows] = scores[rows] > threshold_at(np.array(negatives), rates[k])
        return result


@dataclass(frozen=True)
class Subset:
    """Rows that detectors are scored on: positives against negatives."""

    rows: RowIndices
    positive: Bools
    strata: tuple[str, ...]
    groups: tuple[str, ...]
    bootstrap: Bootstrap
    aurocs: dict[tuple[str, bool], AurocEstimate] = field(default_factory=dict, repr=False)

    @property
    def n_positive(self) -> int:
        """Number of positives."""
        return int(self.positive.sum())

    @property
    def comparable(self) -> Bools:
        """Rows of strata that hold both classes: only there does a flag tell anything."""
        names = np.asarray(self.strata, dtype=str)
        both = np.intersect1d(names[self.positive], names[~self.positive])
        return np.isin(names, both)

    @property
    def group_codes(self) -> RowIndices:
        """A number for each row's group."""
        codes: RowIndices = np.unique(np.asarray(self.groups, dtype=str), return_inverse=True)[1]
        return codes


def align(target: Sequence[TargetRow], rows: Sequence[ScoreRow], summary: DetectorSummary) -> Held:
    """Order a detector's scores as the target's rows are."""
    by_id = {row.rollout_id: row for row in rows if row.detector == summary.name}
    own = [by_id.get(row.rollout_id) for row in target]
    n_more = min((len(row.more) for row in own if row is not None), default=0)
    n_more = min(n_more, min((len(row.more_folds) for row in target), default=0))
    more = np.array([[np.nan] * n_more if row is None else row.more[:n_more] for row in own]).reshape(len(own), n_more)
    folds = np.array([row.more_folds[:n_more] for row in target], dtype=int).reshape(len(own), n_more)
    return Held(
        summary,
        np.array([np.nan if row is None else row.score for row in own]),
        np.array([0.0 if row is None else row.offset for row in own]),
        np.array([np.nan if row is None else row.probability for row in own]),
        np.array([row.fold for row in target], dtype=np.intp),
        np.array([1.0 if row is None else row.spread for row in own]),
        more.T,
        folds.T,
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
        cluster_bootstrap([row.group for row in chosen], n_resamples, rng),
    )
