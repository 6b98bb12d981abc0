"""What is left of a detector's scores once covariates are regressed out, in training folds only."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from probes.arrays import Array, RowIndices
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
    Covariates that explain nothing take their share of a real effect by chance, more the fewer the rows; a ridge
    penalty that generalised cross-validation chooses (Golub, Heath & Wahba 1979) leaves it there.

    Args:
        covariates: numbers known of each row without the detector, ``[row, covariate]``.
    """
    levels = _one_hot(strata)
    scores = _rest(result.scores, result.fold, levels, covariates)
    probability = np.zeros(len(scores))
    outcomes: list[FoldOutcome] = []
    for k, outcome in enumerate(result.outcomes):
        train, test = outcome.train, result.fold == k
        inner = _rest(outcome.inner_scores, np.zeros(len(train), dtype=np.intp), levels[train], covariates[train])
        calibration = Platt.fit(inner, outcome.inner_labels)
        probability[test] = calibration.probability(scores[test])
        outcomes.append(replace(outcome, inner_scores=inner, calibration=calibration))
    more = tuple(of._replace(scores=_rest(of.scores, of.fold, levels, covariates)) for of in result.more)
    return NestedResult(scores, probability, result.fold, outcomes, more)


def _rest(scores: Array, fold: RowIndices, levels: Array, covariates: Array) -> Array:
    """Residual of scores standardised within folds; what rounding alone leaves is zero."""
    z = np.zeros(len(scores))
    for k in np.unique(fold):
        own = scores[fold == k]
        z[fold == k] = (own - own.mean()) / (own.std() or 1.0)
    z, x = _without(levels, z), _without(levels, covariates)
    rest = z - _explained(x / np.where(x.std(0) > 1e-9, x.std(0), 1.0), z, levels.shape[1])
    return np.where(np.abs(rest) > 1e-9, rest, 0.0)


def _without(levels: Array, values: Array) -> Array:
    """Values less their mean at each level."""
    levels = levels[:, levels.any(0)]
    means = (levels.T @ values) / levels.sum(0).reshape(-1, *(1,) * (values.ndim - 1))
    rest: Array = values - levels @ means
    return rest


def _explained(x: Array, values: Array, n_taken: int) -> Array:
    """What ridge regression predicts, its penalty chosen by generalised cross-validation.

    Args:
        n_taken: degrees of freedom that were taken before.
    """
    left, singular, _ = np.linalg.svd(x, full_matrices=False)
    left, singular = left[:, singular > 1e-9], singular[singular > 1e-9]
    along, found, least = left.T @ values, np.zeros(len(values)), np.inf
    for penalty in len(values) * np.logspace(-6, 3, 28):
        kept = singular**2 / (singular**2 + penalty)
        predicted = left @ (kept * along)
        spare = max(len(values) - n_taken - kept.sum(), 1.0)
        figure = float(((values - predicted) ** 2).sum()) / spare**2
        if figure < least:
            found, least = predicted, figure
    return found


def quantile_bins(values: Float[np.ndarray, "row"], n_bins: int = 5) -> Float[np.ndarray, "row bin"]:
    """One-hot of the quantile bin of each value; equal values share a bin."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return _one_hot(np.searchsorted(edges, values, side="right"))


def _one_hot(values: Sequence[str] | RowIndices) -> Array:
    names, index = np.unique(np.asarray(values), return_inverse=True)
    hot: Array = np.eye(len(names))[index]
    return hot
