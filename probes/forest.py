"""A nonlinear baseline under the same outer folds as the probes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from probes.arrays import Array, RowIndices
from probes.calibration import Platt
from probes.contrast import Contrast, Folds
from probes.outcomes import Drawing, FoldOutcome, NestedResult


def forest_cv(
    x: Float[np.ndarray, "row feature"], contrast: Contrast, folds: Sequence[Folds], seed: int, n_trees: int = 150
) -> NestedResult:
    """Random forest per outer fold; thresholds and calibration come from out-of-bag scores of the training rows.

    Args:
        folds: of every drawing; their inner folds are not used.
    """
    first, *rest = [_one(x, contrast, drawing.outer, seed, n_trees) for drawing in folds]
    scores, outcomes = first
    probability = np.zeros(len(scores))
    for k, outcome in enumerate(outcomes):
        test = folds[0].outer == k
        probability[test] = outcome.calibration.probability(scores[test])
    more = tuple(Drawing(own, drawing.outer) for (own, _), drawing in zip(rest, folds[1:], strict=True))
    return NestedResult(scores, probability, folds[0].outer, outcomes, more)


def _one(x: Array, contrast: Contrast, fold: RowIndices, seed: int, n_trees: int) -> tuple[Array, list[FoldOutcome]]:
    from sklearn.ensemble import RandomForestClassifier

    scores = np.zeros(len(fold))
    outcomes = []
    for k in range(int(fold.max()) + 1):
        train, test = np.flatnonzero(fold != k), fold == k
        forest = RandomForestClassifier(n_trees, min_samples_leaf=2, oob_score=True, random_state=seed + k)
        forest.fit(x[train], contrast.labels[train])
        inner = np.nan_to_num(forest.oob_decision_function_[:, 1], nan=0.5)
        scores[test] = forest.predict_proba(x[test])[:, 1]
        labels = contrast.labels[train]
        outcomes.append(FoldOutcome(None, train, inner, labels, Platt.fit(inner, labels)))
    return scores, outcomes
