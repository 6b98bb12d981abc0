"""Intervals of an AUROC that count the probe's own training as chance, and never shrink to a point.

Three things are random in a held-out AUROC. The rows that are scored: variance over whole groups of each row's
influence. The parting into folds: repeated, and what is left of it added. The rows that were trained on: where a
probe's direction is mostly noise, the rows of one fold decide its direction in the others, and the variance doubles;
where the direction is certain, nothing is added (:func:`instability`). The interval itself is that of Newcombe (2006,
Statistics in Medicine 25, method 5): the variance is taken at the bound, not at the estimate, so that an AUROC of 1 has
a lower bound below 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Bool, Float, Int

from probes.arrays import Array
from probes.bootstrap import MIN_GROUPS_PER_CLASS

_Z = 1.959963984540054


@dataclass(frozen=True)
class AurocEstimate:
    """A held-out AUROC, or a difference of two, with what is known of its chance.

    Attributes:
        influence: what each row adds (:meth:`probes.auroc.StratifiedPairs.influence`), averaged over repeats.
        spread: variance over repeats of the folds, divided by their number.
        instability: share of the probe's direction that is noise, 0 to 1; 0 for a score that was not trained.
        pair_noise: chance of single pairs, which the influences of both of its rows count.
    """

    value: float
    influence: Float[np.ndarray, "row"]
    spread: float = 0.0
    instability: float = 0.0
    pair_noise: float = 0.0

    def variance(self, groups: Int[np.ndarray, "row"]) -> float:
        """Variance with groups as the units of chance."""
        sums = np.bincount(groups, self.influence)
        n = len(np.unique(groups))
        rows = float((sums**2).sum())
        counted_once = max(rows - self.pair_noise, rows / 4)
        return counted_once * n / max(n - 1, 1) * (1 + self.instability) + self.spread

    def interval(self, groups: Int[np.ndarray, "row"], labels: Bool[np.ndarray, "row"]) -> tuple[float, float] | None:
        """95% interval; None without a pair, or where a class has rows of few groups (``MIN_GROUPS_PER_CLASS``)."""
        from scipy.optimize import brentq

        n_positive, n_negative = (len(np.unique(groups[labels == value])) for value in (True, False))
        if min(n_positive, n_negative) < MIN_GROUPS_PER_CLASS or not np.isfinite(self.value):
            return None
        at_estimate = _ideal_variance(self.value, n_positive, n_negative)
        least = 1 + self.instability
        inflation = max(self.variance(groups) / at_estimate, least) if at_estimate > 1e-12 else least

        if self.value in (0.0, 1.0):
            inner = _root_from_end(self.value, inflation, n_positive, n_negative)
            return (inner, 1.0) if self.value else (0.0, inner)

        def gap(bound: float) -> float:
            return abs(bound - self.value) - _Z * sqrt(inflation * _ideal_variance(bound, n_positive, n_negative))

        low = brentq(gap, 0.0, self.value) if gap(0.0) > 0 > gap(self.value) else 0.0
        high = brentq(gap, self.value, 1.0) if gap(1.0) > 0 > gap(self.value) else 1.0
        return float(low), float(high)


def _root_from_end(value: float, inflation: float, n_positive: int, n_negative: int) -> float:
    """The other bound of an AUROC of exactly 0 or 1."""
    from scipy.optimize import brentq

    def gap(distance: float) -> float:
        return distance - _Z * sqrt(inflation * _ideal_variance(1 - distance, n_positive, n_negative))

    distance = float(brentq(gap, 1e-6, 1.0))
    return 1 - distance if value else distance


def _ideal_variance(value: float, n_positive: int, n_negative: int) -> float:
    """Variance of the AUROC of independent rows (Hanley & McNeil 1982, with Newcombe's mean class size)."""
    mean = (n_positive + n_negative) / 2 - 1
    shared = 1 + mean * ((1 - value) / (2 - value) + value / (1 + value))
    return value * (1 - value) * shared / (n_positive * n_negative)


def difference(first: AurocEstimate, second: AurocEstimate) -> AurocEstimate:
    """Paired difference on the same rows: what both owe to the same rows cancels."""
    return AurocEstimate(
        first.value - second.value,
        first.influence - second.influence,
        first.spread + second.spread,
        max(first.instability, second.instability),
    )


def plain_interval(
    estimate: AurocEstimate, groups: Int[np.ndarray, "row"], labels: Bool[np.ndarray, "row"]
) -> tuple[float, float] | None:
    """Value ± 1.96 standard errors, for differences; None where a class has rows of few groups."""
    n_groups = min(len(np.unique(groups[labels == value])) for value in (True, False))
    if n_groups < MIN_GROUPS_PER_CLASS or not np.isfinite(estimate.value):
        return None
    half = _Z * float(np.sqrt(estimate.variance(groups)))
    return estimate.value - half, estimate.value + half


def instability(
    scores: Float[np.ndarray, "repeat row"],
    fold: Int[np.ndarray, "repeat row"],
    labels: Bool[np.ndarray, "row"],
    strata: Sequence[str],
) -> float:
    """How much of a probe's direction is noise of its training rows, from how held-out scores of a row vary.

    Two probes that were trained with different folds left out share most of their rows. Write v for the share of noise
    in a probe's direction; with K folds their scores of a row correlate, within class and stratum, by about 1 - v / K.

    Returns:
        v, from 0 (every training set gives the same probe) to 1 (the direction is all noise, and also where there is
        one repeat alone, so that nothing is known).
    """
    known = np.isfinite(scores).all(0)
    if len(scores) < 2 or known.sum() < 3:
        return 1.0
    cells = np.unique(
        np.char.add(np.asarray(strata, dtype=str)[known], labels[known].astype(str)), return_inverse=True
    )[1]
    rest = np.stack([_within(own[known], of[known], cells) for own, of in zip(scores, fold, strict=True)])
    if (rest.std(1) < 1e-12).any():
        return 0.0
    correlation: Array = np.asarray(np.corrcoef(rest))
    mean = correlation[np.triu_indices(len(rest), 1)].mean()
    n_folds = int(fold.max()) + 1
    return float(np.clip(n_folds * (1 - mean), 0.0, 1.0))


def _within(scores: Array, fold: Int[np.ndarray, "row"], cells: Int[np.ndarray, "row"]) -> Array:
    """Scores standardised within folds, less the mean of their class and stratum."""
    result = scores.astype(float).copy()
    for k in np.unique(fold):
        own = result[fold == k]
        result[fold == k] = (own - own.mean()) / (own.std() or 1.0)
    means = np.bincount(cells, result) / np.bincount(cells)
    rest: Array = result - means[cells]
    return rest
