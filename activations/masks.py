"""Attention masks with chosen keys taken from chosen queries, in whatever form a model builds its own."""

import torch
from jaxtyping import Bool
from torch import Tensor

from activations.errors import HintprobeError


def causal_mask(keys: Bool[Tensor, "batch seq"], n_queries: int) -> Bool[Tensor, "batch 1 query seq"]:
    """Whom the last ``n_queries`` positions may attend to: real keys up to themselves, and always themselves."""
    seq = keys.shape[1]
    query = torch.arange(seq - n_queries, seq, device=keys.device)
    key = torch.arange(seq, device=keys.device)
    itself = key[None, :] == query[:, None]
    causal = key[None, :] <= query[:, None]
    return (causal[None] & (keys[:, None, :] | itself[None]))[:, None]


def without_keys(mask: Tensor, blocked: Bool[Tensor, "batch query key"]) -> Tensor:
    """A model's own mask with more keys taken away; a query never loses itself, so no row of the softmax is empty.

    Args:
        mask: boolean (true to attend) or additive, ``[batch or 1, 1 or head, query, key]``; the last query is the last
            key. A cache that keeps a window only has fewer keys than ``blocked``, the latest.
        blocked: keys to take, per query.

    Raises:
        HintprobeError: a mask of another form, as flash attention and flex attention have.
    """
    if not isinstance(mask, Tensor) or mask.dim() != 4:
        raise HintprobeError(
            "Attention cannot be knocked out here: the model's attention takes no mask of [batch, head, query, key]. "
            "Load it with sdpa or eager attention."
        )
    n_queries, n_keys = mask.shape[-2:]
    blocked = blocked[:, -n_queries:, -n_keys:]
    query = torch.arange(n_keys - n_queries, n_keys, device=mask.device)
    itself = torch.arange(n_keys, device=mask.device)[None, :] == query[:, None]
    taken = (blocked & ~itself)[:, None]
    if mask.dtype == torch.bool:
        # The last token attends to itself: where that is false, the family (MPT) says true for what is not attended to.
        return mask & ~taken if bool(mask[..., -1, -1].any()) else mask | taken
    return mask.masked_fill(taken, torch.finfo(mask.dtype).min)
