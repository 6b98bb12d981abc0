"""One completion token by token, each with the state that the model computes for it: for probes that watch it grow."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from activations.abilities import abilities
from activations.batching import Ids
from activations.choosing import Decoding
from activations.generating import _Batch, _choose, _together, check_context, stop_ids
from activations.hooks import visiting
from activations.models import LoadedModel
from activations.row_state import Row
from activations.sites import Site


@dataclass(frozen=True)
class StreamedToken:
    """A token as it comes.

    Attributes:
        state: of this token at the site, ``[d]``, float32 on the CPU; what a forward over the whole text would give.
        ends: it is an end token.
    """

    id: int
    state: Float[Tensor, "d"]
    ends: bool


@torch.no_grad()
def stream(loaded: LoadedModel, prompt: Ids, decoding: Decoding, site: Site, seed: int = 0) -> Iterator[StreamedToken]:
    """Complete a prompt, one token at a time; a caller that has seen enough stops asking.

    The tokens are those that :func:`~activations.generate` gives for this prompt and seed. Hooks stand only while a
    token is computed, so the model is free between two of them.

    Raises:
        HintprobeError: the prompt leaves the context no room, or the model lacks the site.
    """
    check_context(loaded, [prompt], 1)
    room = (loaded.context or math.inf) - len(prompt)
    row = Row((seed, 0), int(min(decoding.max_new_tokens, room)))
    batch = _Batch(loaded, [prompt], decoding.max_new_tokens, None, abilities(loaded.model))
    stops, penalty = stop_ids(loaded), decoding.penalty(loaded.model)
    seen: list[Tensor] = []

    def keep(states: Tensor) -> None:
        seen[:] = [states[0, -1].detach().float().cpu()]

    def logits() -> Float[Tensor, "row vocabulary"]:
        with visiting(loaded.model, {site: keep}):
            return batch.logits()

    following = logits()
    if penalty != 1:
        batch.track(following.shape[-1])
    while not row.ended:
        chosen, gaps = _choose(following, batch, [row], decoding, penalty)
        ((token,), _) = _together(chosen, gaps)
        row.ids.append(token)
        row.stopped = token in stops
        batch.extend(chosen)
        following = logits()
        yield StreamedToken(token, seen[0], row.stopped)
