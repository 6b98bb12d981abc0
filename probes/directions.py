"""Directions put to the test: taken out of the stream or added to it, and patched alone against the whole state.

A probe's direction says where reliance can be read. Whether the model reads it there is another question, and patching
along a direction can still mislead (Makelov et al. 2023, section 3): a direction that joins a component which varies
with the feature but reaches no output to one which reaches the output but does not vary moves the output all the same.
:func:`subspace_patching` tells such a direction from a used one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from activations import Add, Edit, LoadedModel, ProjectOut, Replace, Site, capture_batch, visiting
from activations.abilities import padded_left
from activations.batching import PaddedBatch, by_length
from activations.columns import Indices
from activations.errors import HintprobeError
from activations.forward import forward
from probes.arrays import Array
from probes.readout import read_options

Part = Literal["full", "direction", "row_space", "null_space"]
PARTS: tuple[Part, ...] = ("full", "direction", "row_space", "null_space")
_ENERGY = 0.99
"""Share of the gradients' energy that the row space must hold."""


def orthogonal_directions(
    direction: Float[Tensor, "d_model"], n: int, generator: torch.Generator
) -> Float[Tensor, "n d_model"]:
    """Random directions of the same length, each orthogonal to the given one.

    Raises:
        HintprobeError: a direction of length zero.
    """
    unit = _unit(direction.double())
    drawn = torch.randn(n, len(direction), generator=generator, dtype=torch.float64)
    drawn -= (drawn @ unit)[:, None] * unit
    drawn *= direction.double().norm() / drawn.norm(dim=1, keepdim=True)
    return drawn.to(direction.dtype)


def direction_edit(
    site: Site,
    positions: Sequence[Indices],
    direction: Float[Tensor, "d_model"],
    scale: float | None,
    mean_state: Float[Tensor, "d_model"] | None = None,
) -> list[Edit]:
    """Add ``scale`` times the direction, or, where the scale is None, take out what lies along it.

    Args:
        mean_state: what lies along the direction is set to what this state has there, in place of zero: where the
            stream has a large mean, taking it out would be an edit of its own (mean ablation, Wang et al. 2022).
    """
    if scale is not None:
        return [Add(site, positions, direction=direction, scale=scale)]
    removed = ProjectOut(site, positions, direction=direction)
    if mean_state is None:
        return [removed]
    unit = _unit(direction.double())
    level = float(mean_state.double() @ unit)
    return [removed, Add(site, positions, direction=(unit * level).to(direction.dtype), scale=1.0)]


@dataclass(frozen=True)
class StatePair:
    """Two runs, the place whose state goes from the second into the first, and the readout of both.

    Attributes:
        base, source: token ids up to and including the readout position (the last).
        base_at, source_at: token index of the state.
        tokens: how the base goes on, and how the source does; the metric is the first one's logit less the second's.
        group: pairs of a group are resampled together.
    """

    base: tuple[int, ...]
    source: tuple[int, ...]
    base_at: int
    source_at: int
    tokens: tuple[int, int]
    group: str


@dataclass(frozen=True)
class SubspaceEffects:
    """Patching along parts of the state, in nats of logit difference.

    Attributes:
        base, source: of the untouched runs, ``[pair]``.
        patched: of the base run with a part of its state from the source, ``[pair]``. ``full``: all of it;
            ``direction``: its component along the direction; ``row_space``, ``null_space``: along the part of the
            direction that the readout depends on to first order, and along the rest.
        in_row_space: share of the direction's squared length that lies in the row space.
        rank: dimensions of the row space.
    """

    base: Array
    source: Array
    patched: dict[Part, Array]
    in_row_space: float
    rank: int

    def effect(self, part: Part) -> Array:
        """Logit difference lost by patching a part, ``[pair]``."""
        result: Array = self.base - self.patched[part]
        return result


