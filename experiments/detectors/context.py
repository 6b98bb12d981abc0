"""What a builder of detectors may use: one target's rows, the run they come from, and cells that are read once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from activations import ModelStore, Site
from experiments.detectors.cells import StoredCells
from experiments.detectors.rows import Rows
from experiments.detectors.targets import MAIN, Target
from experiments.run.model_run import ModelRun
from probes.cell_view import CellView


def _silent(_: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Context:
    """What detectors of one target are built from.

    Attributes:
        positions: named positions that every row resolves.
        rng: for what is drawn at random.
        forced: entropy of the answer that is forced at the end of each item's unhinted prompt, by item.
        tick: told how many rows some slow step has finished.
    """

    run: ModelRun
    store: ModelStore
    rows: Rows
    sites: tuple[Site, ...]
    positions: tuple[str, ...]
    target: Target
    rng: np.random.Generator
    forced: Mapping[str, float] = field(default_factory=dict, repr=False)
    tick: Callable[[int], None] = field(default=_silent, repr=False)

    @property
    def main(self) -> bool:
        """The target is reliant against aligned."""
        return self.target.name == MAIN

    @cached_property
    def hinted(self) -> StoredCells:
        """Activations of the scored runs at every site and position."""
        return StoredCells(self.store, self.rows.hinted_at, self.sites, self.positions)

    @cached_property
    def unhinted(self) -> StoredCells:
        """Activations of the unhinted runs, at the positions that all of them resolve."""
        shared = [p for p in self.positions if all(p in at.tokens for at in self.rows.unhinted_at)]
        return StoredCells(self.store, self.rows.unhinted_at, self.sites, shared)

    def at(self, positions: Sequence[str]) -> CellView:
        """Those of the scored runs at some positions."""
        return CellView(self.hinted, [place for place in self.hinted if place.position in positions])
