"""The independent route: transformers' own hidden states, and what they differ by without anyone's fault."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from activations.abilities import abilities
from activations.batching import Ids, PaddedBatch, pad_left, pad_right
from activations.check.report import Noise
from activations.forward import forward
from activations.hooks import check_stream
from activations.models import LoadedModel
from activations.sites import decoder_blocks

_SAME = 1e-3

States = list[Float[Tensor, "token d_model"]]
"""What enters each block, and last what leaves the final norm: ``n_layers + 1`` tensors."""


def vector_error(found: Tensor, expected: Tensor) -> float:
    """Largest ``‖found - expected‖ / ‖expected‖`` over tokens; infinite where something is not finite."""
    found, expected = found.double().flatten(0, -2), expected.to(found.device).double().flatten(0, -2)
    error = ((found - expected).norm(dim=-1) / expected.norm(dim=-1).clamp(min=1e-30)).max()
    return float(error) if torch.isfinite(error) else float("inf")


def some_rows(loaded: LoadedModel, lengths: Sequence[int], seed: int) -> list[tuple[int, ...]]:
    """Random tokens of the vocabulary, none of them special."""
    special = set(loaded.tokenizer.all_special_ids)
    size = min(len(loaded.tokenizer), loaded.model.config.get_text_config().vocab_size)
    plain = torch.tensor([token for token in range(size) if token not in special] or list(range(size)))
    generator = torch.Generator().manual_seed(seed)
    return [tuple(plain[torch.randint(len(plain), (n,), generator=generator)].tolist()) for n in lengths]


@torch.no_grad()
def _states(loaded: LoadedModel, batch: PaddedBatch) -> tuple[Tensor, ...]:
    states: tuple[Tensor, ...] = forward(loaded.model, batch, head=False, hidden_states=True).hidden_states
    check_stream(loaded.model, "the stream", states[0])
    norm = final_norm(loaded.model)
    if norm is not None and len(states) > 1 and vector_error(norm(states[-2]), states[-1]) < _SAME:
        # State-space families keep what leaves each block, not what enters it.
        embedded = loaded.model.get_input_embeddings()(batch.ids)
        return (embedded, *states[:-2], states[-1])
    return states


def states_alone(loaded: LoadedModel, row: Ids) -> States:
    """Hidden states of one unpadded row."""
    return [state[0] for state in _states(loaded, pad_left([row], loaded.pad_id, loaded.device))]


def final_norm(model: nn.Module) -> nn.Module | None:
    """The norm behind the last block: the last neighbour of the blocks that has vectors of the stream's width alone."""
    config: Any = model.config
    blocks, width = decoder_blocks(model), int(config.get_text_config().hidden_size)
    (owner,) = [m for m in model.modules() if any(child is blocks for child in m.children())]
    norms = [m for m in owner.children() if {tuple(p.shape) for p in m.parameters()} == {(width,)}]
    return norms[-1] if norms else None


@contextmanager
def _eager(loaded: LoadedModel) -> Iterator[bool]:
    """Eager attention inside the context; says whether that is another kernel than before."""
    before = loaded.model.config._attn_implementation
    if before == "eager":
        yield False
        return
    try:
        loaded.model.set_attn_implementation("eager")
    except (ValueError, RuntimeError, NotImplementedError):
        yield False
        return
    try:
        yield True
    finally:
        loaded.model.set_attn_implementation(before)


def measure_noise(loaded: LoadedModel, rows: Sequence[Ids]) -> Noise:
    """The noise floor of the model's dtype on this device, by transformers' own forwards."""
    alone = [states_alone(loaded, row) for row in rows]
    n_layers = len(decoder_blocks(loaded.model))
    ways = (pad_left, pad_right) if abilities(loaded.model).pads_left else (pad_right,)
    sides = [pad(rows, loaded.pad_id, loaded.device) for pad in ways]
    together = [[[s[i, batch.mask[i]] for s in _states(loaded, batch)] for i in range(len(rows))] for batch in sides]
    with _eager(loaded) as another:
        eager = [states_alone(loaded, row) for row in rows] if another else None

    def per_layer(*others: list[States]) -> tuple[float, ...]:
        pairs = [pair for other in others for pair in zip(other, alone, strict=True)]
        return tuple(max(vector_error(b[k], a[k]) for b, a in pairs) for k in range(1, n_layers + 1))

    attention = str(loaded.model.config._attn_implementation)
    dtype = str(loaded.model.dtype).removeprefix("torch.")
    return Noise(dtype, attention, per_layer(*together), per_layer(eager) if eager else None)
