"""Token-level generation: batched, cached, with shared sampling noise and under edits.

``transformers``' own ``generate`` has no per-row noise and no per-row edits; both are what paired causal
comparisons need, so the loop is ours. Greedy output equals ``generate(do_sample=False)`` (tested).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from activations.batching import Ids, PaddedBatch, by_length, pad_left, with_backoff
from activations.edits import Edit, check_edits, check_fired, editing
from activations.errors import HintprobeError
from activations.kv_cache import roomy_cache
from activations.models import LoadedModel
from activations.positions import Window

_ROOM = 64
"""Tokens that the cache grows by: more would be copied, empty, whenever a finished row is dropped."""

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Decoding:
    """How to pick tokens.

    Attributes:
        temperature: 0 takes the most likely token; above, Gumbel noise is added to logits / temperature.
        max_new_tokens: where an unfinished completion is cut.
        token_budget: padded tokens per batch, prompt and completion together.
    """

    temperature: float = 0.0
    max_new_tokens: int = 256
    token_budget: int = 32_768


@dataclass(frozen=True)
class Completion:
    """What one row produced.

    Attributes:
        ids: new tokens, the end token included where it was reached.
        margins: top-two logit difference at each new token, in nats.
    """

    ids: tuple[int, ...]
    margins: tuple[float, ...]
    finish_reason: FinishReason


@dataclass
class _Running:
    """A batch while it is being decoded."""

    batch: PaddedBatch
    window: Window
    cache: Any = None
    step: int = 0


def stop_ids(loaded: LoadedModel) -> set[int]:
    """Tokens at which a completion ends: the generation configuration's, and the tokenizer's own."""
    configured = loaded.model.generation_config.eos_token_id if loaded.model.generation_config else None
    listed = configured if isinstance(configured, list) else [configured]
    return {token for token in [*listed, loaded.tokenizer.eos_token_id] if token is not None}


def _gumbel(draws: Sequence[tuple[int, int]], vocabulary: int) -> Float[Tensor, "batch vocabulary"]:
    """Noise that depends on a row's seed and the step alone: two prompts of one seed share it."""
    return torch.stack([torch.from_numpy(np.random.default_rng(key).gumbel(size=vocabulary)).float() for key in draws])


def _next_logits(loaded: LoadedModel, state: _Running, ids: Int[Tensor, "batch new"]) -> Float[Tensor, "batch vocab"]:
    n_new = ids.shape[1]
    state.window.batch, state.window.n_new = state.batch, n_new
    output = loaded.model(
        input_ids=ids,
        attention_mask=state.batch.mask.long(),
        position_ids=state.batch.position_ids[:, -n_new:],
        past_key_values=state.cache,
        use_cache=True,
        logits_to_keep=1,
    )
    state.cache = output.past_key_values
    logits: Tensor = output.logits[:, -1].float()
    return logits


def _extend(state: _Running, token: Int[Tensor, "batch"]) -> None:
    """Append one real token to every row."""
    batch = state.batch
    ids = torch.cat([batch.ids, token[:, None]], dim=1)
    mask = torch.cat([batch.mask, torch.ones_like(token[:, None], dtype=torch.bool)], dim=1)
    state.batch = PaddedBatch(ids, mask, batch.offset)
    state.step += 1


def _keep(state: _Running, kept: list[int]) -> None:
    """Drop finished rows, from the batch, from the edits and from the cache."""
    rows = torch.tensor(kept, dtype=torch.long, device=state.batch.ids.device)
    state.batch = PaddedBatch(state.batch.ids[rows], state.batch.mask[rows], state.batch.offset[rows])
    state.window.rows = [state.window.rows[k] for k in kept]
    state.cache.batch_select_indices(rows)


