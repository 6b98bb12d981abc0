"""What a patch is compared with: other positions, another question's states, random directions of the same length."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from activations.errors import HintprobeError
from probes.patching.pairs import PatchPair


def matched_positions(pair: PatchPair, name: str, rng: np.random.Generator, nearest: int = 6) -> tuple[int, ...] | None:
    """Random positions about as far from the readout as the named ones, and none of those.

    They are aligned with the source run and, as long as there are enough, lie where the two runs already differ: states
    before the first difference are the same in both, and patching them would be no control.

    Args:
        nearest: how many of the nearest candidates each is drawn from.

    Returns:
        As many positions as are named; None where the pair has too few others.
    """
    chosen = pair.positions[name]
    taken = {p for where in pair.positions.values() for p in where} | {len(pair.base_ids) - 1}
    free = [p for p in range(1, len(pair.base_ids)) if p not in taken and p in pair.aligned.source_of]
    after = [p for p in free if p >= pair.first_difference]
    if max(chosen) >= pair.first_difference and len(after) >= len(chosen):
        free = after
    drawn: list[int] = []
    for position in chosen:
        near = sorted((p for p in free if p not in drawn), key=lambda p: abs(p - position))[:nearest]
        if not near:
            return None
        drawn.append(int(near[int(rng.integers(len(near)))]))
    return tuple(sorted(drawn))


def other_pairs(pairs: Sequence[PatchPair], rng: np.random.Generator) -> list[int]:
    """For every pair, a random one of another group.

    Raises:
        HintprobeError: all pairs belong to one group.
    """
    groups = np.array([pair.group for pair in pairs])
    chosen = []
    for group in groups:
        others = np.flatnonzero(groups != group)
        if not len(others):
            raise HintprobeError(
                "States of another question were asked for as a placebo, and all pairs belong to one group. Give pairs "
                "of at least two groups, or leave `other_states` out."
            )
        chosen.append(int(others[rng.integers(len(others))]))
    return chosen


def same_length(source: Float[Tensor, "position width"], n: int) -> Float[Tensor, "n width"]:
    """Another pair's states for ``n`` positions: aligned at the end, its first repeated where it has fewer."""
    index = [max(k - n + len(source), 0) for k in range(n)]
    return source[index]


def random_directions(
    clean: Float[Tensor, "position width"], source: Float[Tensor, "position width"], generator: torch.Generator
) -> Float[Tensor, "position width"]:
    """The clean states moved as far as the patch would move them, each in a random direction."""
    noise = torch.randn(clean.shape, generator=generator).to(clean.device)
    distance = (source.float() - clean.float()).norm(dim=-1, keepdim=True)
    moved: Tensor = clean.float() + noise / noise.norm(dim=-1, keepdim=True) * distance
    return moved.to(clean.dtype)
