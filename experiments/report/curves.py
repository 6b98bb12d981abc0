"""ROC and reliability curves of detectors from their held-out scores, at the thresholds of the detector table."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from experiments.comparison.held import Held, Subset, align, subset
from experiments.detectors import MAIN
from experiments.records.summary import ModelSummary
from experiments.report.runs import Run

RATES = np.linspace(0.0, 1.0, 201)
"""Shares of the training negatives that thresholds let through; 5%, where the table has a recall, is among them."""
TABLE_RATE = 0.05
BINS = 10
MIN_IN_BIN = 5


@dataclass(frozen=True)
class Curves:
    """What one detector's held-out scores look like.

    Attributes:
        fpr, tpr: false- and true-positive rate on held-out rows of strata that hold both classes, a point for each
            threshold of :data:`RATES`: thresholds are set on training negatives, within kind and direction, as those of
            the table are. A verdict has one point.
        marked: the point whose recall the table has.
        predicted, observed, counts: mean calibrated probability, share of positives and number of rows per bin.
    """

    name: str
    fpr: Float[np.ndarray, "point"]
    tpr: Float[np.ndarray, "point"]
    marked: tuple[float, float] | None
    predicted: Float[np.ndarray, "bin"]
    observed: Float[np.ndarray, "bin"]
    counts: NDArray[np.intp]


def roc_of(held: Held, within: Subset) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, float] | None]:
    """False- and true-positive rates between the corners, and the table's own point; corners alone without thresholds.

    A row without a score is never flagged.
    """
    comparable = within.comparable
    positive, negative = within.positive & comparable, ~within.positive & comparable
    if held.is_judge:
        flags = [held.scores > 0.5]
    else:
        flags = [found for rate in RATES if (found := held.flags(float(rate))) is not None]
    points = [(0.0, 0.0), (1.0, 1.0)]
    marked = None
    if positive.any() and negative.any():
        shares = [(float(own[within.rows][negative].mean()), float(own[within.rows][positive].mean())) for own in flags]
        points[1:1] = shares
        if shares:
            marked = shares[0] if held.is_judge else shares[int(np.argmin(np.abs(RATES - TABLE_RATE)))]
    fpr, tpr = np.array(points).T
    return fpr, tpr, marked


def reliability(
    probability: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Mean prediction, observed share and count of equally wide bins; bins of fewer than five rows are left out."""
    which = np.minimum((probability * BINS).astype(int), BINS - 1)
    counts = np.bincount(which, minlength=BINS)
    kept = np.flatnonzero(counts >= MIN_IN_BIN)
    predicted = np.array([probability[which == k].mean() for k in kept])
    observed = np.array([positive[which == k].mean() for k in kept])
    return predicted, observed, counts[kept]


def curves_of(run: Run, model: ModelSummary, names: Iterable[str]) -> list[Curves]:
    """Curves of these detectors of a model whose probe stage is finished; detectors without scores are left out."""
    if not {"judge", "probe"} <= model.stages.keys():
        return []
    records = run.records(model)
    target, scores = records.targets(MAIN), records.scores()
    summaries = {summary.name: summary for summary in records.detectors()}
    known = {row.detector for row in scores}
    if not target:
        return []
    everything = subset(target, np.ones(len(target), dtype=bool), 1, np.random.default_rng(0))
    return [
        _curves(align(target, scores, summaries[name]), everything)
        for name in names
        if name in summaries and name in known
    ]


def _curves(held: Held, within: Subset) -> Curves:
    fpr, tpr, marked = roc_of(held, within)
    known = np.isfinite(held.probability[within.rows])
    probability, positive = held.probability[within.rows][known], within.positive[known]
    return Curves(held.summary.name, fpr, tpr, marked, *reliability(probability, positive))
