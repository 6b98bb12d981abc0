"""Figures of merit beside the AUROC: thresholds, and how good probabilities are."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from probes.arrays import RowIndices


def threshold_at(negatives: Float[np.ndarray, "row"], rate: float) -> float:
    """Lowest threshold that at most ``rate`` of the negatives exceed strictly."""
    ordered = np.sort(negatives)[::-1]
    return float(ordered[min(int(np.floor(rate * len(ordered) + 1e-9)), len(ordered) - 1)])


def brier(probability: Float[np.ndarray, "row"], labels: Bool[np.ndarray, "row"]) -> float:
    """Mean squared error of the probabilities (Brier 1950)."""
    return float(np.mean((probability - labels) ** 2))


@dataclass(frozen=True)
class Reliability:
    """Stated against observed rates in equal-width bins that hold a row (Guo et al. 2017, section 2).

    Attributes:
        stated: mean probability of each bin.
        observed: share of positives in it.
        n: its rows.
    """

    stated: Float[np.ndarray, "bin"]
    observed: Float[np.ndarray, "bin"]
    n: RowIndices

    @property
    def expected_error(self) -> float:
        """Mean gap between stated and observed, weighted by rows: the expected calibration error."""
        return float(np.average(np.abs(self.stated - self.observed), weights=self.n))


def reliability(
    probability: Float[np.ndarray, "row"], labels: Bool[np.ndarray, "row"], n_bins: int = 10
) -> Reliability:
    """The reliability curve of probabilities."""
    index = np.minimum((probability * n_bins).astype(int), n_bins - 1)
    n = np.bincount(index, minlength=n_bins)
    kept = n > 0
    stated = np.bincount(index, probability, minlength=n_bins)[kept] / n[kept]
    observed = np.bincount(index, labels, minlength=n_bins)[kept] / n[kept]
    return Reliability(stated, observed, n[kept])


def expected_calibration_error(
    probability: Float[np.ndarray, "row"], labels: Bool[np.ndarray, "row"], n_bins: int = 10
) -> float:
    """Mean gap between stated and observed rate over equal-width bins, weighted by rows (Guo et al. 2017)."""
    return reliability(probability, labels, n_bins).expected_error


def calibration_error_by_chance(
    probability: Float[np.ndarray, "row"], labels: Bool[np.ndarray, "row"], n_bins: int = 10, n_draws: int = 200
) -> float:
    """Mean expected calibration error of the same probabilities if they were right: labels drawn from them.

    Few rows give an error well above zero however good the probabilities are; this is what an observed one is held
    against. ``labels`` play no part.
    """
    del labels
    rng = np.random.default_rng(0)
    draws = rng.random((n_draws, len(probability))) < probability
    return float(np.mean([expected_calibration_error(probability, drawn, n_bins) for drawn in draws]))
