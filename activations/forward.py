"""The bare forward call. Whoever runs a model runs it through here, so that what families differ in stands once."""

import inspect
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from jaxtyping import Bool, Int
from torch import Tensor, nn

CACHES = ("cache", "past_key_values")
"""Names of a cache of keys and values: transformers renamed it in 5.24, and takes the old one until 5.40."""
_CACHE_NAMES = (*CACHES, "cache_params")


class Inputs(Protocol):
    """What a forward reads; a :class:`~activations.batching.PaddedBatch` is one."""

    @property
    def ids(self) -> Int[Tensor, "batch new"]:
        """Tokens to compute."""
        ...

    @property
    def attention_mask(self) -> Bool[Tensor, "batch seq"] | None:
        """Real tokens, those in the cache included; None where all are, or where none that is not stands before one."""
        ...

    @property
    def position_ids(self) -> Int[Tensor, "batch new"]:
        """Positions of the tokens to compute, counted from each row's first real token."""
        ...


@dataclass(frozen=True)
class Step:
    """Inputs given one by one; see :class:`Inputs`."""

    ids: Int[Tensor, "batch new"]
    attention_mask: Bool[Tensor, "batch seq"] | None
    position_ids: Int[Tensor, "batch new"]


@cache
def _accepted(kind: Any) -> frozenset[str] | None:
    """Names of the arguments that a class of modules takes; None where it takes any."""
    parameters = inspect.signature(kind.forward).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return frozenset(parameters)


def cache_name(model: nn.Module) -> str | None:
    """Under what name a model takes the cache that it goes on from; None where it takes none."""
    parameters = inspect.signature(type(model).forward).parameters
    return next((name for name in _CACHE_NAMES if name in parameters), None)


def forward(
    model: Any,
    inputs: Inputs,
    *,
    head: bool = True,
    last_only: bool = False,
    cache: Any = None,
    hidden_states: bool = False,
) -> Any:
    """Run a model once, with positions and mask stated.

    Args:
        model: a causal language model of ``transformers``.
        head: with the LM head; without it the decoder alone is run.
        last_only: logits of the last token alone are wanted (a family that cannot do so gives them all).
        cache: what the model goes on from, and adds to.
        hidden_states: keep what enters each block, and what leaves the final norm.

    Returns:
        The model's own output: ``logits`` with the head, ``last_hidden_state`` without.
    """
    module = model if head else model.base_model
    mask = inputs.attention_mask
    arguments: dict[str, Any] = {
        "attention_mask": None if mask is None else mask.long(),
        "position_ids": inputs.position_ids,
        "use_cache": cache is not None,
    }
    if head and last_only:
        arguments["logits_to_keep"] = 1
    if cache is not None:
        arguments[cache_name(model) or CACHES[1]] = cache
    if hidden_states:
        arguments["output_hidden_states"] = True
    accepted = _accepted(module.__class__)
    if accepted is not None:
        arguments = {name: value for name, value in arguments.items() if name in accepted}
    return module(input_ids=inputs.ids, **arguments)
