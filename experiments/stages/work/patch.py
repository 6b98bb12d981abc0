"""The patching at work: cell by cell, with placebos beside."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from activations.sites import Site, decoder_blocks
from experiments.interventions.pairs import PairMaker, candidates, parts_at_letter
from experiments.interventions.patched import redraw_patched
from experiments.records import Label, Rollout
from experiments.records.accounts import Gap, PatchAccount
from experiments.records.causal import PatchCell, PatchRedrawn, PatchSource
from experiments.records.seeds import stream
from experiments.records.stages import cells_table, patched_table, redrawn_table
from experiments.run.model_run import ModelRun
from experiments.run.parts import added
from experiments.run.progress import Tick
from experiments.stages.work.patch_cells import Grid, cells_of, distances, effects_of, parted, row_of
from probes import cluster_bootstrap
from probes.patching import Control, PatchPair, n_cells, patch_pairs

_CELLS = 16
"""Forwards that a pair's cells are worth, roughly."""


@dataclass(frozen=True)
class _Made:
    """A pair, the row that it comes from, and whether its completions part at the letter of the answer."""

    pair: PatchPair
    label: Label
    hinted: Rollout
    source: Rollout
    at_letter: bool


def _pairs(run: ModelRun, comparison: PatchSource, reasons: Counter[str], rng: np.random.Generator) -> list[_Made]:
    records = run.records
    rows = candidates(list(records.labels.values()), comparison)
    settings = run.config.patch
    maker = PairMaker(run.tokenizer, comparison, settings.readout, settings.positions)
    pairs: list[_Made] = []
    for k in rng.permutation(len(rows)):
        other = records.sibling(rows[k].rollout_id, comparison)
        if other is None:
            reasons[f"{comparison}: there is no such run"] += 1
            continue
        item, hinted = records.items[rows[k].item_id], records.rollouts[rows[k].rollout_id]
        pair = maker.make(item, hinted, other)
        if isinstance(pair, str):
            reasons[f"{comparison}: {pair}"] += 1
        else:
            pairs.append(_Made(pair, rows[k], hinted, other, parts_at_letter(run.tokenizer, item, hinted, pair)))
        if len(pairs) == settings.pairs:
            break
    return pairs