def _decode(
    loaded: LoadedModel, state: _Running, decoding: Decoding, streams: Sequence[tuple[int, int]]
) -> list[Completion]:
    """Draw until every row has ended; a row's noise is that of its seed, from its first step on."""
    n_rows = len(state.batch.ids)
    tokens: list[list[int]] = [[] for _ in range(n_rows)]
    margins: list[list[float]] = [[] for _ in range(n_rows)]
    alive, stops, new = list(range(n_rows)), stop_ids(loaded), state.batch.ids
    finished: set[int] = set()
    while alive:
        logits = _next_logits(loaded, state, new)
        top = logits.topk(2, dim=-1).values
        gaps = (top[:, 0] - top[:, 1]).tolist()
        _check_numbers(gaps)
        if decoding.temperature > 0:
            draws = [(seed, first + state.step) for seed, first in (streams[i] for i in alive)]
            noise = _gumbel(draws, logits.shape[-1])
            logits = logits / decoding.temperature + noise.to(logits.device)
        chosen = logits.argmax(-1)
        stay = []
        for k, (row, token) in enumerate(zip(alive, chosen.tolist(), strict=True)):
            tokens[row].append(token)
            margins[row].append(gaps[k])
            if token in stops:
                finished.add(row)
            elif len(tokens[row]) < decoding.max_new_tokens:
                stay.append(k)
        _extend(state, chosen)
        if len(stay) < len(alive):
            alive = [alive[k] for k in stay]
            if alive:
                _keep(state, stay)
        new = state.batch.ids[:, -1:]
    return [
        Completion(tuple(tokens[i]), tuple(margins[i]), "stop" if i in finished else "length") for i in range(n_rows)
    ]


def _check_numbers(gaps: Sequence[float]) -> None:
    if any(math.isnan(gap) for gap in gaps):
        raise HintprobeError(
            "The model's logits are not numbers. An edit may have put in states that are too large (lower its scale), "
            "or the dtype overflows on this model (load it in bfloat16 or float32)."
        )


@torch.no_grad()
def generate(
    loaded: LoadedModel,
    rows: Sequence[Ids],
    decoding: Decoding,
    seeds: Sequence[int] | None = None,
    edits: Sequence[Edit] = (),
    on_batch: Callable[[list[int], list[Completion]], None] | None = None,
    drawn: Sequence[int] | None = None,
) -> list[Completion]:
    """Complete every row.

    Args:
        rows: prompt token ids.
        seeds: one per row, needed above temperature 0. Rows that share a seed share their noise step by step.
        edits: applied at every forward. Their positions lie in the prompts; :func:`~activations.positions.onwards`
            takes in the new tokens, each edited as it is computed. ``Knockout.hiding`` hides prompt tokens from all
            later ones.
        on_batch: called with row indices and results as each batch ends, so that a caller can save them.
        drawn: per row, how many tokens at its end were drawn with its seed before: its noise goes on from there.

    Returns:
        One completion per row, in the order given.

    Raises:
        HintprobeError: sampling without a seed per row, an edit that does not fit the rows or the model or that never
            fired, or logits that are not numbers.
    """
    if decoding.temperature > 0 and len(seeds or ()) != len(rows):
        raise HintprobeError(
            f"Sampling {len(rows)} rows at temperature {decoding.temperature:g} needs a seed for each, and "
            f"{len(seeds or ())} were given. Pass `seeds`, or temperature 0."
        )
    check_edits(edits, [len(row) for row in rows])
    results: dict[int, Completion] = {}
    fired: set[int] = set()
    streams = list(zip(seeds or [0] * len(rows), drawn or [0] * len(rows), strict=True))
    lengths = [len(row) + decoding.max_new_tokens for row in rows]

    def run(indices: list[int]) -> list[Completion]:
        batch = pad_left([rows[i] for i in indices], loaded.tokenizer.pad_token_id, loaded.device)
        with editing(loaded, batch, edits, rows=indices) as window:
            cache = roomy_cache(loaded.model, min(decoding.max_new_tokens, _ROOM))
            completions = _decode(loaded, _Running(batch, window, cache), decoding, [streams[i] for i in indices])
        fired.update(window.fired)
        return completions

    for planned in by_length(lengths, decoding.token_budget):
        for indices, completions in with_backoff(planned, run):
            results.update(zip(indices, completions, strict=True))
            if on_batch:
                on_batch(indices, completions)
    check_fired(edits, fired)
    return [results[i] for i in range(len(rows))]
