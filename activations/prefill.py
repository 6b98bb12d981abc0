"""Prompts are read: prompts of about one length together, and the tokens that several of them begin with once."""

import itertools
from collections.abc import Sequence
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import DynamicCache

from activations.batching import Ids, by_length, pad_left
from activations.forward import Step, forward
from activations.kv_cache import joined, roomy_cache
from activations.models import LoadedModel

_WORTH = 512
"""Tokens that a second forward has to save: it reads all weights again."""


def distinct(rows: Sequence[Ids]) -> tuple[list[Ids], list[int]]:
    """The rows that differ, in the order in which they appear, and for each row which of them it is."""
    number: dict[Ids, int] = {}
    which = [number.setdefault(tuple(row), len(number)) for row in rows]
    return list(number), which


def read_prompts(
    loaded: LoadedModel, prompts: Sequence[Ids], spare: int
) -> tuple[Float[Tensor, "row vocabulary"], DynamicCache]:
    """Logits after every prompt, and the cache to go on from, its rows padded on the left.

    Args:
        prompts: longest first, those that begin alike side by side.
        spare: tokens that the cache has room for.
    """
    lengths = [len(prompt) for prompt in prompts]
    whole = len(prompts) * lengths[0]
    pieces = [[prompts[i] for i in piece] for piece in by_length(lengths, whole)]
    read = [_read(loaded, piece, roomy_cache(loaded.model, spare)) for piece in pieces]
    return torch.cat([logits for logits, _ in read]), joined([cache for _, cache in read])


def _read(
    loaded: LoadedModel, prompts: Sequence[Ids], cache: DynamicCache
) -> tuple[Float[Tensor, "row vocabulary"], DynamicCache]:
    """Read prompts of about one length, in two forwards where many of them begin alike."""
    ending = own_ending(prompts)
    if not ending:
        return _last(loaded, pad_left(prompts, loaded.pad_id, loaded.device), cache), cache
    beginnings, which = distinct([prompt[:-ending] for prompt in prompts])
    batch = pad_left(beginnings, loaded.pad_id, loaded.device)
    forward(loaded.model, batch, cache=cache, last_only=True)
    index = torch.tensor(which, device=loaded.device)
    cache.reorder_cache(cast("torch.LongTensor", index))
    ids: Int[Tensor, "row ending"] = torch.tensor([list(prompt[-ending:]) for prompt in prompts], device=loaded.device)
    mask = torch.nn.functional.pad(batch.mask[index], (0, ending), value=True) if batch.masked else None
    start = batch.mask.sum(-1)[index, None]
    positions = start + torch.arange(ending, device=loaded.device)
    return _last(loaded, Step(ids, mask, positions), cache), cache


def _last(loaded: LoadedModel, inputs: Any, cache: DynamicCache) -> Float[Tensor, "row vocabulary"]:
    logits: Tensor = forward(loaded.model, inputs, cache=cache, last_only=True).logits[:, -1]
    return logits.float()


def own_ending(prompts: Sequence[Ids]) -> int:
    """How many tokens each prompt reads by itself, at its end, for the fewest in all; 0 where sharing saves little.

    One number for all, so that no padding stands inside a row: a sliding window counts columns.

    Args:
        prompts: those that begin alike side by side. Only prompts of one length share their beginning.
    """
    if len(prompts) < 2:
        return 0
    needs = [len(prompts[0]), *(_own(a, b) for a, b in itertools.pairwise(prompts))]
    shortest, whole = min(map(len, prompts)), sum(map(len, prompts))

    def read(ending: int) -> int:
        beginnings = sum(len(p) - ending for p, need in zip(prompts, needs, strict=True) if need > ending)
        return beginnings + len(prompts) * ending

    best = min((need for need in {*needs} if need < shortest), key=read, default=0)
    return best if whole - read(best) >= _WORTH else 0


def _own(before: Ids, prompt: Ids) -> int:
    """Tokens at a prompt's end from the first that differs from the prompt before it."""
    if len(before) != len(prompt):
        return len(prompt)
    return next((len(prompt) - k for k, (a, b) in enumerate(zip(before, prompt, strict=True)) if a != b), 0)
