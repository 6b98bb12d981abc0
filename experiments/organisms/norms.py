"""The size of the residual stream, which training leaves anywhere, set without changing what the model computes.

Every block reads the stream through a norm. So if all that is written into it is multiplied by one factor, the norms'
epsilon by its square and the last norm's weight (the head shares the embeddings) by its inverse, all logits stay as
they were. With Muon and little weight decay the first block writes thousands, which learns fast; steering vectors and
patches of ordinary size would then do nothing.
"""

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import Qwen3ForCausalLM

ORDINARY = 50.0
"""Norm of the stream, in its largest layer, that organisms are shipped with."""

TRAINED_EMBEDDING = 0.08
"""Root mean square of the embeddings that training goes on from; its learning rates are meant for about this size."""


@torch.no_grad()
def rescale(model: Qwen3ForCausalLM, factor: float) -> None:
    """Multiply the residual stream by ``factor``, in place; the logits stay as they are."""
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.mul_(factor)
        layer.mlp.down_proj.weight.mul_(factor)
    model.model.embed_tokens.weight.mul_(factor)
    model.model.norm.weight.div_(factor)
    model.config.rms_norm_eps *= factor**2
    for module in model.modules():
        # One epsilon serves all norms of the architecture. Those of queries and keys read unscaled vectors, and it is
        # far below what they read.
        if hasattr(module, "variance_epsilon"):
            vars(module)["variance_epsilon"] = model.config.rms_norm_eps


@torch.no_grad()
def largest_norm(model: Qwen3ForCausalLM, ids: Int[Tensor, "row token"]) -> float:
    """Median norm of the residual stream over tokens, in the layer where it is largest."""
    states = model.model(input_ids=ids, output_hidden_states=True).hidden_states
    return max(float(state.norm(dim=-1).median()) for state in states[:-1])


def to_ordinary(model: Qwen3ForCausalLM, ids: Int[Tensor, "row token"]) -> None:
    """Rescale so that the stream's largest layer has norm :data:`ORDINARY` on these rows."""
    rescale(model, ORDINARY / largest_norm(model, ids))


def to_trained(model: Qwen3ForCausalLM) -> None:
    """Rescale so that the embeddings have the size that training expects."""
    size = float(model.model.embed_tokens.weight.detach().float().pow(2).mean().sqrt())
    rescale(model, TRAINED_EMBEDDING / size)
