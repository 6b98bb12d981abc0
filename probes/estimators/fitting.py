"""How a search fits an estimator: one call fits every strength, row mask and label vector of a feature matrix.

``each`` turns any probe with scikit-learn's interface into a fitter by a plain loop; the logistic solver shares its
products between all fits. To let an estimator compete: one file with its class and an :class:`Estimator`, and one line
in ``probes/registry.py``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from jaxtyping import Bool, Float

from probes.arrays import Array
from probes.linear import Scaling

if TYPE_CHECKING:
    from probes.estimators.base import Probe


class Sequences(tuple[Array, ...]):
    """Rows of several positions each, ``[position, d]``; the features of estimators that read sequences."""

    def __getitem__(self, rows: Any) -> Any:
        """One row's matrix for an integer; the chosen rows for a mask or a list of indices."""
        if isinstance(rows, (int, np.integer)):
            return super().__getitem__(int(rows))
        index = np.flatnonzero(rows) if np.asarray(rows).dtype == bool else np.asarray(rows, dtype=int)
        return Sequences(super(Sequences, self).__getitem__(int(i)) for i in index)

    def pooled(self) -> Float[np.ndarray, "row d"]:
        """Mean over each row's positions."""
        return np.stack([row.mean(0) for row in self])


Features = Array | Sequences


class Fits(Protocol):
    """All fits of one feature matrix."""

    @property
    def scores(self) -> Float[np.ndarray, "row strength mask vector"]:
        """Score of every row, trained on or not; higher is more likely positive."""

    def probe(self, strength: int, mask: int, vector: int) -> "Probe":
        """One fit, with its own preprocessing."""


class Fitter(Protocol):
    """Fits one feature matrix many times."""

    def strengths(self, penalties: Sequence[float]) -> tuple[float, ...]:
        """What is searched over: the configured values of C, or 1 alone where the estimator has no strength."""

    def on(self, device: str) -> "Fitter":
        """The same, computing on a device of torch's; itself, where it computes on the CPU only."""

    def fit(
        self,
        x: Any,
        labels: Bool[np.ndarray, "row vector"],
        masks: Bool[np.ndarray, "row mask"],
        strengths: Sequence[float],
        scaling: Scaling,
    ) -> Fits:
        """Fit on the rows of each mask, which leaves rows of both classes under every label vector."""


@dataclass(frozen=True)
class Estimator:
    """What may compete in a run.

    Attributes:
        probe: class of its fits; also what is saved.
        reads: one vector a row, or the sequence of a row's positions.
        pool: the matrix that it makes of sequences, for the search on permuted labels; None: the mean.
    """

    probe: "type[Probe]"
    fitter: Fitter
    reads: Literal["vector", "sequence"] = "vector"
    pool: Callable[[Sequences], Array] | None = None


@dataclass(frozen=True)
class _Looped:
    scores: Array
    probes: dict[tuple[int, int, int], "Probe"]

    def probe(self, strength: int, mask: int, vector: int) -> "Probe":
        return self.probes[strength, mask, vector]


@dataclass(frozen=True)
class _Each:
    make: "Callable[[float], Probe]"
    has_strength: bool

    def on(self, device: str) -> Fitter:
        trained_there = "device" in self.make(1.0).get_params()
        return replace(self, make=lambda c: self.make(c).set_params(device=device)) if trained_there else self

    def strengths(self, penalties: Sequence[float]) -> tuple[float, ...]:
        return tuple(penalties) if self.has_strength else (1.0,)

    def fit(self, x: Any, labels: Any, masks: Any, strengths: Sequence[float], scaling: Scaling) -> Fits:
        del scaling  # such probes carry their own
        shape = (len(strengths), masks.shape[1], labels.shape[1])
        scores, probes = np.zeros((len(labels), *shape)), {}
        for s, m, v in np.ndindex(*shape):
            rows = masks[:, m]
            probes[s, m, v] = self.make(strengths[s]).fit(x[rows], labels[rows, v])
            scores[:, s, m, v] = probes[s, m, v].decision_function(x)
        return _Looped(scores, probes)


def each(make: "Callable[[float], Probe]", has_strength: bool = True) -> Fitter:
    """A fitter that fits a probe once for every strength, mask and label vector.

    Args:
        make: a new probe of the given strength; stronger means less regularised, as C does. One with a parameter
            ``device`` is trained on the device of the search.
        has_strength: the probe has one; else it is fitted with 1 alone.
    """
    return _Each(make, has_strength)
