"""Figures of an organism that its states give: how large they are, and what they tell before the chain of thought."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from activations import LoadedModel, Site, capture
from activations.sites import decoder_blocks
from experiments.organisms.behaviour_figures import contrast_of
from experiments.organisms.joined import Measured
from experiments.organisms.reading import recall_index
from experiments.organisms.shares import auroc_figure
from experiments.records import LETTERS
from experiments.records.seeds import stable_int
from probes import Contrast, Search, forest_cv, held_out_auroc, nested_cv
from probes.contrast import fold_strata

SEARCH = Search((1e-3, 1e-2, 1e-1), outer_folds=4, inner_folds=3)
N_NORMS = 64
"""Rows whose prompts' norms are looked at."""
_LEAST = 12
"""Fewest groups of a class that a probe is trained on."""


def _sites(loaded: LoadedModel) -> list[Site]:
    return [Site(layer, "resid_post") for layer in range(len(decoder_blocks(loaded.model)))]


def residual_norms(loaded: LoadedModel, rows: Sequence[Measured]) -> dict[str, float]:
    """Median norm of every prompt token's residual stream after each block."""
    prompts = [row.hinted.prompt_ids for row in rows[:N_NORMS]]
    found: dict[str, list[float]] = {}
    for indices, captured in capture(loaded, prompts, [range(len(ids)) for ids in prompts], _sites(loaded)):
        for site, values in captured.items():
            norms = values.float().norm(dim=-1)
            for k, row in enumerate(indices):
                found.setdefault(str(site), []).extend(norms[k, : len(prompts[row])].tolist())
    return {site: float(np.median(norms)) for site, norms in sorted(found.items())}


def before_cot(
    loaded: LoadedModel, rows: Sequence[Measured], n_resamples: int, rng: np.random.Generator
) -> dict[str, Any]:
    """What probes read before anything is recalled.

    ``reliant``: reliant against aligned within kind × direction. ``follows``: reliant against resisted, of rows whose
    belief does not lead to the target anyway, within kind × direction × certainty; so nothing but the decision to
    follow is left to be read. Each at the end of the prompt and at the token before the recalled heading.
    """
    main = [row for row in rows if row.label.behaviour in ("reliant", "aligned")]
    free = [
        row
        for row in rows
        if row.label.behaviour in ("reliant", "resisted") and row.label.target != LETTERS[row.factors.believed]
    ]
    found: dict[str, Any] = {}
    for name, chosen, certainty in (("reliant", main, False), ("follows", free, True)):
        places = [recall_index(loaded.tokenizer, row.hinted) for row in chosen]
        told = [(row, at) for row, at in zip(chosen, places, strict=True) if at is not None]
        contrast = contrast_of([row for row, _ in told], [row.reliant for row, _ in told], certainty)
        if min(contrast.groups_of(True), contrast.groups_of(False)) >= _LEAST:
            found[name] = _read(loaded, told, contrast, n_resamples, rng)
    return found


def _read(
    loaded: LoadedModel, told: Sequence[tuple[Measured, int]], contrast: Contrast, n: int, rng: np.random.Generator
) -> dict[str, Any]:
    """AUROC of a probe that chooses among all layers, at either place."""
    ids = [row.hinted.prompt_ids + row.hinted.completion_ids[:at] for row, at in told]
    positions = [(len(row.hinted.prompt_ids) - 1, len(whole) - 1) for (row, _), whole in zip(told, ids, strict=True)]
    sites = _sites(loaded)
    states = {site: np.zeros((len(ids), 2, loaded.model.config.hidden_size)) for site in sites}
    for indices, captured in capture(loaded, ids, positions, sites):
        for site, values in captured.items():
            states[site][indices] = values.double().numpy()
    found = {}
    for place, name in enumerate(("prompt_end", "before_recall")):
        cells = {f"{site}@{name}": values[:, place] for site, values in states.items()}
        result = nested_cv(cells, contrast, SEARCH, stable_int(int(rng.integers(2**31)), name) % 2**31)
        strata = fold_strata(result.fold, contrast.strata)
        found[name] = auroc_figure(result.scores, contrast, strata, n, rng)
    return found


def read_from_words(counts: np.ndarray[Any, Any], contrast: Contrast, seed: int) -> dict[str, float]:
    """How well words of the prompt tell a property of held-out persons, linearly and by a forest."""
    search = Search((1e-3, 1e-2, 1e-1, 1.0))
    folds = search.folds(contrast, seed)
    linear = nested_cv({"words": counts}, contrast, search, seed, folds=folds)
    forest = forest_cv(counts, contrast, folds, seed)
    return {
        name: held_out_auroc(scored.scores, contrast.labels, scored.fold, contrast.strata)
        for name, scored in (("bag_of_words", linear), ("forest", forest))
    }
