"""The inner search: every penalty, inner fold and label vector of one cell in one solve, the best kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from probes.arrays import Array, Bools
from probes.auroc import Comparison
from probes.linear import LinearScore, Scaling, moments
from probes.logistic import solve_logistic


class Grid(Protocol):
    """What the inner search needs to know."""

    @property
    def penalties(self) -> tuple[float, ...]:
        """Values of C."""

    @property
    def inner_folds(self) -> int:
        """How many inner folds."""

    @property
    def scaling(self) -> Scaling:
        """How features are standardised."""


@dataclass(frozen=True)
class Candidate:
    """The best of what one problem has seen so far: out-of-fold training scores, test scores, and the refit."""

    auroc: float = -1.0
    cell: str = ""
    penalty: float = 0.0
    inner: Array = field(default_factory=lambda: np.zeros(0))
    test: Array = field(default_factory=lambda: np.zeros(0))
    mean: Array = field(default_factory=lambda: np.zeros(0))
    scale: Array = field(default_factory=lambda: np.zeros(0))
    coef: Array = field(default_factory=lambda: np.zeros(0))
    intercept: float = 0.0

    def probe(self) -> LinearScore:
        """The refit."""
        return LinearScore(self.cell, self.penalty, self.mean, self.scale, self.coef, self.intercept)


@dataclass
class Problem:
    """One search: a label vector, and the rows it may be trained and validated on.

    Attributes:
        labels: ``[train row]``.
        allowed: rows that may be used, ``[train row]``.
        inner: inner fold of each training row.
        strata: rows of one stratum are compared.
    """

    labels: Bools
    allowed: Bools
    inner: NDArray[np.intp]
    strata: Sequence[str]
    best: Candidate = field(default_factory=Candidate)

    @property
    def solvable(self) -> bool:
        """Every inner fold leaves both classes to train on."""
        return all(
            len(set(self.labels[(self.inner != k) & self.allowed].tolist())) == 2 for k in set(self.inner.tolist())
        )

    def __post_init__(self) -> None:
        self._pairs = [self._pairs_of(k) for k in range(int(self.inner.max()) + 1)]

    def _pairs_of(self, k: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The comparable positive-negative pairs among an inner fold's rows."""
        rows = np.flatnonzero((self.inner == k) & self.allowed)
        positive, negative = Comparison.of(self.labels[rows], [self.strata[int(i)] for i in rows]).pairs()
        return rows[positive], rows[negative]

    def validate(self, scores: Float[np.ndarray, "row penalty"]) -> Float[np.ndarray, "penalty"]:
        """AUROC per penalty, averaged over inner folds by their number of pairs; 0.5 where there is none."""
        wins, n_pairs = np.zeros(scores.shape[1]), 0
        for positive, negative in self._pairs:
            difference = scores[positive] - scores[negative]
            wins += (difference > 0).sum(0) + 0.5 * (difference == 0).sum(0)
            n_pairs += len(positive)
        return wins / n_pairs if n_pairs else np.full(scores.shape[1], 0.5)


@dataclass(frozen=True)
class _Fitted:
    """Scores of one cell for several problems."""

    inner: Float[np.ndarray, "row penalty problem"]
    test: Float[np.ndarray, "row penalty problem"]
    coef: Float[np.ndarray, "penalty problem d"]
    intercept: Float[np.ndarray, "penalty problem"]


def solve_cell(
    name: str, x_train: Array, x_test: Array, full: Sequence[Problem], partial: Sequence[Problem], grid: Grid
) -> Float[np.ndarray, "problem"]:
    """Fit a cell for every problem and let each keep it if it validates better than what it has.

    Args:
        full: solvable problems on all training rows; they may differ in their labels.
        partial: solvable problems with the labels of the first full one, on some of the rows.

    Returns:
        The best validation AUROC over penalties of each full problem.
    """
    mean, scale = moments(x_train, grid.scaling)
    # float32 doubles the speed, and a search does not need more: the solver's own tolerance is wider.
    train = torch.from_numpy(((x_train - mean) / scale).astype(np.float32))
    test = (x_test - mean) / scale
    inner = full[0].inner
    folds = np.stack([inner != k for k in range(grid.inner_folds)] + [np.ones(len(inner), bool)], axis=1)
    fitted = [_fit(train, test, np.stack([p.labels for p in full], axis=1), folds, inner, grid)]
    found = np.zeros(len(full))
    if partial:
        masks = np.concatenate([folds & p.allowed[:, None] for p in partial], axis=1)
        fitted.append(_fit(train, test, full[0].labels[:, None], masks, inner, grid))
    for problems, fit in zip((full, partial), fitted, strict=False):
        for v, problem in enumerate(problems):
            aurocs = problem.validate(fit.inner[:, :, v])
            c = int(np.argmax(aurocs))
            if problems is full:
                found[v] = aurocs[c]
            if aurocs[c] > problem.best.auroc:
                problem.best = Candidate(
                    float(aurocs[c]), name, grid.penalties[c], fit.inner[:, c, v], fit.test[:, c, v], mean, scale,
                    fit.coef[c, v], float(fit.intercept[c, v]),
                )  # fmt: skip
    return found


def _fit(x: torch.Tensor, x_test: Array, vectors: Bools, masks: Bools, inner: NDArray[np.intp], grid: Grid) -> _Fitted:
    """Solve ``masks`` (inner folds and refit, once or several times over) × ``vectors``; one of the two is single."""
    solution = solve_logistic(x, torch.from_numpy(vectors), torch.from_numpy(masks), grid.penalties, 1e-4, 400)
    n_c, width = len(grid.penalties), grid.inner_folds + 1
    n_sets, d = masks.shape[1] // width, x.shape[1]
    # [penalty, set, fold, label, d] with sets and labels merged into problems
    coef = solution.coef.double().reshape(n_c, n_sets, width, -1, d).movedim(2, 1).reshape(n_c, width, -1, d).numpy()
    intercept = (
        solution.intercept.double().reshape(n_c, n_sets, width, -1).movedim(2, 1).reshape(n_c, width, -1).numpy()
    )
    every = (x.numpy() @ coef.reshape(-1, d).T.astype(np.float32)).reshape(len(x), *intercept.shape) + intercept
    own = every[np.arange(len(inner)), :, inner]
    held_out = (x_test @ coef[:, -1].reshape(-1, d).T).reshape(len(x_test), n_c, intercept.shape[-1]) + intercept[:, -1]
    return _Fitted(own, held_out, coef[:, -1], intercept[:, -1])
