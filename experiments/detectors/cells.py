"""What one detector may choose from, and the cells that hold activations."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from activations import ModelStore, Site
from experiments.detectors.rows import Rows
from experiments.records import Family, PositionRow
from experiments.records.detectors import Source
from probes.arrays import Array
from probes.estimators.fitting import Features
from probes.linear import Scaling

RESOLVED_SHARE = 0.9
"""A position that fewer of the rows resolve is left out of the probes."""


class Place(NamedTuple):
    """A site at a named position: what a cell of activations is called."""

    site: Site
    position: str

    def __str__(self) -> str:
        return f"{self.site}@{self.position}"


Cells = Mapping[Any, Features]
"""Features by :class:`Place`, or by a name where they are no activations."""


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
        riders: its search is repeated on permuted labels and control tasks, and without each kind and direction.
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
    riders: bool = False
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


def activation_cells(
    store: ModelStore, places: Sequence[PositionRow], sites: Sequence[Site], positions: Sequence[str]
) -> dict[Place, Array]:
    """One cell per site and position, read from the store; ``[row, d_model]`` each."""
    cells = {}
    for position in positions:
        entries = [(bytes.fromhex(at.row_hash), at.tokens[position]) for at in places]
        for site in sites:
            cells[Place(site, position)] = store.read(site, entries).double().numpy()
    return cells
