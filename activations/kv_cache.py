"""Key-value caches: one with room for tokens to come, and two for forwards that start in the middle."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer


class RoomyLayer(DynamicLayer):
    """A dynamic layer whose keys and values are views of buffers with spare room at the end.

    Attributes:
        spare: tokens that fit before the buffers are made anew.
    """

    def __init__(self, spare: int) -> None:
        super().__init__()
        self.spare = spare
        self._buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append states, ``[batch, head, token, head_dim]``, and return all there are."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        length = int(self.get_seq_length())
        end = length + key_states.shape[-2]
        if self._buffers is None or self._buffers[0].shape[-2] < end:
            self._buffers = (self._enlarged(self.keys, key_states, end), self._enlarged(self.values, value_states, end))
        keys, values = self._buffers
        keys[:, :, length:end] = key_states
        values[:, :, length:end] = value_states
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values

    def _enlarged(self, old: Tensor | None, like: Tensor, end: int) -> Tensor:
        batch, heads, _, width = like.shape
        buffer = torch.empty(batch, heads, end + self.spare, width, dtype=like.dtype, device=like.device)
        if old is not None and old.numel():
            buffer[:, :, : old.shape[-2]] = old
        return buffer

    def drop_buffers(self) -> None:
        """Keys and values were put in anew: the next states make buffers of their own."""
        self._buffers = None

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep some rows, some of them more than once, and the room with them."""
        if self._buffers is None:
            super().reorder_cache(cast("torch.LongTensor", beam_idx))
            return
        length = int(self.get_seq_length())
        keys, values = (buffer[beam_idx] for buffer in self._buffers)
        self._buffers = (keys, values)
        self.keys, self.values = keys[:, :, :length], values[:, :, :length]


def roomy_cache(model: PreTrainedModel, spare: int) -> DynamicCache:
    """The cache a model would use, on the CPU with its plain layers replaced by roomy ones.

    On CUDA copying a cache costs a step little, and attention over views of a larger buffer costs it more.
    """
    cache = DynamicCache(config=model.config)
    if model.device.type == "cuda":
        return cache
    cache.layers = [RoomyLayer(spare) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def joined(caches: Sequence[DynamicCache]) -> DynamicCache:
    """One cache of all rows, padded on the left to the first, which is the widest. The others are emptied."""
    first, *others = caches
    if not others:
        return first
    for layer, *more in zip(*(cache.layers for cache in caches), strict=True):
        if layer.is_initialized:  # a layer may use the keys of another
            _join([layer, *more])
    return first


def _join(layers: Sequence[Any]) -> None:
    """Let the first layer hold the rows of all; a sliding window of each is as wide as it has tokens."""
    first, *others = layers
    held = first.keys.shape[-2]
    keys, values = (
        torch.cat([torch.nn.functional.pad(part, (0, 0, held - part.shape[-2], 0)) for part in parts])
        for parts in ([layer.keys for layer in layers], [layer.values for layer in layers])
    )
    for layer in others:
        layer.reset()
    if isinstance(first, RoomyLayer):
        first.drop_buffers()
    first.keys, first.values = keys, values


def cache_among(arguments: Mapping[str, Any]) -> tuple[str, Cache] | None:
    """The cache among a block's arguments, under whatever name its family passes it."""
    return next(((name, value) for name, value in arguments.items() if isinstance(value, Cache)), None)


class PrefixCache(DynamicCache):
    """Gives a block the keys and values of a prefix before its own, and keeps none.

    Args:
        keys, values: of the prefix, ``[batch or 1, head, token, head_dim]``.
    """

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self._prefix = keys, values

    def update(self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any) -> tuple[Tensor, Tensor]:
        """Prefix and new states."""
        n_rows = len(key_states)
        keys, values = (part.expand(n_rows, -1, -1, -1) for part in self._prefix)
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)


class KeysTakenError(Exception):
    """Raised by a :class:`KeyTaker` once it has what it wants."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.keys, self.values = keys, values


class KeyTaker(DynamicCache):
    """Ends a block's forward as soon as its keys and values are there: neither attention nor MLP is computed."""

    def update(self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any) -> tuple[Tensor, Tensor]:
        """Raise what was given."""
        raise KeysTakenError(key_states, value_states)
