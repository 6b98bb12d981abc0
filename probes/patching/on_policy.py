"""Patching read on policy: what the model goes on to say when its prompt is read under the patch."""

from collections.abc import Sequence

import torch

from activations import Completion, Decoding, LoadedModel, Replace, capture, generate
from activations.errors import HintprobeError
from activations.hooks import head_shape
from probes.patching.grid import Cell
from probes.patching.pairs import PatchPair


def regenerate(
    loaded: LoadedModel,
    pairs: Sequence[PatchPair],
    cell: Cell,
    prompt_lengths: Sequence[int],
    decoding: Decoding,
    seeds: Sequence[int] | None = None,
) -> list[Completion]:
    """Complete every base prompt anew, the source run's states put in at a cell while the prompt is read.

    A chain of thought that already states its result fixes the answer, so a patch read after it shows nothing; here the
    chain of thought is written under the patch. Compare with the completions of the unpatched prompts, same seeds.

    Args:
        cell: a site and a named position that every pair has, within the prompt; placebos are not drawn here.
        prompt_lengths: per pair, how many of its base tokens are the prompt.
        seeds: one per pair, needed above temperature 0.

    Raises:
        HintprobeError: no pairs, a pair without the cell, or one whose position lies after its prompt.
    """
    if not pairs or cell.control is not None:
        raise HintprobeError("On-policy patching needs at least one pair, and a cell that is not a placebo.")
    base, source = [], []
    for pair, length in zip(pairs, prompt_lengths, strict=True):
        where = pair.source_positions(cell.position) if cell.position in pair.positions else None
        if where is None or max(pair.positions[cell.position]) >= length:
            raise HintprobeError(
                f"On-policy patching at {cell.position!r} needs the position in every pair's prompt, with a partner in "
                "its source run; leave out the pairs that lack it."
            )
        base.append(pair.positions[cell.position])
        source.append(where)
    edit = Replace(cell.site, base, cell.head, values=_states(loaded, [p.source_ids for p in pairs], source, cell))
    prompts = [pair.base_ids[:length] for pair, length in zip(pairs, prompt_lengths, strict=True)]
    return generate(loaded, prompts, decoding, seeds=seeds, edits=[edit])


def _states(
    loaded: LoadedModel, rows: Sequence[Sequence[int]], where: Sequence[Sequence[int]], cell: Cell
) -> torch.Tensor:
    """States of one cell in every row, ``[row, position, width]``; short rows repeat their last."""
    found: dict[int, torch.Tensor] = {}
    for indices, captured in capture(loaded, rows, where, [cell.site]):
        found.update(zip(indices, captured[cell.site], strict=True))
    most = max(len(chosen) for chosen in where)
    states = torch.stack([_widened(found[k], most) for k in range(len(rows))])
    if cell.head is None:
        return states
    width = head_shape(loaded.model, cell.site.layer)[1]
    return states[..., cell.head * width : (cell.head + 1) * width]


def _widened(states: torch.Tensor, n: int) -> torch.Tensor:
    return torch.cat([states, states[-1:].expand(n - len(states), -1)]) if len(states) < n else states
