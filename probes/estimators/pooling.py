"""Probes over all positions of a text that first make one vector of them: mean, last position, trajectory."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from activations.errors import HintprobeError
from probes.arrays import Array
from probes.estimators.base import Probe
from probes.estimators.batched import BatchedLogistic
from probes.estimators.fitting import Estimator, Fits
from probes.estimators.linear import LogisticProbe
from probes.linear import Scaling

SEGMENTS = 4
"""Parts of equal length that a trajectory is cut into."""


class PooledProbe(Probe):
    """Logistic regression on one vector made of all positions of a row.

    Parameters:
        C: inverse strength of the L2 penalty.
    """

    ARRAYS = ("mean_", "scale_", "coef_", "intercept_")
    WIDTHS: ClassVar[int] = 1
    """How many times a position's width the vector is wide."""

    def __init__(self, C: float = 1.0) -> None:
        self.C = C

    @staticmethod
    @abstractmethod
    def pool(row: Float[np.ndarray, "position d"]) -> Float[np.ndarray, "wide"]:
        """One vector of a row's positions."""

    @classmethod
    def pooled(cls, X: Any) -> Float[np.ndarray, "row wide"]:
        """The vector of each row; a matrix is read as rows of one position.

        Raises:
            HintprobeError: a row without a position.
        """
        rows = X[:, None] if isinstance(X, np.ndarray) and X.ndim == 2 else X
        if any(len(row) == 0 for row in rows):
            raise HintprobeError("A probe of sequences needs at least one position in every row, and a row has none.")
        return np.stack([cls.pool(np.asarray(row)) for row in rows])

    def fit(self, X: Sequence[Float[np.ndarray, "position d"]], y: ArrayLike) -> Self:
        """Fit on rows of positions, each ``[position, d]``, and one label a row.

        Raises:
            HintprobeError: a row without a position.
        """
        positive = self._take_classes(y)
        self._take(LogisticProbe(C=self.C).fit(self.pooled(X), positive))
        return self

    def _take(self, read: LogisticProbe) -> None:
        for name in self.ARRAYS:
            setattr(self, name, getattr(read, name))
        self.n_features_in_ = len(self.mean_) // self.WIDTHS

    def restore(self, state: Any, classes: ArrayLike) -> Self:
        """Undo :meth:`state`."""
        super().restore(state, classes)
        self.n_features_in_ = len(self.mean_) // self.WIDTHS
        return self

    def decision_function(self, X: Any) -> Array:
        """Log-odds of each row."""
        check_is_fitted(self)
        score: Array = ((self.pooled(X) - self.mean_) / self.scale_) @ self.coef_[0] + self.intercept_[0]
        return score


class MeanPoolingProbe(PooledProbe):
    """Logistic regression on the mean position."""

    @staticmethod
    def pool(row: Float[np.ndarray, "position d"]) -> Float[np.ndarray, "d"]:
        """The mean position."""
        found: Array = row.mean(0)
        return found


class LastTokenProbe(PooledProbe):
    """Logistic regression on the last position."""

    @staticmethod
    def pool(row: Float[np.ndarray, "position d"]) -> Float[np.ndarray, "d"]:
        """The last position."""
        found: Array = row[-1]
        return found


class TrajectoryProbe(PooledProbe):
    """Logistic regression on where a text's states were in each quarter of it: it sees how they moved.

    A state that comes and goes leaves the mean and the last position as they were; in the quarters it shows.
    """

    WIDTHS = SEGMENTS

    @staticmethod
    def pool(row: Float[np.ndarray, "position d"]) -> Float[np.ndarray, "wide"]:
        """The mean of each of :data:`SEGMENTS` parts of equal length, in order: ``4 d`` numbers.

        A text of fewer positions than parts has some of them twice.
        """
        cuts = np.linspace(0, len(row), SEGMENTS + 1)
        parts = [row[int(a) : max(int(np.ceil(b)), int(a) + 1)] for a, b in pairwise(cuts)]
        return np.concatenate([part.mean(0) for part in parts])


@dataclass(frozen=True)
class _PooledFits:
    fits: Fits
    of: type[PooledProbe]

    @property
    def scores(self) -> Array:
        return self.fits.scores

    def probe(self, strength: int, mask: int, vector: int) -> PooledProbe:
        read = self.fits.probe(strength, mask, vector)
        return self.of(**read.get_params()).restore(read.state(), read.classes_)


@dataclass(frozen=True)
class _Pooled:
    """Pools once, then all fits share a solve."""

    of: type[PooledProbe]
    solver: BatchedLogistic = field(default_factory=BatchedLogistic)

    def strengths(self, penalties: Sequence[float]) -> tuple[float, ...]:
        return self.solver.strengths(penalties)

    def on(self, device: str) -> "_Pooled":
        return _Pooled(self.of, self.solver.on(device))

    def fit(self, x: Any, labels: Any, masks: Any, strengths: Sequence[float], scaling: Scaling) -> Fits:
        return _PooledFits(self.solver.fit(self.of.pooled(x), labels, masks, strengths, scaling), self.of)


def _estimator(of: type[PooledProbe]) -> Estimator:
    return Estimator(of, _Pooled(of), reads="sequence", pool=of.pooled)


MEAN_POOLING = _estimator(MeanPoolingProbe)
LAST_TOKEN = _estimator(LastTokenProbe)
TRAJECTORY = _estimator(TrajectoryProbe)