@dataclass
class Patching:
    """The patching at work. A row is one pair in one grid: a comparison and a direction."""

    run: ModelRun
    folder: Path
    title: str = "patch"
    batched: bool = True

    def __post_init__(self) -> None:
        run, settings = self.run, self.run.config.patch
        self.reasons: Counter[str] = Counter()
        self.found = {
            c: _pairs(run, c, self.reasons, stream(run.config.seed, "patch", run.model_name, c))
            for c in settings.comparisons
        }
        grids: list[Grid] = [(c, d) for c, pairs in self.found.items() if len(pairs) > 1 for d in settings.directions]
        self.grids = {
            grid: [made.pair if grid[1] == "noising" else made.pair.reversed() for made in self.found[grid[0]]]
            for grid in grids
        }
        self.rows = [(grid, k) for grid, pairs in self.grids.items() for k in range(len(pairs))]
        items = self.run.records.items
        self.keys: Sequence[str] = [items[self._label(grid, k).item_id].question.id for grid, k in self.rows]
        self.forwards = _CELLS * len(self.rows)
        self.table = patched_table(self.folder)
        self.done = {(row.comparison, row.direction, row.rollout_id): row for row in self.table.resume()}
        self.run.reporter.say_lost(self.table.path, self.table.lost)
        self.cost: dict[str, float] = {}

    def _label(self, grid: Grid, k: int) -> Label:
        return self.found[grid[0]][k].label

    def _key(self, grid: Grid, k: int) -> tuple[PatchSource, Literal["noising", "denoising"], str]:
        return *grid, self._label(grid, k).rollout_id

    @cached_property
    def sites(self) -> list[Site]:
        """What is patched."""
        n_layers = len(decoder_blocks(self.run.loaded.model))
        return [Site(layer, component) for component in self.run.config.patch.components for layer in range(n_layers)]

    def _controls(self, pairs: Sequence[PatchPair]) -> list[Control]:
        """Placebos of another question need two questions."""
        several = len({pair.group for pair in pairs}) > 1
        return [c for c in self.run.config.patch.controls if c != "other_states" or several]

    def ticks(self, rows: Sequence[int]) -> int:
        """Cells at most."""
        heads, run = self.run.config.patch.heads, self.run
        chosen = [(pairs, [k for g, k in map(self.rows.__getitem__, rows) if g == grid])
                  for grid, pairs in self.grids.items()]  # fmt: skip
        return sum(
            n_cells(run.loaded, [pairs[k] for k in of_it], self.sites, heads, self._controls(pairs))
            for pairs, of_it in chosen
            if of_it
        )

    def do(self, rows: Sequence[int], tick: Tick) -> None:
        """Patch some pairs, each with every cell; the others of their grid lend placebos their states."""
        settings, chosen = self.run.config.patch, [self.rows[row] for row in rows]
        for grid, pairs in self.grids.items():
            of_it = [k for g, k in chosen if g == grid]
            if all(self._key(grid, k) in self.done for k in of_it):
                continue
            effects = patch_pairs(
                self.run.loaded,
                pairs,
                self.sites,
                heads=settings.heads,
                controls=self._controls(pairs),
                rng=stream(self.run.config.seed, "placebos", self.run.model_name, *grid),
                token_budget=settings.token_budget,
                on_cells=tick,
                rows=of_it,
            )
            self.cost = added([self.cost, asdict(effects.account)])
            new = [row_of(effects, grid, self._label(grid, k), k) for k in of_it]
            self.table.append(new)
            self.done.update({(row.comparison, row.direction, row.rollout_id): row for row in new})

    def close(self) -> dict[str, Any]:
        """What the cells cost."""
        return {"cost": dict(self.cost)}

    def finish(self, counts: Mapping[str, Any]) -> PatchAccount:
        """Every cell over all pairs."""
        config, cost = self.run.config, counts["cost"]
        self.table.replace([self.done[self._key(grid, k)] for grid, k in self.rows])
        cells, unaligned, gaps = list[PatchCell](), dict[str, dict[str, int]](), dict[str, Gap]()
        least_gap = config.patch.least_gap
        for (comparison, direction), pairs in self.grids.items():
            rows = [self.done[self._key((comparison, direction), k)] for k in range(len(pairs))]
            effects = effects_of(rows, pairs)
            rng = stream(config.seed, "patch resamples", self.run.model_name, comparison, direction)
            bootstrap = cluster_bootstrap([pair.group for pair in pairs], config.compare.bootstrap, rng)
            common = {"comparison": comparison, "direction": direction}
            cells += cells_of(effects, bootstrap, least_gap, {**common, "diverges": "all"}, distances(pairs))
            letters = [made.at_letter for made in self.found[comparison]]
            cells += parted(effects, bootstrap, least_gap, common, letters)
            if effects.unaligned:
                unaligned[comparison] = dict(effects.unaligned)
            base, source = (runs["logit_difference"].mean() for runs in (effects.base, effects.source))
            gaps[f"{comparison} {direction}"] = Gap(base=float(base), source=float(source))
        cells_table(self.folder).replace(cells)
        redrawn_table(self.folder).replace(self._redrawn(cells))
        return PatchAccount(
            pairs=sum(map(len, self.found.values())),
            cells=cost.get("cells", 0),
            whole_forwards=cost.get("whole", 0),
            work=round(cost.get("work", 0.0), 6),  # added up in another order by other parts
            unaligned=unaligned,
            gaps=gaps,
            at_letter={c: sum(made.at_letter for made in pairs) for c, pairs in self.found.items()},
            dropped=dict(self.reasons),
        )

    def _redrawn(self, cells: Sequence[PatchCell]) -> list[PatchRedrawn]:
        """Answers under the cells that recover most of all pairs, which runs the model."""
        n, pairs = self.run.config.patch.regenerate, {c: self.found[c] for c, _ in self.grids}
        return [row for c, made in pairs.items() for row in redraw_patched(self.run, c, cells, made, n)] if n else []
