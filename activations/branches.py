"""Several ways in which a text could go on, read after one forward over what they share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer

from activations.abilities import padded_left
from activations.batching import Ids, by_length, pad_left, with_backoff
from activations.forward import Step, forward
from activations.models import LoadedModel


@dataclass(frozen=True)
class Branch:
    """The first ``cut`` tokens of a trunk, then other tokens; logits are read after the last of them.

    Attributes:
        cut: tokens of the trunk that are kept.
        suffix: tokens that follow in place of the rest, at least one.
        read: tokens whose logits are wanted.
    """

    cut: int
    suffix: Ids
    read: Ids


def shares_trunks(loaded: LoadedModel) -> bool:
    """The model's cache keeps every key, so that a branch can look away from the tokens after its cut.

    Sliding windows count by cache slot, and recurrent layers cannot go back.
    """
    layers = DynamicCache(config=loaded.model.config).layers
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)


@torch.no_grad()
def branch_logits(
    loaded: LoadedModel,
    trunks: Sequence[Ids],
    branches: Sequence[Sequence[Branch]],
    token_budget: int = 32_768,
    on_rows: Callable[[int], None] | None = None,
) -> list[list[Float[Tensor, "read"]]]:
    """Logits at the end of every branch, in float32 on the CPU; every trunk needs equally many branches.

    The trunk runs once with its keys and values kept, and each branch adds its suffix alone. A model whose cache cannot
    do that reads each branch in a forward of its own, with the same result.
    """
    run = _from_trunks if shares_trunks(loaded) else _one_by_one
    found: list[list[Float[Tensor, read]]] = [[] for _ in trunks]

    def score(rows: list[int]) -> list[list[Float[Tensor, "read"]]]:
        return run(loaded, [trunks[i] for i in rows], [branches[i] for i in rows])

    for batch in by_length([len(trunk) for trunk in trunks], token_budget):
        for rows, results in with_backoff(batch, score):
            for i, result in zip(rows, results, strict=True):
                found[i] = result
            if on_rows:
                on_rows(len(rows))
    return found


def _from_trunks(
    loaded: LoadedModel, trunks: Sequence[Ids], branches: Sequence[Sequence[Branch]]
) -> list[list[Float[Tensor, "read"]]]:
    pad, device = loaded.pad_id, loaded.device
    longest = [max(1, *(branch.cut for branch in own)) for own in branches]
    trunk = pad_left([ids[:n] for ids, n in zip(trunks, longest, strict=True)], pad, device)
    cache = DynamicCache(config=loaded.model.config)
    forward(loaded.model, trunk, head=False, cache=cache)
    found: list[list[Float[Tensor, read]]] = [[] for _ in trunks]
    for own in zip(*branches, strict=True):
        suffix = pad_left([branch.suffix for branch in own], pad, device)
        kept = torch.tensor([branch.cut for branch in own], device=device)[:, None]
        seen = trunk.mask & (trunk.position_ids < kept)
        step = Step(suffix.ids, torch.cat([seen, suffix.mask], dim=1), suffix.position_ids + kept)
        output = forward(loaded.model, step, cache=cache, last_only=True)
        cache.crop(-suffix.ids.shape[1])
        logits = output.logits[:, -1].float().cpu()
        for row, branch in enumerate(own):
            found[row].append(logits[row, list(branch.read)])
    return found


def _one_by_one(
    loaded: LoadedModel, trunks: Sequence[Ids], branches: Sequence[Sequence[Branch]]
) -> list[list[Float[Tensor, "read"]]]:
    found: list[list[Float[Tensor, read]]] = [[] for _ in trunks]
    for own in zip(*branches, strict=True):
        rows = [tuple(ids[: branch.cut]) + branch.suffix for ids, branch in zip(trunks, own, strict=True)]
        batch = padded_left(loaded, rows)
        output = forward(loaded.model, batch, last_only=True)
        logits = output.logits[:, -1].float().cpu()
        for row, branch in enumerate(own):
            found[row].append(logits[row, list(branch.read)])
    return found
