"""Pairs × sites × positions: every cell patched, with placebos beside, and what it all did to the readout."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from activations import LoadedModel, Site
from activations.abilities import padded_left
from activations.batching import by_length
from activations.errors import HintprobeError
from activations.hooks import head_shape
from activations.partial import KeptRun, keep_run
from activations.sites import decoder_blocks
from probes.arrays import Array
from probes.bootstrap import Bootstrap
from probes.names import Control
from probes.patching.engine import Account, Patch, part_of, run_patches
from probes.patching.metrics import METRICS, Metric, Recovery, Reference, measure, recovery
from probes.patching.pairs import PatchPair
from probes.patching.placebos import matched_positions, other_pairs, random_directions, same_length

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Cell:
    """A place of the grid: site, named position, perhaps one head, and whether it is a placebo."""

    site: Site
    position: str
    head: int | None = None
    control: Control | None = None


@dataclass(frozen=True)
class PatchEffects:
    """What patching did to each pair.

    Attributes:
        base, source: metrics of the unpatched runs, each ``[pair]``.
        patched: of the base run with one cell replaced, ``[pair]``; NaN where a pair lacks the cell.
        unaligned: base tokens without a partner in the source run, counted by reason over pairs.
        account: what it cost.
    """

    base: Mapping[Metric, Array]
    source: Mapping[Metric, Array]
    patched: Mapping[Cell, Mapping[Metric, Array]]
    unaligned: Mapping[str, int] = field(default_factory=dict)
    account: Account = field(default_factory=Account)

    def recovery(
        self,
        cell: Cell,
        bootstrap: Bootstrap | None = None,
        least_gap: float = 0.0,
        metric: Metric = "logit_difference",
        least_total: float = 0.0,
    ) -> Recovery:
        """Share of the gap that a cell closes; see :func:`~probes.patching.metrics.recovery`."""
        runs = self.base[metric], self.source[metric], self.patched[cell][metric]
        return recovery(*runs, bootstrap, least_gap, least_total)

    def take(self, rows: Sequence[int]) -> "PatchEffects":
        """The effects on some of the pairs."""
        chosen = list(rows)

        def some(values: Mapping[Metric, Array]) -> dict[Metric, Array]:
            return {metric: found[chosen] for metric, found in values.items()}

        patched = {cell: some(values) for cell, values in self.patched.items()}
        return PatchEffects(some(self.base), some(self.source), patched, self.unaligned, self.account)

    def to_frame(self, least_gap: float = 0.0, metric: Metric = "logit_difference") -> "pd.DataFrame":
        """A line per cell: where it is, its recovery, and of how many pairs; placebos have a ``control``."""
        import pandas as pd

        found = {cell: self.recovery(cell, None, least_gap, metric) for cell in self.patched}
        return pd.DataFrame(
            {
                "site": str(cell.site), "position": cell.position, "head": cell.head, "control": cell.control,
                "recovery": recovered.ratio, "pairs": recovered.n,
            }
            for cell, recovered in found.items()
        )  # fmt: skip

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False, float_format="{:.2f}".format))


@torch.no_grad()
def patch_pairs(
    loaded: LoadedModel,
    pairs: Sequence[PatchPair],
    sites: Sequence[Site],
    *,
    heads: bool = False,
    controls: Sequence[Control] = (),
    rng: np.random.Generator | None = None,
    token_budget: int = 8192,
    only: Collection[Cell] | None = None,
    on_cells: Callable[[int], None] | None = None,
    rows: Sequence[int] | None = None,
) -> PatchEffects:
    """Put the source run's states into the base run at every (site, position), and read the result.

    Cells whose states are the same in both runs are not run: their effect is exactly none. The others start at their
    block and token (:mod:`probes.patching.engine`).

    Args:
        heads: at head_z sites, every head by itself instead of all together.
        controls: placebos to run at every cell, see :mod:`probes.patching.placebos`; they need ``rng``.
        token_budget: padded tokens of the runs kept at a time; memory grows with it.
        only: cells of the grid to run; by default all.
        on_cells: called with how many cells were done.
        rows: which of the pairs to run; the others only lend their states to placebos, and their results are NaN. What
            is drawn for a pair depends on ``rng`` and its place alone, not on which rows are run.

    Raises:
        HintprobeError: no pairs, a site or head the model lacks, states or logits that are not finite.
    """
    if not pairs:
        raise HintprobeError("There are no pairs to patch.")
    if controls and rng is None:
        raise HintprobeError("Placebos are drawn at random: pass `rng`.")
    keys = [key for key in grid_cells(loaded, sites, pairs, heads, controls) if only is None or key in only]
    base, source = ({metric: np.full(len(pairs), np.nan) for metric in METRICS} for _ in range(2))
    patched = {key: {metric: np.full(len(pairs), np.nan) for metric in METRICS} for key in keys}
    account = Account()
    partners = other_pairs(pairs, rng) if "other_states" in controls and rng is not None else None
    seeds = [int(seed) for seed in rng.integers(2**62, size=len(pairs))] if rng is not None else []
    run = list(range(len(pairs)) if rows is None else rows)
    lengths = [max(len(pairs[i].base_ids), len(pairs[i].source_ids)) for i in run]
    for planned in by_length(lengths, token_budget):
        indices = [run[k] for k in planned]
        batch = _Batch.run(loaded, pairs, indices, partners, sites)
        for where, kept in ((base, batch.base), (source, batch.source)):
            _write(where, indices, measure(kept.logits, batch.reference, list(range(len(indices)))))
        patches, owners = _patches(batch, keys, [seeds[i] for i in indices] if seeds else None)
        for done, logits in run_patches(batch.base, patches, account):
            of_batch = [patches[k].row for k in done]
            found = measure(logits, batch.reference, of_batch)
            for at, (k, row) in enumerate(zip(done, of_batch, strict=True)):
                for metric, values in found.items():
                    patched[owners[k]][metric][indices[row]] = values[at]
            if on_cells:
                on_cells(len(done))
    unaligned = sum((Counter(pairs[i].aligned.unaligned) for i in run), Counter())
    return PatchEffects(base, source, patched, dict(unaligned), account)


def _write(where: Mapping[Metric, Array], indices: list[int], found: Mapping[Metric, Array]) -> None:
    for metric, values in found.items():
        where[metric][indices] = values


def n_cells(
    loaded: LoadedModel, pairs: Sequence[PatchPair], sites: Sequence[Site], heads: bool, controls: Sequence[Control]
) -> int:
    """How many patched runs a grid is at most."""
    keys = list(grid_cells(loaded, sites, pairs, heads, controls))
    return sum(key.position in pair.positions for key in keys for pair in pairs)


def grid_cells(
    loaded: LoadedModel,
    sites: Sequence[Site],
    pairs: Sequence[PatchPair],
    heads: bool = False,
    controls: Sequence[Control] = (),
) -> Iterator[Cell]:
    """Every cell of a grid: sites × names of positions × heads × placebos."""
    n_layers = len(decoder_blocks(loaded.model))
    names = list(dict.fromkeys(name for pair in pairs for name in pair.positions))
    for site in sites:
        if not 0 <= site.layer < n_layers:
            raise HintprobeError(f"Site {site} was to be patched, and the model has blocks 0 to {n_layers - 1}.")
        each = range(head_shape(loaded.model, site.layer)[0]) if heads and site.component == "head_z" else (None,)
        for name in names:
            for head in each:
                yield from (Cell(site, name, head, control) for control in (None, *controls))


@dataclass(frozen=True)
class _Batch:
    """Some pairs with both their runs kept, and a stranger's source run for each."""

    pairs: list[PatchPair]
    base: KeptRun
    source: KeptRun
    strangers: list[PatchPair]
    strange: KeptRun | None

    @classmethod
    def run(
        cls,
        loaded: LoadedModel,
        pairs: Sequence[PatchPair],
        indices: Sequence[int],
        partners: Sequence[int] | None,
        sites: Sequence[Site],
    ) -> "_Batch":
        inner = [site for site in sites if site.component not in ("resid_pre", "resid_post")]
        last = [s for s in sites if s == Site(len(decoder_blocks(loaded.model)) - 1, "resid_post")]

        def kept(rows: Sequence[Sequence[int]]) -> KeptRun:
            batch = padded_left(loaded, rows)
            return keep_run(loaded, batch, inner + last)

        chosen = [pairs[i] for i in indices]
        strangers = [pairs[partners[i]] for i in indices] if partners is not None else []
        return cls(
            chosen,
            kept([pair.base_ids for pair in chosen]),
            kept([pair.source_ids for pair in chosen]),
            strangers,
            kept([pair.source_ids for pair in strangers]) if strangers else None,
        )

    @cached_property
    def reference(self) -> Reference:
        """The base runs' own predictions."""
        tokens = torch.tensor([[pair.base_token, pair.source_token] for pair in self.pairs])
        return Reference.of(self.base.logits, tokens, [pair.answers for pair in self.pairs])

    def source_states(self, row: int, cell: Cell, positions: Sequence[int]) -> Tensor:
        source_of = self.pairs[row].aligned.source_of
        return _states(self.source, row, cell, [source_of[p] for p in positions])


