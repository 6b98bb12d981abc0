"""The inner search: the folds of one cell are fitted together, and each problem keeps the best it has seen."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from probes.arrays import Array, Bools, RowIndices
from probes.auroc import StratifiedPairs
from probes.estimators.fitting import Features, Fits

if TYPE_CHECKING:
    from probes.estimators.base import Probe


@dataclass(frozen=True)
class Chosen:
    """What a search chose, refitted on all of its training rows.

    Attributes:
        cell: which features it reads.
        strength: C, or what stands for it.
    """

    cell: Hashable
    estimator: str
    strength: float
    probe: "Probe"

    def score(self, x: Features) -> Array:
        """Score of rows, of the chosen cell's features."""
        return self.probe.decision_function(x)


@dataclass(frozen=True)
class Candidate:
    """The best of what one problem has seen so far: scores of all rows out of fold, and the refit.

    Attributes:
        inner: score of each training row by the fit that did not see its inner fold.
        test: score of each held-out row by the refit.
    """

    auroc: float = -1.0
    chosen: Chosen | None = None
    inner: Array = field(default_factory=lambda: np.zeros(0))
    test: Array = field(default_factory=lambda: np.zeros(0))


@dataclass
class Problem:
    """One search: the training rows of an outer fold under one label vector.

    Attributes:
        labels: ``[row]``, of all rows.
        train: training rows, with those that may not be used.
        test: held-out rows.
        allowed: of the training rows, those that may be trained and validated on.
        inner: inner fold of each training row.
        strata: of all rows; rows of one stratum are compared.
    """

    labels: Bools
    train: RowIndices
    test: RowIndices
    allowed: Bools
    inner: RowIndices
    strata: Sequence[str]
    best: Candidate = field(default_factory=Candidate)

    def __post_init__(self) -> None:
        self._pairs = [self._pairs_of(k) for k in range(self.n_inner)]

    @property
    def n_inner(self) -> int:
        """How many inner folds."""
        return int(self.inner.max()) + 1

    @property
    def solvable(self) -> bool:
        """Every inner fold leaves both classes to train on."""
        own = self.labels[self.train]
        return all(len(set(own[(self.inner != k) & self.allowed].tolist())) == 2 for k in range(self.n_inner))

    def masks(self) -> Bools:
        """Rows that each fit is trained on, ``[row, inner fold + 1]``; the last one is the refit."""
        found = np.zeros((len(self.labels), self.n_inner + 1), dtype=bool)
        for k in range(self.n_inner):
            found[self.train, k] = self.allowed & (self.inner != k)
        found[self.train, -1] = self.allowed
        return found

    def _pairs_of(self, k: int) -> tuple[RowIndices, RowIndices]:
        """The comparable positive-negative pairs among an inner fold's rows, as places among the training rows."""
        places = np.flatnonzero((self.inner == k) & self.allowed)
        rows = self.train[places]
        pairs = StratifiedPairs.of(self.labels[rows], [self.strata[int(i)] for i in rows])
        grids = [np.meshgrid(positive, negative, indexing="ij") for positive, negative in pairs.blocks]
        if not grids:
            return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
        return (
            places[np.concatenate([grid[0].ravel() for grid in grids])],
            places[np.concatenate([grid[1].ravel() for grid in grids])],
        )

    def validate(self, scores: Float[np.ndarray, "place strength"]) -> Float[np.ndarray, "strength"]:
        """AUROC per strength, averaged over inner folds by their number of pairs; 0.5 where there is none."""
        wins, n_pairs = np.zeros(scores.shape[1]), 0
        for positive, negative in self._pairs:
            difference = scores[positive] - scores[negative]
            wins += (difference > 0).sum(0) + 0.5 * (difference == 0).sum(0)
            n_pairs += len(positive)
        return wins / n_pairs if n_pairs else np.full(scores.shape[1], 0.5)

    def take_in(
        self, fits: Fits, first: int, vector: int, cell: Hashable, estimator: str, strengths: Sequence[float]
    ) -> float:
        """Keep a cell's best strength if it validates better than what there was; returns its validation AUROC.

        Args:
            first: of the fits' masks, the first of this problem.
            vector: of the fits' label vectors, the one of this problem.
        """
        own = fits.scores[:, :, first : first + self.n_inner + 1, vector]
        inner = own[self.train, :, self.inner]
        aurocs = self.validate(inner)
        s = int(np.argmax(aurocs))
        if aurocs[s] > self.best.auroc:
            probe = fits.probe(s, first + self.n_inner, vector)
            chosen = Chosen(cell, estimator, strengths[s], probe)
            self.best = Candidate(float(aurocs[s]), chosen, inner[:, s], own[self.test, s, -1])
        return float(aurocs[s])
