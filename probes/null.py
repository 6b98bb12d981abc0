"""The whole search on labels that hold nothing: every fold and permuted label vector in closed form.

A hundred searches by logistic regression would cost a hundred times the search. The test therefore has a statistic of
its own: the held-out AUROC of the same nested search with ridge regression, whose strength 4 / C makes it the first
Newton step of the logistic fit at C. One factorisation per fold serves every label vector. The true labels go through
the very same computation, so the p-value is exact whatever the reported probe is: if features and labels are
independent within strata, the true vector is one more draw.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from jaxtyping import Float

from probes.arrays import Array, Bools, RowIndices
from probes.auroc import aurocs_of_vectors, stratum_codes
from probes.contrast import Contrast, Folds, fold_strata, permuted_labels
from probes.estimators.fitting import Features, Sequences
from probes.linear import Scaling, moments

if TYPE_CHECKING:
    import torch

_FREE = 1e-6
"""Ridge of the intercept: none to speak of."""


class Settings(Protocol):
    """What the null needs to know of a search."""

    @property
    def penalties(self) -> tuple[float, ...]:
        """Values of C."""

    @property
    def permutations(self) -> int:
        """How many label vectors are drawn."""

    @property
    def scaling(self) -> Scaling:
        """How features are standardised."""

    @property
    def device(self) -> str:
        """Where it computes."""


@dataclass(frozen=True)
class Null:
    """The search repeated on labels that hold nothing.

    Attributes:
        observed: AUROC of the ridge search on the true labels.
        aurocs: per draw, the same with the labels permuted in training *and* held-out rows.
        stratum_only: per draw, the same searches' AUROC on the *true* held-out labels. It may exceed one half: permuted
            training labels keep each stratum's base rate, and a direction that tells strata apart by base rate can rank
            rows within a stratum too.
        observed_best: highest validation AUROC over all cells, on the true labels.
        best_validation: per draw, the same (max statistic).
    """

    observed: float
    aurocs: Array
    stratum_only: Array
    observed_best: float
    best_validation: Array

    @property
    def p_value(self) -> float:
        """Share of draws, the observed counted in, whose AUROC is at least the observed one."""
        return float((1 + (self.aurocs >= self.observed - 1e-12).sum()) / (1 + len(self.aurocs)))


def search_null(cells: Mapping[Any, Features], contrast: Contrast, folds: Folds, search: Settings, seed: int) -> Null:
    """Search on the true labels and on permuted ones; whole groups' labels are permuted together.

    Sequences are read as the mean of their positions.
    """
    drawn = permuted_labels(contrast, search.permutations, np.random.default_rng(seed))
    vectors = np.column_stack([contrast.labels, drawn])
    held, validation = ridge_search(cells, vectors, contrast, folds, search)
    code = stratum_codes(fold_strata(folds.outer, contrast.strata))
    own = aurocs_of_vectors(held, vectors, code)
    true = np.repeat(contrast.labels[:, None], drawn.shape[1], axis=1)
    best = validation.max(0)
    return Null(float(own[0]), own[1:], aurocs_of_vectors(held[:, 1:], true, code), float(best[0]), best[1:])


def ridge_search(
    cells: Mapping[Any, Features], vectors: Bools, contrast: Contrast, folds: Folds, search: Settings
) -> tuple[Float[np.ndarray, "row vector"], Float[np.ndarray, "cell vector"]]:
    """Held-out scores by nested ridge searches of many label vectors, and each cell's validation AUROC."""
    import torch

    n_outer = len(folds.inner)
    best = np.full((n_outer, vectors.shape[1]), -1.0)
    held = np.zeros(vectors.shape)
    validation = np.zeros((len(cells), vectors.shape[1]))
    signs = torch.from_numpy(np.where(vectors, 1.0, -1.0).astype(np.float32)).to(search.device)
    stratum = stratum_codes(contrast.strata)
    for c, x in enumerate(cells.values()):
        z = _design(x.pooled() if isinstance(x, Sequences) else x, search.scaling, search.device)
        for k, inner in enumerate(folds.inner):
            train, test = np.flatnonzero(folds.outer != k), np.flatnonzero(folds.outer == k)
            code = stratum[train] * (int(inner.max()) + 1) + inner[train]
            top = np.full(vectors.shape[1], -1.0)
            for ridge in (4 / np.array(search.penalties)).tolist():
                own, out = _fold(z, signs, inner, train, test, ridge)
                aurocs = np.nan_to_num(aurocs_of_vectors(own, vectors[train], code), nan=0.5)
                better = aurocs > best[k]
                best[k, better] = aurocs[better]
                held[np.ix_(test, better)] = out[:, better]
                top = np.maximum(top, aurocs)
            validation[c] += top / n_outer
    return held, validation


def _design(x: Array, scaling: Scaling, device: str) -> "torch.Tensor":
    """Standardised features in at most as many dimensions as rows, and a column of ones."""
    import torch

    mean, scale = moments(x, scaling)
    z = torch.from_numpy(((x - mean) / scale).astype(np.float32)).to(device)
    if z.shape[0] < z.shape[1]:
        z = torch.linalg.qr(z.T, mode="r").R.T.contiguous()
    return torch.cat([z, z.new_ones(len(z), 1)], dim=1)


def _fold(
    z: "torch.Tensor", signs: "torch.Tensor", inner: RowIndices, train: RowIndices, test: RowIndices, ridge: float
) -> tuple[Float[np.ndarray, "train vector"], Float[np.ndarray, "test vector"]]:
    """Out-of-fold scores of the training rows and scores of the held-out rows, for every label vector."""
    import torch

    n_inner = int(inner.max()) + 1
    parts = [np.flatnonzero(inner == j) for j in range(n_inner)]
    grams = torch.stack([z[part].T @ z[part] for part in parts])
    pulls = torch.stack([z[part].T @ signs[part] for part in parts])
    damp = z.new_full((z.shape[1],), ridge)
    damp[-1] = _FREE
    left = torch.cat([grams.sum(0, keepdim=True) - grams, grams.sum(0, keepdim=True)]) + torch.diag(damp)
    right = torch.cat([pulls.sum(0, keepdim=True) - pulls, pulls.sum(0, keepdim=True)])
    weights = torch.linalg.solve(left, right)
    own = z.new_empty(len(z), signs.shape[1])
    for j, part in enumerate(parts):
        own[part] = z[part] @ weights[j]
    return own[train].double().cpu().numpy(), (z[test] @ weights[-1]).double().cpu().numpy()
