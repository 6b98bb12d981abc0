"""Activation patching on token-aligned pairs: put the source run's state into the base run, read what changes.

Knows token ids, indices and readout tokens; what the pairs mean is the caller's business.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from activations import LoadedModel, Replace, Site, capture_batch, editing
from activations.batching import PaddedBatch, by_length, pad_left
from activations.errors import HintprobeError


@dataclass(frozen=True)
class PatchPair:
    """Two runs of equal length that end just before the token in which their continuations differ.

    Attributes:
        base_ids, source_ids: token ids up to and including the readout position (the last).
        base_token, source_token: how each run goes on; the metric is logit(base_token) - logit(source_token).
        positions: per name, the token indices that are patched.
        group: rows of a group are resampled together.
    """

    base_ids: tuple[int, ...]
    source_ids: tuple[int, ...]
    base_token: int
    source_token: int
    positions: Mapping[str, tuple[int, ...]]
    group: str

    def __post_init__(self) -> None:
        if len(self.base_ids) != len(self.source_ids):
            raise HintprobeError(
                f"A patch pair has {len(self.base_ids)} base and {len(self.source_ids)} source tokens; token-aligned "
                "pairs need as many of each."
            )
        if self.base_token == self.source_token:
            raise HintprobeError("A patch pair's two continuations start with the same token, so nothing can be read.")


@dataclass(frozen=True)
class PatchEffects:
    """Logit differences of every pair, in nats.

    Attributes:
        base, source: of the unpatched runs, ``[pair]``.
        patched: of the base run with one cell replaced, ``[pair]`` per (site, position).
    """

    base: NDArray[np.float64]
    source: NDArray[np.float64]
    patched: dict[tuple[Site, str], NDArray[np.float64]]

    def recovery(self, cell: tuple[Site, str], weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Share of the gap that a cell closes, as a ratio of means over pairs: 0 nothing, 1 all of it.

        Args:
            weights: ``[resample, pair]`` counts of a bootstrap; ones by default.
        """
        if weights is None:
            weights = np.ones((1, len(self.base)))
        result: NDArray[np.float64] = (weights @ (self.base - self.patched[cell])) / (
            weights @ (self.base - self.source)
        )
        return result


def logit_difference(loaded: LoadedModel, batch: PaddedBatch, tokens: Int[Tensor, "pair 2"]) -> Float[Tensor, "pair"]:
    """logit(first) - logit(second) at the last position of each row."""
    output = loaded.model(
        input_ids=batch.ids,
        attention_mask=batch.mask.long(),
        position_ids=batch.position_ids,
        use_cache=False,
        logits_to_keep=1,
    )
    logits = output.logits[:, -1].float()
    chosen = logits.gather(1, tokens.to(logits.device))
    difference: Tensor = (chosen[:, 0] - chosen[:, 1]).cpu()
    return difference


@torch.no_grad()
def patch_pairs(
    loaded: LoadedModel,
    pairs: Sequence[PatchPair],
    sites: Sequence[Site],
    token_budget: int = 32_768,
    on_cell: Callable[[], None] | None = None,
) -> PatchEffects:
    """Patch every (site, position) of every pair, one cell at a time; all pairs must name the same positions.

    Raises:
        HintprobeError: no pairs, or pairs that name different positions.
    """
    if not pairs:
        raise HintprobeError("There are no pairs to patch.")
    names = tuple(pairs[0].positions)
    if any(tuple(pair.positions) != names for pair in pairs):
        raise HintprobeError("Patch pairs name different positions; every pair must name the same ones.")
    base, source = np.zeros(len(pairs)), np.zeros(len(pairs))
    patched = {(site, name): np.zeros(len(pairs)) for site in sites for name in names}
    for indices in by_length([len(pair.base_ids) for pair in pairs], token_budget):
        chosen = [pairs[i] for i in indices]
        batch = pad_left([p.base_ids for p in chosen], loaded.tokenizer.pad_token_id, loaded.device)
        other = pad_left([p.source_ids for p in chosen], loaded.tokenizer.pad_token_id, loaded.device)
        tokens = torch.tensor([[p.base_token, p.source_token] for p in chosen])
        base[indices] = logit_difference(loaded, batch, tokens).numpy()
        source[indices] = logit_difference(loaded, other, tokens).numpy()
        for name in names:
            where = [p.positions[name] for p in chosen]
            states = capture_batch(loaded, [p.source_ids for p in chosen], where, sites)
            for site in sites:
                with editing(loaded, batch, [Replace(site, where, values=states[site])]):
                    patched[site, name][indices] = logit_difference(loaded, batch, tokens).numpy()
                if on_cell:
                    on_cell()
    return PatchEffects(base, source, patched)
