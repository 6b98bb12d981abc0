"""A lean training forward of a Qwen3 model: float32 weights and attention, products and streams in a dtype of choice.

On a CPU with bfloat16 matrix units it takes, in bfloat16, 0.7 of the time of the library's own forward in float32, and
half of it compiled; without such units float32 products are twice as fast as bfloat16 ones, and :func:`fast_dtype` says
which a machine has. What it computes is held to the library's by a test. It serves training alone: everything that is
measured goes through the library's own forward.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from transformers import Qwen3Config

Weights = Mapping[str, Tensor]
Hidden = Float[Tensor, "row token hidden"]


def fast_dtype() -> torch.dtype:
    """The dtype in which this CPU multiplies matrices fastest."""
    return torch.bfloat16 if torch.cpu._is_amx_tile_supported() else torch.float32


def _rotation(n_tokens: int, config: Qwen3Config, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    theta = dict(config.rope_parameters or {})["rope_theta"]
    rates = theta ** -(torch.arange(0, config.head_dim, 2).float() / config.head_dim)
    angles = torch.outer(torch.arange(n_tokens).float(), rates).repeat(1, 2)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def _rotated(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * cosine + torch.cat([-second, first], -1) * sine


def _attention(
    x: Tensor, weights: Weights, prefix: str, config: Qwen3Config, turn: tuple[Tensor, Tensor], allowed: Tensor | None
) -> Tensor:
    rows, tokens, _ = x.shape

    def heads(name: str, n: int) -> Tensor:
        return F.linear(x, weights[f"{prefix}.{name}_proj.weight"]).view(rows, tokens, n, config.head_dim)

    def normed(name: str, n: int) -> Tensor:
        scale = weights[f"{prefix}.{name}_norm.weight"]
        y = F.rms_norm(heads(name, n), (config.head_dim,), scale, config.rms_norm_eps)
        return _rotated(y.transpose(1, 2), *turn)

    n_keys = config.num_key_value_heads or config.num_attention_heads
    query, key, value = normed("q", config.num_attention_heads), normed("k", n_keys), heads("v", n_keys).transpose(1, 2)
    if n_keys != config.num_attention_heads:
        shared = config.num_attention_heads // n_keys
        key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
    # In bfloat16 the CPU kernel's backward takes five times as long.
    mixed = F.scaled_dot_product_attention(
        query.float(),
        key.float(),
        value.float(),
        attn_mask=None if allowed is None else allowed[:, None],
        is_causal=allowed is None,
    )
    joined = mixed.to(x.dtype).transpose(1, 2).reshape(rows, tokens, -1)
    return F.linear(joined, weights[f"{prefix}.o_proj.weight"])


def last_hidden(
    weights: Weights,
    config: Qwen3Config,
    ids: Int[Tensor, "row token"],
    allowed: Bool[Tensor, "row query key"] | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Hidden, Float[Tensor, "vocabulary hidden"], list[Hidden]]:
    """Final hidden states of right-padded rows, the head's matrix, and the stream after each block, all in ``dtype``.

    The final ones are after the last norm.

    Args:
        weights: the model's named parameters; gradients reach them.
        allowed: which keys a query may see; None for every earlier token and itself.
    """
    cast = {name: weight.to(dtype) for name, weight in weights.items()}
    turn = _rotation(ids.shape[1], config, dtype)
    x = F.embedding(ids, cast["model.embed_tokens.weight"])
    streams = []

    def norm(y: Tensor, name: str) -> Tensor:
        return F.rms_norm(y, (y.shape[-1],), cast[name], config.rms_norm_eps)

    for layer in range(config.num_hidden_layers):
        at = f"model.layers.{layer}"
        x = x + _attention(norm(x, f"{at}.input_layernorm.weight"), cast, f"{at}.self_attn", config, turn, allowed)
        y = norm(x, f"{at}.post_attention_layernorm.weight")
        gate, up = (F.linear(y, cast[f"{at}.mlp.{part}_proj.weight"]) for part in ("gate", "up"))
        x = x + F.linear(F.silu(gate) * up, cast[f"{at}.mlp.down_proj.weight"])
        streams.append(x)
    return norm(x, "model.norm.weight"), cast["model.embed_tokens.weight"], streams
