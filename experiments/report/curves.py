"""ROC and reliability curves of detectors from their held-out scores, within the strata that the AUROC is taken in."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from experiments.records import Label, ScoreRow
from experiments.records.summary import ModelSummary
from experiments.report.runs import Run

GRID = np.linspace(0.0, 1.0, 201)
BINS = 10
MIN_IN_BIN = 5


@dataclass(frozen=True)
class Curves:
    """What one detector's held-out scores look like.

    Attributes:
        roc: true-positive rate at each false-positive rate of ``GRID``; per stratum (outer fold × kind × direction),
            then averaged with the weights of the AUROC, so that the area under it is the AUROC of the table.
        predicted, observed, counts: mean calibrated probability, share of positives and number of rows per bin.
    """

    name: str
    roc: Float[np.ndarray, "grid"]
    predicted: Float[np.ndarray, "bin"]
    observed: Float[np.ndarray, "bin"]
    counts: NDArray[np.intp]


def stratum_roc(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> NDArray[np.float64]:
    """True-positive rate at each false-positive rate of the grid; ties are cut across by a straight line."""
    cuts = np.unique(np.concatenate([positives, negatives]))[::-1]
    above = (positives[:, None] >= cuts).mean(0), (negatives[:, None] >= cuts).mean(0)
    tpr, fpr = np.concatenate([[0.0], above[0]]), np.concatenate([[0.0], above[1]])
    result: NDArray[np.float64] = np.interp(GRID, fpr, tpr)
    return result


def mean_roc(scores: NDArray[np.float64], positive: NDArray[np.bool_], strata: Sequence[str]) -> NDArray[np.float64]:
    """The strata's curves averaged, each weighted by its number of pairs; NaN where no stratum has both classes."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, stratum in enumerate(strata):
        rows[stratum].append(row)
    total, weight = np.zeros_like(GRID), 0
    for members in rows.values():
        inside, label = scores[members], positive[members]
        pairs = int(label.sum()) * int((~label).sum())
        if pairs:
            total, weight = total + pairs * stratum_roc(inside[label], inside[~label]), weight + pairs
    return total / weight if weight else np.full_like(GRID, np.nan)


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
    scores = records.scores_by_detector
    return [_curves(name, list(scores[name].values()), records.labels) for name in names if name in scores]


def _curves(name: str, rows: Sequence[ScoreRow], labels: Mapping[str, Label]) -> Curves:
    own = [labels[row.rollout_id] for row in rows]
    positive = np.array([label.behaviour == "reliant" for label in own])
    strata = [f"{row.fold}/{label.kind}/{label.direction}" for row, label in zip(rows, own, strict=True)]
    roc = mean_roc(np.array([row.score for row in rows]), positive, strata)
    return Curves(name, roc, *reliability(np.array([row.probability for row in rows]), positive))
