"""Forwards that start in the middle: at a block, from kept residuals, and at a token, from kept keys and values.

A patched run equals the clean one below the patched block and before the patched token. What a model passes to its
blocks (masks, position embeddings) is intercepted once and cut to size, so nothing here knows an architecture. A family
that cannot be run so is told by a trial (:attr:`KeptRun.can_start_in_the_middle`).
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import DynamicCache

from activations.abilities import keeps_all_keys
from activations.batching import PaddedBatch
from activations.components import COMPONENTS
from activations.errors import HintprobeError
from activations.forward import CACHES, Step, cache_name, forward
from activations.hooks import Visitor, instead_of_blocks, intercepting, visiting
from activations.kv_cache import KeysTakenError, KeyTaker, PrefixCache, cache_among
from activations.masks import causal_mask
from activations.models import LoadedModel
from activations.sites import Site, decoder_blocks

Stream = Float[Tensor, "cell seq d_model"]
Last = Float[Tensor, "cell d_model"]

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
_COARSE = 0.1
_READOUT_ROWS = 64


@dataclass(frozen=True)
class KeptRun:
    """A clean forward of a batch, with all that later forwards can start from.

    Attributes:
        streams: what enters each block, ``[batch, seq, d_model]``.
        states: of the other sites that were asked for.
        arguments: what the model passes to each block.
        cache: keys and values of every block; None where the model carries tokens to others by something else.
        last: what leaves the last block at the last token.
        logits: at the last token, ``[batch, vocabulary]``.
    """

    loaded: LoadedModel
    batch: PaddedBatch
    streams: list[Stream]
    states: dict[Site, Tensor]
    arguments: list[dict[str, Any]]
    cache: DynamicCache | None
    last: Last
    logits: Float[Tensor, "batch vocabulary"]

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return len(self.streams)

    @property
    def width(self) -> int:
        """Columns of the batch."""
        return int(self.batch.ids.shape[1])

    def state(self, site: Site) -> Tensor:
        """Clean states of a site, ``[batch, seq, width]``; what leaves a block is what enters the next one."""
        if site.component == "resid_post" and site.layer + 1 < self.n_layers:
            return self.streams[site.layer + 1]
        if site.component == "resid_pre":
            return self.streams[site.layer]
        if site not in self.states:
            raise HintprobeError(f"The states of {site} were not kept. Pass the site to `keep_run`.")
        return self.states[site]

    @cached_property
    def can_start_in_the_middle(self) -> bool:
        """Does a forward from a middle block and token, nothing changed, give the clean run's last state and logits?"""
        if self.cache is None:
            return False
        layer, start = min(1, self.n_layers - 1), self.width // 2
        rows = torch.arange(len(self.batch.ids), device=self.batch.ids.device)
        try:
            last = self.last_state(layer, start, rows, self.streams[layer][:, start:])
            logits = self.read(last)
        except (TypeError, ValueError, RuntimeError, IndexError, AttributeError):
            return False
        return _close(last, self.last) and _close(logits.to(last.dtype), self.logits)

    def last_state(
        self,
        layer: int,
        start: int,
        rows: Int[Tensor, "cell"],
        stream: Stream,
        visitors: Mapping[Site, Visitor] | None = None,
    ) -> Last:
        """Run the blocks from ``layer`` on over the columns from ``start`` on; all before is the clean run's.

        Args:
            rows: row of the batch that each cell goes on from.
            stream: what enters ``layer`` at these columns.
            visitors: of sites inside ``layer``; they see these columns.

        Returns:
            What leaves the last block at the last token. In that block only the last token is a query.
        """
        blocks = decoder_blocks(self.loaded.model)
        for k in range(layer, self.n_layers - 1):
            with visiting(self.loaded.model, visitors) if visitors and k == layer else nullcontext():
                stream = _tensor(blocks[k](stream, **self._arguments(k, start, rows, len(stream))))
        return self._last_block(blocks[-1], start, rows, stream, visitors if layer == self.n_layers - 1 else None)

    def after_attention(self, layer: int, start: int, rows: Int[Tensor, "cell"], stream: Stream) -> Stream:
        """``resid_mid`` of one block over the columns from ``start`` on; its MLP and all above are not run.

        Raises:
            HintprobeError: the block's attention and MLP are parallel, so there is no such state.
        """
        seen: list[Tensor] = []
        site = Site(layer, "resid_mid")
        with visiting(self.loaded.model, {site: seen.append}, stop_after_deepest=True):
            decoder_blocks(self.loaded.model)[layer](stream, **self._arguments(layer, start, rows, len(stream)))
        return seen[0]

    def _last_block(
        self, block: Any, start: int, rows: Tensor, stream: Stream, visitors: Mapping[Site, Visitor] | None
    ) -> Last:
        end, keys, values = self.width - 1, *self._prefix(self.n_layers - 1, self.width - 1, rows)
        if start < end:
            taker = self._arguments(self.n_layers - 1, start, rows, len(stream), KeyTaker())
            try:
                block(stream, **taker)
            except KeysTakenError as taken:
                keys = _joined(keys[:, :, :start], taken.keys[:, :, :-1])
                values = _joined(values[:, :, :start], taken.values[:, :, :-1])
        arguments = self._arguments(self.n_layers - 1, end, rows, len(stream), PrefixCache(keys, values))
        with visiting(self.loaded.model, visitors) if visitors else nullcontext():
            return _tensor(block(stream[:, -1:], **arguments))[:, -1]

    def read(self, last: Last) -> Float[Tensor, "cell vocabulary"]:
        """Logits of what leaves the last block: the model's own final norm and head, in float32."""
        return _read(self.loaded, last)

    def _prefix(self, layer: int, start: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        assert self.cache is not None
        kept: Any = self.cache.layers[layer]
        keys, values = (part[:, :, :start] for part in (kept.keys, kept.values))
        return (keys, values) if len(keys) == 1 else (keys[rows], values[rows])

    def _arguments(
        self, layer: int, start: int, rows: Tensor, n_cells: int, cache: DynamicCache | None = None
    ) -> dict[str, Any]:
        """The clean call's arguments, cut to the columns and rows at hand."""
        arguments = {name: self._cut(value, start, rows) for name, value in self.arguments[layer].items()}
        if arguments.get("attention_mask") is None:
            # With fewer queries than keys, "causal" no longer says which; so the mask is written out.
            keys = self.batch.mask[:1] if len(self.batch.ids) == 1 else self.batch.mask[rows]
            arguments["attention_mask"] = causal_mask(keys, self.width - start)
        found = cache_among(arguments)
        name = found[0] if found else cache_name(decoder_blocks(self.loaded.model)[layer]) or CACHES[1]
        return {**arguments, name: cache if cache is not None else PrefixCache(*self._prefix(layer, start, rows))}

    def _cut(self, value: Any, start: int, rows: Tensor) -> Any:
        if isinstance(value, tuple | list):
            return type(value)(self._cut(part, start, rows) for part in value)
        if not isinstance(value, Tensor):
            return value
        n_rows, width = self.batch.ids.shape
        if value.dim() == 1 and len(value) == width:
            return value[start:]
        if value.dim() == 4 and value.shape[-2:] == (width, width):
            value = value[:, :, start:]
        elif value.dim() >= 2 and value.shape[1] == width:
            value = value[:, start:]
        return value[rows] if value.dim() >= 2 and len(value) == n_rows > 1 else value


def _read(loaded: LoadedModel, last: Last) -> Tensor:
    # A single row in bfloat16 with frozen weights takes a path that copies the head's matrix: two are faster.
    rows = last if len(last) > 1 else last.expand(2, -1)
    parts = []
    for chunk in rows.tensor_split(-(-len(rows) // _READOUT_ROWS)):
        ids = torch.zeros(len(chunk), 1, dtype=torch.long, device=last.device)
        with instead_of_blocks(loaded.model, chunk[:, None]):
            output = forward(loaded.model, Step(ids, None, torch.zeros_like(ids)), last_only=True)
        parts.append(output.logits[:, -1].float())
    return torch.cat(parts)[: len(last)]


def _tensor(output: Any) -> Tensor:
    # Decoder blocks return a tensor in current transformers and a tuple in older ones.
    result: Tensor = output if isinstance(output, Tensor) else output[0]
    return result


def _joined(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat([first.expand(len(second), -1, -1, -1), second], dim=-2)


def _close(found: Tensor, expected: Tensor) -> bool:
    """Root mean square of the error against that of the values: noise is small in it, another computation is not."""
    error = (found.float() - expected.float()).norm() / expected.float().norm()
    return bool(error <= _TOLERANCE.get(found.dtype, _COARSE))


@torch.no_grad()
def keep_run(loaded: LoadedModel, batch: PaddedBatch, sites: Sequence[Site] = ()) -> KeptRun:
    """Run a batch once and keep what forwards from the middle start from.

    Memory: ``batch * seq * (d_model + 2 * kv_width)`` numbers per block, and ``batch * seq * width`` per further site.

    Args:
        sites: sites whose clean states are wanted besides every ``resid_pre``.
    """
    streams: dict[int, Tensor] = {}
    states: dict[Site, Tensor] = {}
    arguments: dict[int, dict[str, Any]] = {}
    cache = DynamicCache() if keeps_all_keys(loaded.model) else None
    end = Site(len(decoder_blocks(loaded.model)) - 1, "resid_post")
    wanted = {Site(k, "resid_pre") for k in range(end.layer + 1)} | set(sites) | {end}
    keepers = {site: _keeper(site, streams, states) for site in wanted}
    with intercepting(loaded.model, lambda k, given: arguments.update({k: given})), visiting(loaded.model, keepers):
        forward(loaded.model, batch, head=False, cache=cache)
    last = states[end][:, -1]
    if end not in sites:
        del states[end]
    return KeptRun(
        loaded=loaded,
        batch=batch,
        streams=[streams[k] for k in range(end.layer + 1)],
        states=states,
        arguments=[arguments[k] for k in range(end.layer + 1)],
        cache=cache,
        last=last.clone(),
        logits=_read(loaded, last),
    )


def _keeper(site: Site, streams: dict[int, Tensor], states: dict[Site, Tensor]) -> Visitor:
    def keep(tensor: Tensor) -> None:
        # What is shared may be written to in place by others.
        kept = tensor.detach().clone() if COMPONENTS[site.component].shared else tensor.detach()
        if site.component == "resid_pre":
            streams[site.layer] = kept
        else:
            states[site] = kept

    return keep
