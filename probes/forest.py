"""A nonlinear baseline under the same outer folds as the probes."""

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from probes.calibration import Platt
from probes.contrast import Contrast
from probes.linear import LinearScore
from probes.nested import FoldOutcome, NestedResult


def forest_cv(
    x: NDArray[np.float64], contrast: Contrast, fold: NDArray[np.intp], seed: int, n_trees: int = 150
) -> NestedResult:
    """Random forest per outer fold; thresholds and calibration come from out-of-bag scores of the training rows.

    Args:
        x: ``[row, feature]``.
        fold: outer fold of each row.
    """
    scores, probability = np.zeros(len(fold)), np.zeros(len(fold))
    outcomes = []
    for k in range(int(fold.max()) + 1):
        train, test = np.flatnonzero(fold != k), fold == k
        forest = RandomForestClassifier(n_trees, min_samples_leaf=2, oob_score=True, random_state=seed + k)
        forest.fit(x[train], contrast.labels[train])
        inner = np.nan_to_num(forest.oob_decision_function_[:, 1], nan=0.5)
        scores[test] = forest.predict_proba(x[test])[:, 1]
        calibration = Platt.fit(inner, contrast.labels[train])
        probability[test] = calibration.probability(scores[test])
        nothing = np.zeros(0)
        outcomes.append(
            FoldOutcome(
                LinearScore("forest", 0.0, nothing, nothing, nothing, 0.0), train, inner, contrast.labels[train],
                calibration,
            )
        )  # fmt: skip
    return NestedResult(scores, probability, fold, outcomes)
