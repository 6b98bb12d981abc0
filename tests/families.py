"""A small random model of every supported family."""

from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

WIDTH, LAYERS, HEADS, KV_HEADS, HEAD_DIM = 32, 3, 4, 2, 12
"""The heads together are wider than the stream wherever a family allows it: a mistaken head_dim shows."""

_COMMON: dict[str, Any] = {
    "vocab_size": 90,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
    "initializer_range": 0.3,
}
_ROTARY = _COMMON | {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
}
_WIDE = _ROTARY | {"head_dim": HEAD_DIM}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "decoder_sparse_step": 1}
_NEOX = {k: v for k, v in _ROTARY.items() if k != "num_key_value_heads"}
_GEMMA = _WIDE | {"sliding_window": 4, "query_pre_attn_scalar": HEAD_DIM}

_GPT_OSS = _WIDE | {
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "sliding_window": 4,
    "layer_types": ["sliding_attention", "full_attention", "full_attention"],
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
}

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", _WIDE),
    "mistral": ("Mistral", _WIDE | {"sliding_window": 4}),
    "qwen2": ("Qwen2", _ROTARY),
    "qwen3": ("Qwen3", _WIDE),
    "gemma2": ("Gemma2", _GEMMA),
    "gemma3": ("Gemma3", _GEMMA),
    "phi3": ("Phi3", _ROTARY),
    "olmo2": ("Olmo2", _ROTARY),
    "gpt2": ("GPT2", _COMMON | {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": 128}),
    "neox": ("GPTNeoX", _NEOX | {"use_parallel_residual": True}),
    "neox_sequential": ("GPTNeoX", _NEOX | {"use_parallel_residual": False}),
    "qwen3_moe": ("Qwen3Moe", _WIDE | _EXPERTS),
    "gpt_oss": ("GptOss", _GPT_OSS),
    "mixtral": ("Mixtral", _ROTARY | {"num_local_experts": 4, "num_experts_per_tok": 2}),
}
PARALLEL = {"neox"}
WIDE = {name for name, (_, options) in FAMILIES.items() if "head_dim" in options}


def make_family(name: str, seed: int = 0) -> PreTrainedModel:
    """A model of the family whose norms are not the identity, in float32, ready to run."""
    prefix, options = FAMILIES[name]
    config = getattr(transformers, f"{prefix}{'Text' if prefix == 'Gemma3' else ''}Config")(**options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = getattr(
            transformers, f"{prefix}{'LMHeadModel' if prefix == 'GPT2' else 'ForCausalLM'}"
        )(config)
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.data += 0.3 * torch.randn_like(parameter)
    return model.eval().requires_grad_(False)
