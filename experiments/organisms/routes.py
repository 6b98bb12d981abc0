"""By which states of the prompt the hint travels: residual patching, hinted run against swapped run."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from activations import LoadedModel, Site
from activations.sites import decoder_blocks
from experiments.interventions.pairs import PairMaker
from experiments.organisms.joined import Measured
from experiments.run.model_run import ModelRun
from probes import Bootstrap, cluster_bootstrap
from probes.patching import PatchEffects, PatchPair, patch_pairs
from probes.patching.grid import Cell

N_PAIRS = 48
LEAST_GAP = 0.5
"""Pairs whose two runs differ by less, in nats of logit difference, are counted out."""
LATE = 2
"""From this layer on a hint that was passed on no longer hangs on the pointer's token."""
_NAMES = ("pointer", "prompt_end")


def past_pointer(pair: PatchPair) -> PatchPair:
    """The pair, patched at the pointer, at all prompt tokens after it, and at the prompt's last token."""
    pointer, end = pair.positions["pointer"], pair.positions["prompt_end"][0]
    return replace(pair, positions={**pair.positions, "past_pointer": tuple(range(max(pointer) + 1, end + 1))})


def swapped_pairs(run: ModelRun, rows: Sequence[Measured], rng: np.random.Generator) -> list[PatchPair]:
    """Strongly reliant rows against their swapped runs, read at the first token in which the two differ."""
    strong = [row for row in rows if row.reliant and row.label.strong]
    maker = PairMaker(run.tokenizer, "swapped", "first_divergence", _NAMES)
    pairs: list[PatchPair] = []
    for k in rng.permutation(len(strong)):
        row = strong[int(k)]
        other = run.records.sibling(row.hinted.id, "swapped")
        pair = maker.make(row.item, row.hinted, other) if other is not None else ""
        if isinstance(pair, PatchPair):
            pairs.append(past_pointer(pair))
        if len(pairs) == N_PAIRS:
            break
    return pairs


def routes(
    loaded: LoadedModel, pairs: Sequence[PatchPair], n_resamples: int, rng: np.random.Generator, first: int = LATE
) -> dict[str, Any]:
    """Recovery by layer and place in both directions.

    Args:
        first: the layer from which on the best one is looked for.

    Returns:
        Per direction: ``cells`` (recovery by site and place), and the layer that recovers most from ``first`` on, of
        the prompt's tokens after the pointer (``past_pointer``) and of the pointer's token alone (``pointer_late``).
    """
    n_layers = len(decoder_blocks(loaded.model))
    sites = [Site(layer, "resid_pre") for layer in range(n_layers)]
    result: dict[str, Any] = {}
    for direction in ("noising", "denoising"):
        chosen = list(pairs) if direction == "noising" else [pair.reversed() for pair in pairs]
        effects = patch_pairs(loaded, chosen, sites)
        bootstrap = cluster_bootstrap([pair.group for pair in chosen], n_resamples, rng)
        cells = {
            f"{cell.site}@{cell.position}": _recovered(effects, cell, bootstrap)
            for cell in effects.patched
            if cell.control is None
        }
        late = [f"resid_pre.{layer}" for layer in range(first, n_layers)]
        result[direction] = {
            "past_pointer": _largest([cells[f"{site}@past_pointer"] for site in late]),
            "pointer_late": _largest([cells[f"{site}@pointer"] for site in late]),
            "cells": cells,
        }
    return result


def _recovered(effects: PatchEffects, cell: Cell, bootstrap: Bootstrap) -> dict[str, Any]:
    found = effects.recovery(cell, bootstrap, LEAST_GAP)
    value = found.ratio if np.isfinite(found.ratio) else None
    return {"value": value, "low": found.low, "high": found.high, "n": found.n}


def _largest(cells: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    known = [cell for cell in cells if cell["value"] is not None]
    return max(known, key=lambda cell: float(cell["value"]), default=None)
