"""What one detector may choose from, and the cells that hold activations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activations import ModelStore, Site
from experiments.detectors.rows import Rows
from experiments.records import Family, PositionRow
from probes.arrays import Array
from probes.linear import Scaling

Cells = dict[str, Array]

RESOLVED_SHARE = 0.9
"""A position that fewer of the rows resolve is left out of the probes."""


@dataclass(frozen=True)
class DetectorCells:
    """What one detector may choose from.

    Attributes:
        reads: for the table: what it looks at.
        family: its part in the contest.
        cells: feature matrices ``[row, d]``, by name.
        riders: its search is repeated on permuted labels and control tasks, and without each kind and direction.
        per_prompt: it reads the prompt alone, so the rollouts of a prompt count as one row.
        forest: a random forest in place of the linear search.
        scaling: how features are standardised.
        vocabulary: of bag-of-words cells, to score other rows the same way.
        shipped: it is also fitted on all rows, for use on other rows and models.
        forwards: model forwards that its features cost.
        seconds: what its features cost, training apart.
    """

    name: str
    reads: str
    cells: Cells
    family: Family = "baseline"
    riders: bool = False
    per_prompt: bool = False
    forest: bool = False
    scaling: Scaling = "feature"
    vocabulary: tuple[str, ...] = ()
    shipped: bool = True
    forwards: int = 0
    seconds: float = 0.0


def usable_positions(rows: Rows, names: Sequence[str]) -> tuple[str, ...]:
    """Positions that nearly all rows resolve."""
    return tuple(name for name in names if np.mean([name in at.tokens for at in rows.hinted_at]) >= RESOLVED_SHARE)


def with_positions(rows: Rows, names: Sequence[str]) -> Rows:
    """Rows that resolve every one of these positions."""
    return rows.take(lambda i: all(name in rows.hinted_at[i].tokens for name in names))


def activation_cells(
    store: ModelStore, places: Sequence[PositionRow], sites: Sequence[Site], positions: Sequence[str]
) -> Cells:
    """One cell per site and position, read from the store; ``[row, d_model]`` each."""
    cells = {}
    for position in positions:
        entries = [(bytes.fromhex(at.row_hash), at.tokens[position]) for at in places]
        for site in sites:
            cells[cell_name(site, position)] = store.read(site, entries).double().numpy()
    return cells


def cell_name(site: Site, position: str) -> str:
    """``resid_post.3@prompt_end``."""
    return f"{site}@{position}"


def split_cell_name(name: str) -> tuple[Site, str]:
    """Undo :func:`cell_name`."""
    site, _, position = name.partition("@")
    return Site.parse(site), position
