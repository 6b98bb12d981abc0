"""What is left of a detector's scores once covariates are regressed out, in training folds only."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from probes.arrays import Array
from probes.calibration import Platt
from probes.nested import FoldOutcome, NestedResult


def residualise(
    result: NestedResult, strata: Sequence[str], covariates: Float[np.ndarray, "row covariate"]
) -> NestedResult:
    """Subtract from each score what stratum and covariates predict of it.

    The regression of the held-out scores is fitted fold by fold on the held-out scores themselves. That needs no
    label. One fitted on the training rows' out-of-fold scores would take the slope of other models than the one that
    scores the held-out rows, and where covariates are all there is, the rest of the slope would still sort the rows.

    Args:
        covariates: numbers known of each row without the detector, ``[row, covariate]``.
    """
    design = np.column_stack([_one_hot(strata), covariates])
    scores, probability = np.zeros(len(result.scores)), np.zeros(len(result.scores))
    outcomes: list[FoldOutcome] = []
    for k, outcome in enumerate(result.outcomes):
        test = result.fold == k
        inner = _rest(outcome.inner_scores, design[outcome.train])
        scores[test] = _rest(result.scores[test], design[test])
        calibration = Platt.fit(inner, outcome.inner_labels)
        probability[test] = calibration.probability(scores[test])
        outcomes.append(replace(outcome, inner_scores=inner, calibration=calibration))
    return NestedResult(scores, probability, result.fold, outcomes)


def _rest(scores: Array, design: Array) -> Array:
    """Residual of a least-squares fit; what is left by rounding alone is zero."""
    beta, *_ = np.linalg.lstsq(design, scores, rcond=None)
    rest: Array = scores - design @ beta
    return np.where(np.abs(rest) > 1e-9 * np.abs(scores).max(initial=0.0), rest, 0.0)


def quantile_bins(values: Float[np.ndarray, "row"], n_bins: int = 5) -> Float[np.ndarray, "row bin"]:
    """One-hot of the quantile bin of each value; equal values share a bin."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return _one_hot(np.searchsorted(edges, values, side="right"))


def _one_hot(values: Sequence[str] | NDArray[np.intp]) -> Array:
    names, index = np.unique(np.asarray(values), return_inverse=True)
    hot: Array = np.eye(len(names))[index]
    return hot
