"""Several ways in which a text could go on, read after one forward over what they share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer

from activations.batching import Ids, by_length, pad_left, with_backoff
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
    pad, device = loaded.tokenizer.pad_token_id, loaded.device
    longest = [max(1, *(branch.cut for branch in own)) for own in branches]
    trunk = pad_left([ids[:n] for ids, n in zip(trunks, longest, strict=True)], pad, device)
    cache = DynamicCache(config=loaded.model.config)
    loaded.model.base_model(
        input_ids=trunk.ids,
        attention_mask=trunk.mask.long(),
        position_ids=trunk.position_ids,
        past_key_values=cache,
        use_cache=True,
    )
    found: list[list[Float[Tensor, read]]] = [[] for _ in trunks]
    for own in zip(*branches, strict=True):
        suffix = pad_left([branch.suffix for branch in own], pad, device)
        kept = torch.tensor([branch.cut for branch in own], device=device)[:, None]
        seen = trunk.mask & (trunk.position_ids < kept)
        output = loaded.model(
            input_ids=suffix.ids,
            attention_mask=torch.cat([seen, suffix.mask], dim=1).long(),
            position_ids=suffix.position_ids + kept,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
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
        batch = pad_left(rows, loaded.tokenizer.pad_token_id, loaded.device)
        output = loaded.model(
            input_ids=batch.ids,
            attention_mask=batch.mask.long(),
            position_ids=batch.position_ids,
            use_cache=False,
            logits_to_keep=1,
        )
        logits = output.logits[:, -1].float().cpu()
        for row, branch in enumerate(own):
            found[row].append(logits[row, list(branch.read)])
    return found
