"""Does a vector added to the stream just before the recall move the answer, to the hint and away from it?"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from activations import Add, Decoding, LoadedModel, Site, capture, generate
from activations.sites import decoder_blocks
from experiments.organisms.interventions import answer_of
from experiments.organisms.joined import Measured
from experiments.organisms.reading import recall_index
from experiments.organisms.shares import share

N_ROWS = 160
"""At most this many rows of each class in each half."""
N_CHOOSING = 50
"""Of them, rows of the first half that layer and scale are chosen on."""
SCALES = (0.5, 1.0, 2.0)
_LEAST = 12
"""Fewest rows of each class in each half."""

States = Float[Tensor, "row width"]


class Steered:
    """Rows cut just before the recalled heading, and their states there."""

    def __init__(self, loaded: LoadedModel, rows: Sequence[Measured], decoding: Decoding) -> None:
        """Keep those whose recall can be found."""
        places = [recall_index(loaded.tokenizer, row.hinted) for row in rows]
        kept = [(row, at) for row, at in zip(rows, places, strict=True) if at is not None]
        self.loaded, self.decoding = loaded, decoding
        self.rows = [row for row, _ in kept]
        self.prefixes = [row.hinted.prompt_ids + row.hinted.completion_ids[:at] for row, at in kept]

    def states(self, sites: Sequence[Site]) -> dict[Site, States]:
        """The stream at the last token of each prefix."""
        width = self.loaded.model.config.hidden_size
        found = {site: torch.zeros(len(self.rows), width) for site in sites}
        for indices, captured in capture(self.loaded, self.prefixes, [[len(p) - 1] for p in self.prefixes], sites):
            for site, values in captured.items():
                found[site][list(indices)] = values[:, 0].float()
        return found

    def answers(self, chosen: Sequence[int], site: Site, vector: Float[Tensor, " width"]) -> list[str | None]:
        """Answers of some rows with a vector added to their last state."""
        prefixes = [self.prefixes[i] for i in chosen]
        edit = Add(site, [[len(prefix) - 1] for prefix in prefixes], direction=vector)
        seeds = [self.rows[i].hinted.seed for i in chosen]
        completions = generate(self.loaded, prefixes, self.decoding, seeds=seeds, edits=[edit])
        return [
            answer_of(self.loaded, self.rows[i].item, prefix[len(self.rows[i].hinted.prompt_ids) :] + done.ids)
            for i, prefix, done in zip(chosen, prefixes, completions, strict=True)
        ]


def steering(
    loaded: LoadedModel, rows: Sequence[Measured], decoding: Decoding, rng: np.random.Generator
) -> dict[str, Any] | None:
    """Steer by the difference of means between rows that rely and rows that resist, taken within kinds of hint.

    The vector is taken, and its layer and scale are chosen, on half of the people: those that move most beyond what a
    random vector of the same length moves. They are tried on the other half: subtracted from reliant rows, added to
    resisted ones.

    Returns:
        ``to_own`` (reliant rows that give the unhinted answer), ``to_hint`` (resisted rows that answer h), ``random``
        (rows of either that a random vector moves so), ``layer``, ``scale`` (1: the difference of the means) and
        ``relative`` (its length over that of the states there); None where either class is too small.
    """
    steered = Steered(loaded, [row for row in rows if row.label.behaviour in ("reliant", "resisted")], decoding)
    groups = sorted({row.label.group for row in steered.rows})
    first = {group for group, half in zip(groups, rng.permutation(len(groups)) % 2, strict=True) if half}
    halves = [_by_class(steered.rows, {g for g in groups if (g in first) == side}) for side in (True, False)]
    if min(len(chosen) for half in halves for chosen in half.values()) < _LEAST:
        return None
    sites = [Site(layer, "resid_post") for layer in range(len(decoder_blocks(loaded.model)) - 1)]
    states = steered.states(sites)
    vectors = {site: _difference(steered.rows, halves[0], found) for site, found in states.items()}
    few = {relies: chosen[:N_CHOOSING] for relies, chosen in halves[0].items()}
    tried = [(site, scale) for site in sites for scale in SCALES]
    gains = [_gain(steered, few, site, scale * vectors[site], rng) for site, scale in tried]
    site, scale = tried[int(np.argmax(gains))]
    vector = scale * vectors[site]
    own, hint = _moved(steered, halves[1], site, vector)
    by_chance = _moved(steered, halves[1], site, _as_long(vector, rng))
    return {
        "layer": site.layer,
        "scale": scale,
        "relative": float(vector.norm() / states[site].norm(dim=-1).median()),
        "to_own": share(own),
        "to_hint": share(hint),
        "random": share([moved for side in by_chance for moved in side]),
    }


def _by_class(rows: Sequence[Measured], groups: set[str]) -> dict[bool, list[int]]:
    """Indices of reliant (True) and resisted rows of some people."""
    found: dict[bool, list[int]] = {True: [], False: []}
    for i, row in enumerate(rows):
        if row.label.group in groups and len(found[row.reliant]) < N_ROWS:
            found[row.reliant].append(i)
    return found


def _difference(rows: Sequence[Measured], half: dict[bool, list[int]], states: States) -> Float[Tensor, " width"]:
    """Mean over kinds of the difference between the classes' means; kinds that lack a class are left out."""
    by_kind: dict[str, dict[bool, list[int]]] = defaultdict(lambda: {True: [], False: []})
    for relies, chosen in half.items():
        for i in chosen:
            by_kind[rows[i].item.kind][relies].append(i)
    both = [kind for kind in by_kind.values() if kind[True] and kind[False]]
    return torch.stack([states[kind[True]].mean(0) - states[kind[False]].mean(0) for kind in both]).mean(0)


def _as_long(vector: Float[Tensor, " width"], rng: np.random.Generator) -> Float[Tensor, " width"]:
    """A random vector of the same length."""
    noise = torch.from_numpy(rng.normal(size=len(vector))).float()
    return noise * float(vector.norm() / noise.norm())


def _gain(
    steered: Steered,
    half: dict[bool, list[int]],
    site: Site,
    vector: Float[Tensor, " width"],
    rng: np.random.Generator,
) -> float:
    """Share of rows moved as wanted, less the share that a random vector moves so."""
    own, hint = _moved(steered, half, site, vector)
    by_chance = _moved(steered, half, site, _as_long(vector, rng))
    return float(np.mean(own) + np.mean(hint) - np.mean(by_chance[0]) - np.mean(by_chance[1]))


def _moved(
    steered: Steered, half: dict[bool, list[int]], site: Site, vector: Float[Tensor, " width"]
) -> tuple[list[bool], list[bool]]:
    """Which reliant rows return to the unhinted answer, and which resisted ones come to answer h."""
    rows = steered.rows
    away = steered.answers(half[True], site, -vector)
    towards = steered.answers(half[False], site, vector)
    own = [a == rows[i].label.unhinted_answer for a, i in zip(away, half[True], strict=True)]
    hint = [a == rows[i].label.target for a, i in zip(towards, half[False], strict=True)]
    return own, hint
