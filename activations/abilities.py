"""What a model's architecture can do, found out on a few tokens where its configuration does not settle it."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from activations.batching import Ids, PaddedBatch, pad_left, pad_right
from activations.errors import HintprobeError
from activations.forward import CACHES, Step, cache_name, forward
from activations.hooks import unseen
from activations.models import LoadedModel

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
_COARSE = 0.1
_ROW = (7, 3, 11, 5, 2, 13, 4)
_FAILURES = (TypeError, ValueError, RuntimeError, IndexError, AttributeError, KeyError, NotImplementedError)


@dataclass(frozen=True)
class Abilities:
    """What forwards of a model may rely on.

    Attributes:
        caches: it goes on from a cache that rows can be taken out of and repeated in.
        shares: it reads a row in two forwards, the second from the cache of the first, padded on the left.
        pads_left: padding before a row, masked, leaves the row's numbers as they are.
        pads_right: padding behind a row, unmasked, does.
    """

    caches: bool
    shares: bool
    pads_left: bool
    pads_right: bool


_known: WeakKeyDictionary[PreTrainedModel, Abilities] = WeakKeyDictionary()


def abilities(model: PreTrainedModel) -> Abilities:
    """What a model can do; looked at once."""
    if model not in _known:
        _known[model] = _Trial(model).run()
    return _known[model]


def keeps_all_keys(model: PreTrainedModel) -> bool:
    """Attention is all that carries one token to another, and the cache keeps every key or a window of them."""
    if cache_name(model) not in CACHES:
        return False
    layers = DynamicCache(config=model.config).layers
    return bool(layers) and all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)


def padded_left(loaded: LoadedModel, rows: Sequence[Ids]) -> PaddedBatch:
    """Rows padded on the left, for a model that can bear it.

    Raises:
        HintprobeError: rows of several lengths, and a model whose numbers padding changes though it is masked.
    """
    if len({len(row) for row in rows}) > 1 and not abilities(loaded.model).pads_left:
        raise HintprobeError(
            f"Rows of {min(map(len, rows))} to {max(map(len, rows))} tokens cannot be run together through "
            f"{type(loaded.model).__name__}: padding before a row changes its numbers, although the padding is masked. "
            "Generation and capture work on this family; readouts, patching and edits need rows of equal length."
        )
    return pad_left(rows, loaded.pad_id, loaded.device)


class _Trial:
    """Short forwards of one row, in several ways that ought to give the same logits."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        embeddings: Any = model.get_input_embeddings()
        size = int(embeddings.weight.shape[0])
        self.row = tuple(token % size for token in _ROW)

    def run(self) -> Abilities:
        with torch.no_grad(), unseen():
            if keeps_all_keys(self.model):
                return Abilities(True, self._holds(self._continued), True, self._holds(self._padded_right))
            left, right = self._holds(self._padded_left), self._holds(self._padded_right)
            return Abilities(self._holds(self._cached), False, left, right)

    def _holds(self, way: Callable[[], Tensor]) -> bool:
        try:
            found, expected = way(), self._alone
        except _FAILURES:
            return False
        if found.shape != expected.shape:
            return False
        error = (found.float() - expected.float()).norm() / expected.float().norm()
        return bool(error <= _TOLERANCE.get(expected.dtype, _COARSE))

    @functools.cached_property
    def _alone(self) -> Tensor:
        """Logits of the row by itself, ``[token, vocabulary]``."""
        batch = pad_left([self.row], 0, self.model.device)
        logits: Tensor = forward(self.model, batch).logits[0]
        return logits

    def _padded_left(self) -> Tensor:
        longer = (*self.row[:4], *self.row)
        logits: Tensor = self._logits(pad_left([longer, self.row], 0, self.model.device))[1, -len(self.row) :]
        return logits

    def _padded_right(self) -> Tensor:
        longer = (*self.row, *self.row[:4])
        logits: Tensor = self._logits(pad_right([longer, self.row], 0, self.model.device, masked=False))
        return logits[1, : len(self.row)]

    def _logits(self, batch: PaddedBatch) -> Tensor:
        logits: Tensor = forward(self.model, batch).logits
        return logits

    def _cached(self) -> Tensor:
        """The row twice, its last tokens from the cache of the first ones, rows taken out and repeated on the way."""
        ids = torch.tensor([self.row[::-1], self.row], device=self.model.device)
        cache: Any = DynamicCache(config=self.model.config)
        first = forward(self.model, self._part(ids, 0, 4), cache=cache)
        kept = torch.tensor([1, 1], device=ids.device)
        cache.reorder_cache(kept)
        logits = [first.logits[kept][0]]
        for at in range(4, ids.shape[1]):
            logits.append(forward(self.model, self._part(ids[kept], at, at + 1), cache=cache).logits[0])
        return torch.cat(logits)

    def _continued(self) -> Tensor:
        """The row beside a longer one, its last tokens in a second forward."""
        batch = pad_left([(*self.row[:4], *self.row), self.row], 0, self.model.device)
        cache: Any = DynamicCache(config=self.model.config)
        logits, positions = [], batch.position_ids
        for columns in (slice(0, 8), slice(8, None)):
            step = Step(batch.ids[:, columns], batch.mask[:, : columns.stop], positions[:, columns])
            logits.append(forward(self.model, step, cache=cache).logits[1])
        return torch.cat(logits)[-len(self.row) :]

    def _part(self, ids: Int[Tensor, "batch seq"], start: int, end: int) -> Step:
        positions = torch.arange(start, end, device=ids.device).expand(len(ids), -1)
        return Step(ids[:, start:end], None, positions)
