"""Probes of a quantity rather than of two classes: nested ridge regression, judged by how it ranks pairs of rows.

What is predicted may be known more or less surely (a posterior mean over a few rollouts); no threshold makes labels of
it. The figure is the concordance: of pairs of one stratum and outer fold that differ in the quantity, the share that
held-out scores rank the same way (Harrell et al. 1996, section 5.5); with two values it is the AUROC. Inner folds
choose the cell and the ridge, by correlation within strata.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from activations.errors import HintprobeError
from probes.arrays import Array, RowIndices
from probes.auroc import stratum_codes
from probes.contrast import fold_strata

RIDGES = (0.3, 3.0, 30.0)
"""Ridge penalties on standardised features, per feature."""


@dataclass(frozen=True)
class Graded:
    """What is predicted, and what may be compared with what.

    Attributes:
        values: the quantity, ``[row]``.
        groups: rows of a group are never split.
        strata: only rows of one stratum are compared.
    """

    values: Array
    groups: tuple[str, ...]
    strata: tuple[str, ...]


@dataclass(frozen=True)
class GradedResult:
    """Held-out predictions.

    Attributes:
        scores: prediction of each row by the probe of the outer fold that the row was held out in.
        fold: that fold.
        chosen: per outer fold, the cell and the ridge.
        null: concordances of the same search on values permuted by group within strata.
        observed: that of the true values.
    """

    scores: Array
    fold: RowIndices
    chosen: tuple[tuple[Hashable, float], ...]
    null: Array
    observed: float

    @property
    def p_value(self) -> float | None:
        """Share of permutations, the observed counted in, that reach the observed concordance; None without any."""
        known = self.null[np.isfinite(self.null)]  # without two unequal values in a stratum there is no concordance
        if not len(known) or not np.isfinite(self.observed):
            return None
        return float((1 + (known >= self.observed - 1e-12).sum()) / (1 + len(known)))


def graded_cv(
    cells: Mapping[Any, Array],
    target: Graded,
    outer_folds: int,
    inner_folds: int,
    permutations: int,
    rng: np.random.Generator,
) -> GradedResult:
    """Choose and fit on training folds, predict what is held out; the same for permuted values, in the same solves.

    Raises:
        HintprobeError: no cell, or fewer groups than folds.
    """
    if not cells or len(set(target.groups)) < max(outer_folds, inner_folds + 1):
        raise HintprobeError(
            f"A probe of a quantity needs features and at least {max(outer_folds, inner_folds + 1)} groups; it got "
            f"{len(cells)} cells and {len(set(target.groups))} groups. Ask more questions or use fewer folds."
        )
    outer = group_folds(target.groups, outer_folds, rng)
    vectors = np.column_stack([target.values, *(permuted_values(target, rng) for _ in range(permutations))])
    code = stratum_codes(target.strata)
    held = np.zeros(vectors.shape)
    inner = [
        group_folds([target.groups[i] for i in np.flatnonzero(outer != k)], inner_folds, rng)
        for k in range(outer_folds)
    ]
    best = np.full((outer_folds, vectors.shape[1]), -2.0)
    chosen: list[tuple[Hashable, float]] = [(next(iter(cells)), RIDGES[0])] * outer_folds
    for name, x in cells.items():
        kernel = _kernel(x)
        for k in range(outer_folds):
            train, test = np.flatnonzero(outer != k), np.flatnonzero(outer == k)
            for ridge in RIDGES:
                figure = _validated(kernel, vectors, train, inner[k], code, ridge)
                better = figure > best[k]
                if better[0]:
                    chosen[k] = name, ridge
                best[k, better] = figure[better]
                held[np.ix_(test, better)] = _predicted(kernel, vectors[:, better], train, test, ridge)
    within = fold_strata(outer, target.strata)
    figures = [float(concordance(held[:, v], vectors[:, v], within)[0]) for v in range(vectors.shape[1])]
    return GradedResult(held[:, 0], outer, tuple(chosen), np.array(figures[1:]), figures[0])


def group_folds(groups: Sequence[str], n_folds: int, rng: np.random.Generator) -> RowIndices:
    """Fold of each row, groups whole and folds of about as many groups."""
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    fold: RowIndices = (rng.permutation(int(index.max()) + 1) % n_folds)[index]
    return fold


def permuted_values(target: Graded, rng: np.random.Generator) -> Array:
    """The values of whole groups dealt out anew, among groups whose rows lie in the same strata.

    Groups without a counterpart keep theirs, which makes the null no narrower.
    """
    rows: dict[str, list[int]] = {}
    for i, group in enumerate(target.groups):
        rows.setdefault(group, []).append(i)
    alike: dict[tuple[str, ...], list[list[int]]] = {}
    for own in rows.values():
        own.sort(key=lambda i: target.strata[i])
        alike.setdefault(tuple(target.strata[i] for i in own), []).append(own)
    found = target.values.copy()
    for members in alike.values():
        for own, other in zip(members, rng.permutation(len(members)), strict=True):
            found[own] = target.values[members[int(other)]]
    return found


def _kernel(x: Array) -> Array:
    """Inner products of standardised features, per feature; all rows standardise, and no value of theirs takes part."""
    spread = x.std(0)
    z = (x - x.mean(0)) / np.where(spread > 1e-9, spread, 1.0)
    found: Array = z @ z.T / x.shape[1]
    return found


def _predicted(kernel: Array, values: Array, train: RowIndices, at: RowIndices, ridge: float) -> Array:
    """Ridge regression with a free intercept, for many value vectors; ``[row of at, vector]``."""
    own, mean = kernel[np.ix_(train, train)], values[train].mean(0)
    column = own.mean(0)
    centred = own - column[None] - column[:, None] + column.mean()
    dual = np.linalg.solve(centred + ridge * np.eye(len(train)), values[train] - mean)
    across = kernel[np.ix_(at, train)]
    found: Array = (across - across.mean(1)[:, None] - column[None] + column.mean()) @ dual + mean
    return found


def _validated(
    kernel: Array, values: Array, train: RowIndices, inner: RowIndices, code: RowIndices, ridge: float
) -> Array:
    """Correlation of out-of-fold predictions with the values, within strata and inner folds; ``[vector]``."""
    predicted = np.zeros((len(train), values.shape[1]))
    for j in range(int(inner.max()) + 1):
        rest, own = train[inner != j], train[inner == j]
        predicted[inner == j] = _predicted(kernel, values, rest, own, ridge)
    cell = np.unique(np.column_stack([inner, code[train]]), axis=0, return_inverse=True)[1].ravel()
    a, b = _centred(predicted, cell), _centred(values[train], cell)
    below = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    found: Array = np.where(below > 1e-12, (a * b).sum(0) / np.where(below > 1e-12, below, 1.0), 0.0)
    return found


def _centred(values: Array, cell: RowIndices) -> Array:
    counts = np.bincount(cell)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, cell, values)
    found: Array = values - (sums / counts[:, None])[cell]
    return found


def concordance(
    scores: Float[np.ndarray, "row"],
    values: Float[np.ndarray, "row"],
    strata: Sequence[str],
    weights: Float[np.ndarray, "resample row"] | None = None,
) -> Float[np.ndarray, "resample"]:
    """Share of pairs of one stratum with different values that the scores rank the same way, ties counting half.

    Args:
        weights: how often each resample holds each row; one resample of ones by default.

    Returns:
        A figure per resample; NaN where no pair of a stratum differs.
    """
    code = stratum_codes(strata)
    drawn = np.ones((1, len(values))) if weights is None else weights
    above, below = np.zeros(len(drawn)), np.zeros(len(drawn))
    for k in range(int(code.max(initial=-1)) + 1):
        own = np.flatnonzero(code == k)
        larger = (values[own][:, None] > values[own][None, :]).astype(float)
        if not larger.any():
            continue
        wins = larger * np.heaviside(scores[own][:, None] - scores[own][None, :], 0.5)
        some = drawn[:, own]
        above += np.einsum("ri,ri->r", some @ wins, some)
        below += np.einsum("ri,ri->r", some @ larger, some)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = above / below
    return found
