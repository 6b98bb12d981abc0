"""Stage 5: put the states of the run without this hint into the hinted run, cell by cell, with placebos beside."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from activations.sites import Site, decoder_blocks
from experiments.interventions.pairs import PairMaker, candidates
from experiments.records.accounts import PatchAccount
from experiments.records.causal import PatchCell, PatchPart, PatchSource
from experiments.records.seeds import stream
from experiments.records.stages import cells_table
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


def _pairs(run: ModelRun, comparison: PatchSource, reasons: Counter[str], rng: np.random.Generator) -> list[PatchPair]:
    records = run.records
    rows = candidates(list(records.labels.values()), comparison)
    settings = run.config.patch
    maker = PairMaker(run.loaded, comparison, settings.readout, settings.positions)
    pairs: list[PatchPair] = []
    for k in rng.permutation(len(rows)):
        other = records.sibling(rows[k].rollout_id, comparison)
        if other is None:
            reasons[f"{comparison}: there is no such run"] += 1
            continue
        pair = maker.make(records.items[rows[k].item_id], records.rollouts[rows[k].rollout_id], other)
        if isinstance(pair, str):
            reasons[f"{comparison}: {pair}"] += 1
        else:
            pairs.append(pair)
        if len(pairs) == settings.pairs:
            break
    return pairs


def _sites(run: ModelRun) -> list[Site]:
    n_layers = len(decoder_blocks(run.loaded.model))
    return [Site(layer, component) for component in run.config.patch.components for layer in range(n_layers)]


def _patch(run: ModelRun, folder: Path) -> PatchAccount:
    reasons: Counter[str] = Counter()
    parts, cells = FinishedParts(folder), list[PatchCell]()
    account: dict[str, Any] = {"pairs": 0, "cells": 0, "whole_forwards": 0, "work": 0.0, "unaligned": {}}
    for comparison in run.config.patch.comparisons:
        pairs = _pairs(run, comparison, reasons, stream(run.config.seed, "patch", run.model_name, comparison))
        account["pairs"] += len(pairs)
        if len(pairs) < 2:
            continue
        for direction in run.config.patch.directions:
            grid = partial(_grid_of, run, pairs, comparison, direction)
            part = parts.made(f"{comparison}-{direction}", PatchPart, grid)
            cells += part.cells
            _add(account, comparison, direction, part)
    cells_table(folder).replace(cells)
    parts.clear()
    return PatchAccount.model_validate({**account, "dropped": dict(reasons)})


def _grid_of(run: ModelRun, pairs: Sequence[PatchPair], comparison: PatchSource, direction: Direction) -> PatchPart:
    rng = stream(run.config.seed, "patch", run.model_name, comparison, direction)
    chosen = pairs if direction == "noising" else [pair.reversed() for pair in pairs]
    effects = _effects(run, chosen, rng)
    bootstrap = cluster_bootstrap([pair.group for pair in chosen], run.config.compare.bootstrap, rng)
    common = {"comparison": comparison, "direction": direction}
    return PatchPart(
        cells=tuple(_cells(effects, bootstrap, run.config.patch.least_gap, common)),
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
    effects: PatchEffects, bootstrap: Bootstrap, least_gap: float, common: Mapping[str, Any]
) -> Iterator[PatchCell]:
    for cell, found in effects.patched.items():
        own = effects.recovery(cell, bootstrap, least_gap, least_total=LEAST_TOTAL["logit_difference"])
        probability = effects.recovery(cell, metric="probability", least_total=LEAST_TOTAL["probability"])
        yield PatchCell(
            **common,
            site=str(cell.site),
            head=cell.head,
            position=cell.position,
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


def _mean(values: np.ndarray[Any, Any]) -> float | None:
    return float(np.nanmean(values)) if not np.isnan(values).all() else None


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def patch_summary(run: ModelRun) -> PatchSummary:
    """The first comparison's grid, each placebo at its largest per site; every cell is in the stage's own table."""
    cells = [cell for cell in run.records.patched_cells if cell.recovery is not None]
    first = cells[0] if cells else None
    shown = [cell for cell in cells if first and _grid(cell) == _grid(first)]
    named = [cell for cell in shown if cell.control is None]
    largest: dict[tuple[str, Control], PatchCell] = {}
    for cell in sorted(shown, key=_size):
        if cell.control is not None:
            largest[cell.site, cell.control] = cell.model_copy(update={"position": cell.control})
    placebos = sorted(largest.values(), key=_size)
    account = run.account(PatchAccount)
    return PatchSummary(
        pairs=account.pairs,
        dropped=account.dropped,
        best=max(named, key=lambda cell: cell.recovery or 0.0, default=None),
        placebo=placebos[-1] if placebos else None,
        cells=(*named, *placebos),
    )


def _grid(cell: PatchCell) -> tuple[str, str, int | None]:
    return cell.comparison, cell.direction, cell.head


def _size(cell: PatchCell) -> float:
    return abs(cell.recovery or 0.0)


STAGE = Stage(PatchAccount, "patch", ("judge",), lambda run, _: run_patch(run), "patch", patch_summary)