def subspace_patching(
    loaded: LoadedModel,
    pairs: Sequence[StatePair],
    site: Site,
    direction: Float[Tensor, "d_model"],
    token_budget: int = 32_768,
) -> SubspaceEffects:
    """Compare patching along a direction with patching the whole state, and part the direction by what is read.

    The row space is spanned by the gradients of the metric with respect to the state, in both runs of every pair, up to
    99% of their energy. In an illusory direction the row-space part alone does nothing: it does not vary between the
    runs.

    Raises:
        HintprobeError: no pairs, or a direction of length zero.
    """
    if not pairs:
        raise HintprobeError("There are no pairs to patch along a direction.")
    unit = _unit(direction.double())
    tokens = [pair.tokens for pair in pairs]
    rows = _row_space(
        torch.cat(
            [
                _gradients(loaded, [p.base for p in pairs], [p.base_at for p in pairs], tokens, site, token_budget),
                _gradients(loaded, [p.source for p in pairs], [p.source_at for p in pairs], tokens, site, token_budget),
            ]
        )
    )
    inside = rows.T @ (rows @ unit)
    along = {"direction": unit, "row_space": inside, "null_space": unit - inside}
    here = _states(loaded, [p.base for p in pairs], [p.base_at for p in pairs], site, token_budget)
    there = _states(loaded, [p.source for p in pairs], [p.source_at for p in pairs], site, token_budget)
    new: dict[Part, Tensor] = {"full": there}
    for part in PARTS[1:]:
        axis = along[part]
        # A part of no length has nothing to be patched along.
        step = (there - here) @ axis / (axis @ axis) if axis.norm() > 1e-6 else torch.zeros(len(pairs)).double()
        new[part] = here + step[:, None] * axis
    patched = {part: _difference(loaded, pairs, token_budget, site, states) for part, states in new.items()}
    return SubspaceEffects(
        base=_difference(loaded, pairs, token_budget),
        source=_difference(loaded, pairs, token_budget, of_source=True),
        patched=patched,
        in_row_space=float(inside @ inside),
        rank=len(rows),
    )


def _unit(direction: Float[Tensor, "d_model"]) -> Float[Tensor, "d_model"]:
    if not direction.norm() > 0:
        raise HintprobeError("A direction of length zero was given; there is nothing along it.")
    unit: Tensor = direction / direction.norm()
    return unit


def _states(
    loaded: LoadedModel, rows: Sequence[tuple[int, ...]], at: Sequence[int], site: Site, token_budget: int
) -> Float[Tensor, "pair d_model"]:
    """States of one site at one position per row, in float64."""
    found: dict[int, Tensor] = {}
    for indices in by_length([len(row) for row in rows], token_budget):
        captured = capture_batch(loaded, [rows[i] for i in indices], [[at[i]] for i in indices], [site])[site]
        found.update(zip(indices, captured[:, 0].double(), strict=True))
    return torch.stack([found[i] for i in range(len(rows))])


def _difference(
    loaded: LoadedModel,
    pairs: Sequence[StatePair],
    token_budget: int,
    site: Site | None = None,
    states: Tensor | None = None,
    of_source: bool = False,
) -> Array:
    """The metric of every pair, of the base run unless said otherwise, with its state replaced if one is given."""
    rows = [pair.source if of_source else pair.base for pair in pairs]
    edits = []
    if site is not None and states is not None:
        edits.append(Replace(site, [[pair.base_at] for pair in pairs], values=states[:, None].float()))
    read = read_options(loaded, rows, [pair.tokens for pair in pairs], token_budget, edits)
    return read.difference([0] * len(pairs), [1] * len(pairs))


def _gradients(
    loaded: LoadedModel,
    rows: Sequence[tuple[int, ...]],
    at: Sequence[int],
    tokens: Sequence[tuple[int, int]],
    site: Site,
    token_budget: int,
) -> Float[Tensor, "row d_model"]:
    """Gradient of each run's metric with respect to its state, in float64."""
    found: dict[int, Tensor] = {}
    for indices in by_length([len(row) for row in rows], token_budget):
        batch = padded_left(loaded, [rows[i] for i in indices])
        gradient = _gradient(loaded, batch, site, torch.tensor([tokens[i] for i in indices]))
        for k, i in enumerate(indices):
            found[i] = gradient[k, at[i] + int(batch.offset[k])].double().cpu()
    return torch.stack([found[i] for i in range(len(rows))])


def _gradient(
    loaded: LoadedModel, batch: PaddedBatch, site: Site, tokens: Tensor
) -> Float[Tensor, "batch seq d_model"]:
    leaves: list[Tensor] = []

    def watch(states: Tensor) -> Tensor:
        leaves.append(states.detach().requires_grad_())
        return leaves[-1]

    with torch.enable_grad(), visiting(loaded.model, {site: watch}):
        output = forward(loaded.model, batch, last_only=True)
        chosen = output.logits[:, -1].float().gather(1, tokens.to(loaded.device))
        gradient: Tensor
        (gradient,) = torch.autograd.grad((chosen[:, 0] - chosen[:, 1]).sum(), leaves)
    return gradient


def _row_space(gradients: Float[Tensor, "pair d_model"]) -> Float[Tensor, "rank d_model"]:
    """Orthonormal rows that hold most of the gradients' energy; none where all gradients are zero."""
    rows: Tensor
    _, values, rows = torch.linalg.svd(gradients, full_matrices=False)
    energy = values.square().cumsum(0)
    if not energy[-1] > 0:
        return rows[:0]
    return rows[: int((energy < _ENERGY * energy[-1]).sum()) + 1]
