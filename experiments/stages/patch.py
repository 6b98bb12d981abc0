"""Stage 5: put the states of the run without this hint into the hinted run, cell by cell, with placebos beside."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from activations.sites import Site, decoder_blocks
from experiments.interventions.pairs import PairMaker, candidates, parts_at_letter
from experiments.interventions.patched import away_from_readout, redraw_patched
from experiments.records import Label, Rollout
from experiments.records.accounts import PatchAccount
from experiments.records.causal import PatchCell, PatchPart, PatchRedrawn, PatchSource
from experiments.records.seeds import stream
from experiments.records.stages import cells_table, redrawn_table
from experiments.records.summary import PatchSummary
from experiments.run.finished import FinishedParts
from experiments.run.model_run import ModelRun, StageResult
from experiments.run.stage import Stage
from probes import Bootstrap, cluster_bootstrap
from probes.estimates import LEAST_TOTAL
from probes.patching import Control, PatchEffects, PatchPair, n_cells, patch_pairs

Direction = Literal["noising", "denoising"]


def run_patch(run: ModelRun) -> StageResult:
    """Patch a model's reliant rows, or find that done."""
    settings = run.config.patch.model_dump(exclude={"token_budget"})
    depends = (
        run.results["judge"].signature, settings, run.config.compare.bootstrap, run.config.seed, run.config.numerics,
    )  # fmt: skip
    return run.stage(PatchAccount, depends, lambda folder: _patch(run, folder), uses_model=True)


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
    maker = PairMaker(run.loaded, comparison, settings.readout, settings.positions)
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
            pairs.append(_Made(pair, rows[k], hinted, other, parts_at_letter(run.loaded, item, hinted, pair)))
        if len(pairs) == settings.pairs:
            break
    return pairs


def _sites(run: ModelRun) -> list[Site]:
    n_layers = len(decoder_blocks(run.loaded.model))
    return [Site(layer, component) for component in run.config.patch.components for layer in range(n_layers)]


def _patch(run: ModelRun, folder: Path) -> PatchAccount:
    reasons: Counter[str] = Counter()
    parts, cells, redrawn = FinishedParts(folder), list[PatchCell](), list[PatchRedrawn]()
    account: dict[str, Any] = {"pairs": 0, "cells": 0, "whole_forwards": 0, "work": 0.0, "unaligned": {}}
    for comparison in run.config.patch.comparisons:
        made = _pairs(run, comparison, reasons, stream(run.config.seed, "patch", run.model_name, comparison))
        letters = [one.at_letter for one in made]
        account["pairs"] += len(made)
        account.setdefault("at_letter", {})[comparison] = sum(letters)
        if len(made) < 2:
            continue
        for direction in run.config.patch.directions:
            grid = partial(_grid_of, run, made, comparison, direction)
            part = parts.made(f"{comparison}-{direction}", PatchPart, grid)
            cells += part.cells
            _add(account, comparison, direction, part)
        if run.config.patch.regenerate:
            redrawn += redraw_patched(run, comparison, cells, made, run.config.patch.regenerate)
    cells_table(folder).replace(cells)
    redrawn_table(folder).replace(redrawn)
    parts.clear()
    return PatchAccount.model_validate({**account, "dropped": dict(reasons)})


def _grid_of(run: ModelRun, made: Sequence[_Made], comparison: PatchSource, direction: Direction) -> PatchPart:
    rng = stream(run.config.seed, "patch", run.model_name, comparison, direction)
    pairs, letters = [one.pair for one in made], [one.at_letter for one in made]
    chosen = pairs if direction == "noising" else [pair.reversed() for pair in pairs]
    effects = _effects(run, chosen, rng)
    bootstrap = cluster_bootstrap([pair.group for pair in chosen], run.config.compare.bootstrap, rng)
    common, least_gap = {"comparison": comparison, "direction": direction}, run.config.patch.least_gap
    return PatchPart(
        cells=(
            *_cells(effects, bootstrap, least_gap, {**common, "diverges": "all"}, _distances(chosen)),
            *_parted(effects, bootstrap, least_gap, common, letters),
        ),
        n_cells=effects.account.cells,
        whole=effects.account.whole,
        work=effects.account.work,
        unaligned=dict(effects.unaligned),
        gap={
            "base": float(effects.base["logit_difference"].mean()),
            "source": float(effects.source["logit_difference"].mean()),
        },
    )


def _effects(run: ModelRun, pairs: Sequence[PatchPair], rng: np.random.Generator) -> PatchEffects:
    settings, sites = run.config.patch, _sites(run)
    # Placebos of another question need two questions.
    controls = [c for c in settings.controls if c != "other_states" or len({pair.group for pair in pairs}) > 1]
    total = n_cells(run.loaded, pairs, sites, settings.heads, controls)
    with run.reporter.bar("patch", total) as tick:
        return patch_pairs(
            run.loaded,
            pairs,
            sites,
            heads=settings.heads,
            controls=controls,
            rng=rng,
            token_budget=settings.token_budget,
            on_cells=tick,
        )


