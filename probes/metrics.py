"""Figures of merit beside the AUROC: at a threshold, over the precision-recall curve, and of probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from activations.errors import HintprobeError
from probes.arrays import Array


def refuse_degenerate(name: str, labels: Bool[np.ndarray, "row"], groups: Sequence[str], min_groups: int) -> None:
    """Refuse a cell on which no figure would mean anything.

    Raises:
        HintprobeError: naming the cell, where a class has rows of fewer than ``min_groups`` groups (or none at all).
    """
    for wanted, word in ((True, "positive"), (False, "negative")):
        n_groups = len({group for group, label in zip(groups, labels, strict=True) if bool(label) == wanted})
        if n_groups < min_groups:
            rows = int((labels == wanted).sum())
            raise HintprobeError(
                f"{name}: the {word} class has {rows} rows of {n_groups} groups, and a figure needs at least "
                f"{min_groups} groups of each class. Ask more questions, or leave this cell out."
            )


def average_precision(
    scores: Float[np.ndarray, "row"],
    labels: Bool[np.ndarray, "row"],
    weights: Float[np.ndarray, "resample row"] | None = None,
) -> Float[np.ndarray, "resample"]:
    """Area under the precision-recall curve as average precision, per resample; NaN without a positive.

    Rows of equal score stand or fall together, as in scikit-learn.
    """
    drawn = np.ones((1, len(scores))) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.flatnonzero(np.diff(scores[order], append=np.nan) != 0)
    taken = drawn[:, order]
    hits = np.cumsum(taken * labels[order], axis=1)[:, last_of_tie]
    flagged = np.cumsum(taken, axis=1)[:, last_of_tie]
    gained = np.diff(hits, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(flagged > 0, hits / flagged, 0.0)
        result: Array = (gained * precision).sum(1) / hits[:, -1]
    return result


def threshold_at(negatives: Float[np.ndarray, "row"], rate: float) -> float:
    """Lowest threshold that at most ``rate`` of the negatives exceed strictly."""
    ordered = np.sort(negatives)[::-1]
    return float(ordered[min(int(np.floor(rate * len(ordered) + 1e-9)), len(ordered) - 1)])


@dataclass(frozen=True)
class OperatingPoint:
    """A detector at one threshold.

    Attributes:
        recall: share of the positives above the threshold.
        realised_fpr: share of the negatives above it; it need not be the rate the threshold was set for.
    """

    threshold: float
    recall: float
    realised_fpr: float


def operating_point(
    scores: Float[np.ndarray, "row"],
    labels: Bool[np.ndarray, "row"],
    controls: Float[np.ndarray, "control"],
    rate: float,
) -> OperatingPoint:
    """Recall at a false-positive rate whose threshold comes from other rows.

    Args:
        controls: scores of negatives that the probe was neither fitted nor is evaluated on.
        rate: share of the controls that may exceed the threshold.

    Raises:
        HintprobeError: too few controls to place the threshold: fewer than three above it.
    """
    if rate * len(controls) < 3 - 1e-9:
        raise HintprobeError(
            f"A threshold at a false-positive rate of {rate:g} needs at least {int(np.ceil(3 / rate))} negatives to "
            f"set it by; there are {len(controls)}. Ask for a higher rate, or for more questions."
        )
    threshold = threshold_at(controls, rate)
    above = scores > threshold
    return OperatingPoint(threshold, float(above[labels].mean()), float(above[~labels].mean()))


def balanced_accuracy(
    flagged: Bool[np.ndarray, "row"],
    labels: Bool[np.ndarray, "row"],
    weights: Float[np.ndarray, "resample row"] | None = None,
) -> Float[np.ndarray, "resample"]:
    """Mean of the shares of positives flagged and of negatives not flagged, per resample; NaN without both."""
    drawn = np.ones((1, len(labels))) if weights is None else weights
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = (drawn @ (flagged & labels)) / (drawn @ labels.astype(float))
        specificity = (drawn @ (~flagged & ~labels)) / (drawn @ (~labels).astype(float))
    result: Array = (recall + specificity) / 2
    return result


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
    n: NDArray[np.intp]

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