def _states(kept: KeptRun, row: int, cell: Cell, positions: Sequence[int]) -> Tensor:
    columns = [p + int(kept.batch.offset[row]) for p in positions]
    return part_of(kept, cell.site, cell.head, kept.state(cell.site)[row, columns])


def _patches(batch: _Batch, keys: Sequence[Cell], seeds: Sequence[int] | None) -> tuple[list[Patch], list[Cell]]:
    """Every cell of every pair that has it, and whose patch each is; a pair's placebos are drawn with its own seed."""
    matched: dict[tuple[int, str], tuple[int, ...] | None] = {}
    patches: list[Patch] = []
    owners: list[Cell] = []
    for row, pair in enumerate(batch.pairs):
        rng, generator = np.random.default_rng(seeds[row] if seeds else 0), torch.Generator()
        generator.manual_seed(seeds[row] if seeds else 0)
        for cell in keys:
            if cell.position not in pair.positions or pair.source_positions(cell.position) is None:
                continue
            if cell.control == "random_positions" and (row, cell.position) not in matched:
                matched[row, cell.position] = matched_positions(pair, cell.position, rng)
            found = _states_for(batch, row, cell, matched.get((row, cell.position)), generator)
            if found is not None:
                patches.append(Patch(row, cell.site, *found, cell.head))
                owners.append(cell)
    return patches, owners


def _states_for(
    batch: _Batch, row: int, cell: Cell, matched: tuple[int, ...] | None, generator: torch.Generator
) -> tuple[tuple[int, ...], Tensor] | None:
    """Positions and the states that a cell puts there; None where a pair has none."""
    positions = batch.pairs[row].positions[cell.position]
    if cell.control is None:
        return positions, batch.source_states(row, cell, positions)
    if cell.control == "random_positions":
        return None if matched is None else (matched, batch.source_states(row, cell, matched))
    if cell.control == "random_directions":
        clean, source = _states(batch.base, row, cell, positions), batch.source_states(row, cell, positions)
        return positions, random_directions(clean, source, generator)
    stranger = batch.strangers[row]
    where = stranger.source_positions(cell.position) if cell.position in stranger.positions else None
    if where is None or batch.strange is None:
        return None
    return positions, same_length(_states(batch.strange, row, cell, where), len(positions))