def _add(account: dict[str, Any], comparison: PatchSource, direction: Direction, part: PatchPart) -> None:
    """Enter what a grid cost, what its pairs lacked, and how far its two runs are apart."""
    account["cells"] += part.n_cells
    account["whole_forwards"] += part.whole
    account["work"] += part.work
    if part.unaligned:
        account["unaligned"][comparison] = part.unaligned
    account.setdefault("gaps", {})[f"{comparison} {direction}"] = part.gap


def _cells(
    effects: PatchEffects,
    bootstrap: Bootstrap,
    least_gap: float,
    common: Mapping[str, Any],
    distances: Mapping[str, float],
) -> Iterator[PatchCell]:
    for cell, found in effects.patched.items():
        own = effects.recovery(cell, bootstrap, least_gap, least_total=LEAST_TOTAL["logit_difference"])
        probability = effects.recovery(cell, metric="probability", least_total=LEAST_TOTAL["probability"])
        yield PatchCell(
            **common,
            site=str(cell.site),
            head=cell.head,
            position=cell.position,
            to_readout=distances.get(cell.position),
            control=cell.control,
            recovery=_number(own.ratio),
            low=own.low,
            high=own.high,
            probability=_number(probability.ratio),
            kl=_mean(found["kl"]),
            flips=_mean(found["flip"]),
            n=own.n,
            small_gap=own.small_gap,
            unpatched=own.unpatched,
        )


def _parted(
    effects: PatchEffects, bootstrap: Bootstrap, least_gap: float, common: Mapping[str, Any], letters: Sequence[bool]
) -> Iterator[PatchCell]:
    """The cells, placebos apart, over pairs that part at the answer's letter and over the others, where there are both.

    Where completions part at the letter, all reasoning stands in the text that both runs share, and a recovery says
    where the answer is read off, not where the hint acts.
    """
    if all(letters) or not any(letters):
        return
    named = replace(effects, patched={cell: found for cell, found in effects.patched.items() if cell.control is None})
    for value, name in ((True, "letter"), (False, "other")):
        rows = [k for k, letter in enumerate(letters) if letter == value]
        yield from _cells(named.take(rows), bootstrap.take(rows), least_gap, {**common, "diverges": name}, {})


def _distances(pairs: Sequence[PatchPair]) -> dict[str, float]:
    """Median tokens from each named position to the readout."""
    names = dict.fromkeys(name for pair in pairs for name in pair.positions)
    return {
        name: float(np.median([len(p.base_ids) - 1 - max(p.positions[name]) for p in pairs if name in p.positions]))
        for name in names
    }


def _mean(values: np.ndarray[Any, Any]) -> float | None:
    return float(np.nanmean(values)) if not np.isnan(values).all() else None


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def patch_summary(run: ModelRun) -> PatchSummary:
    """The first comparison's grid, each placebo at its largest per site; every cell is in the stage's own table."""
    cells = [cell for cell in run.records.patched_cells if cell.recovery is not None and cell.diverges == "all"]
    first = cells[0] if cells else None
    shown = [cell for cell in cells if first and _grid(cell) == _grid(first)]
    named = [cell for cell in shown if cell.control is None]
    largest: dict[tuple[str, Control], PatchCell] = {}
    for cell in sorted(shown, key=_size):
        if cell.control is not None:
            largest[cell.site, cell.control] = cell.model_copy(update={"position": cell.control})
    placebos = sorted(largest.values(), key=_size)
    account = run.account(PatchAccount)
    best = max(filter(away_from_readout, named), key=lambda cell: cell.recovery or 0.0, default=None)
    apart = [cell for cell in run.records.patched_cells if cell.recovery is not None and cell.diverges != "all"]
    return PatchSummary(
        pairs=account.pairs,
        dropped=account.dropped,
        best=best,
        best_by_divergence={cell.diverges: cell for cell in apart if best and _same_cell(cell, best)},
        at_letter=account.at_letter.get(first.comparison) if first else None,
        redrawn=run.records.read("patch", redrawn_table),
        placebo=placebos[-1] if placebos else None,
        cells=(*named, *placebos),
    )


def _same_cell(cell: PatchCell, other: PatchCell) -> bool:
    return (_grid(cell), cell.site, cell.position) == (_grid(other), other.site, other.position)


def _grid(cell: PatchCell) -> tuple[str, str, int | None]:
    return cell.comparison, cell.direction, cell.head


def _size(cell: PatchCell) -> float:
    return abs(cell.recovery or 0.0)


STAGE = Stage(PatchAccount, "patch", ("judge",), lambda run, _: run_patch(run), "patch", patch_summary)
