"""What one detector may choose from, and the cells that hold activations."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from activations import ModelStore, Site
from experiments.detectors.rows import Rows
from experiments.records import Family, PositionRow
from experiments.records.detectors import Source
from probes.arrays import Array
from probes.cell_view import Cells
from probes.linear import Scaling

if TYPE_CHECKING:
    from torch import Tensor

RESOLVED_SHARE = 0.9
"""A position that fewer of the rows resolve is left out of the probes."""
KEPT_BYTES = 2**32
"""Of one run's activations that are kept in memory while detectors are trained."""


class Place(NamedTuple):
    """A site at a named position: what a cell of activations is called."""

    site: Site
    position: str

    def __str__(self) -> str:
        return f"{self.site}@{self.position}"


def place_of(cell: Hashable) -> tuple[str | None, str]:
    """Site and position of a cell for records; no site where it holds no activations."""
    return (str(cell.site), cell.position) if isinstance(cell, Place) else (None, str(cell))


@dataclass(frozen=True)
class DetectorCells:
    """What one detector may choose from.

    Attributes:
        reads: for the table: what it looks at.
        family: its part in the contest.
        cells: features to choose from: matrices ``[row, d]``, or sequences of them.
        estimator: what is fitted (`probes/registry.py`).
        rival: it holds what a probe could know without the hint; a find must be ahead of it.
        extra_searches: its search is repeated on permuted labels, on control tasks, and without each kind or direction.
        per_prompt: it reads the prompt alone, so the rollouts of a prompt count as one row.
        sees: the information that it is given, for the table.
        labels: what labels it has seen, for the table.
        forest: a random forest in place of the linear search.
        scaling: how features are standardised.
        vocabulary: of bag-of-words cells, to score other rows the same way.
        shipped: it is also fitted on all rows, for use on other rows and models.
        forwards: model forwards that its features cost.
        seconds: what its features cost, training apart.
        variant_of: the detector whose scores these are in another form.
    """

    name: str
    reads: str
    cells: Cells
    family: Family = "baseline"
    estimator: str = "logistic"
    rival: bool = False
    extra_searches: bool = False
    per_prompt: bool = False
    forest: bool = False
    sees: tuple[Source, ...] = ()
    labels: str = "rows of the target"
    scaling: Scaling = "feature"
    vocabulary: tuple[str, ...] = ()
    shipped: bool = True
    forwards: int = 0
    seconds: float = 0.0
    variant_of: str = ""


def usable_positions(rows: Rows, names: Sequence[str]) -> tuple[str, ...]:
    """Positions that nearly all rows resolve."""
    return tuple(name for name in names if np.mean([name in at.tokens for at in rows.hinted_at]) >= RESOLVED_SHARE)


def with_positions(rows: Rows, names: Sequence[str]) -> Rows:
    """Rows that resolve every one of these positions."""
    return rows.take(lambda i: all(name in rows.hinted_at[i].tokens for name in names))


class StoredCells(Mapping[Place, Array]):
    """One cell per site and position, ``[row, d_model]``, read from the store when it is asked for.

    Cells are kept as they were read up to :data:`KEPT_BYTES`; what does not fit is read again each time, so that the
    cells of a large model need not fit into memory together.
    """

    def __init__(
        self, store: ModelStore, places: Sequence[PositionRow], sites: Sequence[Site], positions: Sequence[str]
    ) -> None:
        self.store, self.places = store, places
        self.names = {Place(site, position): None for position in positions for site in sites}
        self._kept: dict[Place, Float[Tensor, "row d"]] = {}
        self._room = KEPT_BYTES

    def __getitem__(self, place: Place) -> Array:
        if place not in self.names:
            raise KeyError(place)
        values = self._kept.get(place)
        if values is None:
            entries = [(bytes.fromhex(at.row_hash), at.tokens[place.position]) for at in self.places]
            values = self.store.read(place.site, entries)
            size = values.numel() * values.element_size()
            if size <= self._room:
                self._room -= size
                self._kept[place] = values
        found: Array = values.double().numpy()
        return found

    def __iter__(self) -> Iterator[Place]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
