"""What is left of a detector's scores once covariates are regressed out, in training folds only."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from probes.arrays import Array, Rows
from probes.calibration import Platt
from probes.outcomes import FoldOutcome, NestedResult


def residualise(
    result: NestedResult, strata: Sequence[str], covariates: Float[np.ndarray, "row covariate"]
) -> NestedResult:
    """Subtract from each score what stratum and covariates predict of it.

    The regression is fitted on the held-out scores, standardised within folds, of all folds together: that needs no
    label, and one slope for all folds takes a fifth of what a slope for each would take of a real effect by chance.
    One fitted on the training rows' out-of-fold scores would take the slope of other models than the one that scores
    the held-out rows, and where covariates are all there is, the rest of the slope would still sort the rows.

    Args:
        covariates: numbers known of each row without the detector, ``[row, covariate]``.
    """
    design = np.column_stack([_one_hot(strata), covariates])
    scores = _rest(result.scores, result.fold, design)
    probability = np.zeros(len(scores))
    outcomes: list[FoldOutcome] = []
    for k, outcome in enumerate(result.outcomes):
        train, test = outcome.train, result.fold == k
        inner = _rest(outcome.inner_scores, np.zeros(len(train), dtype=np.intp), design[train])
        calibration = Platt.fit(inner, outcome.inner_labels)
        probability[test] = calibration.probability(scores[test])
        outcomes.append(replace(outcome, inner_scores=inner, calibration=calibration))
    more = tuple(of._replace(scores=_rest(of.scores, of.fold, design)) for of in result.more)
    return NestedResult(scores, probability, result.fold, outcomes, more)


def _rest(scores: Array, fold: Rows, design: Array) -> Array:
    """Residual of a least-squares fit of scores standardised within folds; what rounding alone leaves is zero."""
    z = np.zeros(len(scores))
    for k in np.unique(fold):
        own = scores[fold == k]
        z[fold == k] = (own - own.mean()) / (own.std() or 1.0)
    beta, *_ = np.linalg.lstsq(design, z, rcond=None)
    rest: Array = z - design @ beta
    return np.where(np.abs(rest) > 1e-9, rest, 0.0)


def quantile_bins(values: Float[np.ndarray, "row"], n_bins: int = 5) -> Float[np.ndarray, "row bin"]:
    """One-hot of the quantile bin of each value; equal values share a bin."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return _one_hot(np.searchsorted(edges, values, side="right"))


def _one_hot(values: Sequence[str] | Rows) -> Array:
    names, index = np.unique(np.asarray(values), return_inverse=True)
    hot: Array = np.eye(len(names))[index]
    return hot
