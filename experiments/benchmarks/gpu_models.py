"""Random models and rows for the benchmark of a card."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from activations import LoadedModel
from experiments.run.known_models import resolve_model


@dataclass(frozen=True)
class Scale:
    """Sizes of one run of the benchmark.

    Attributes:
        new: tokens per completion.
        ragged: rows of the ragged capture, and their shortest and longest.
        patched: tokens of the patched pair, and blocks that are patched.
        probe: rows and features of the probes' cell.
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp: int
    vocabulary: int
    rows: int
    prompt: int
    new: int
    ragged: tuple[int, int, int]
    budget: int
    patched: tuple[int, int]
    probe: tuple[int, int]


QWEN3_8B = Scale(36, 4096, 32, 8, 128, 12_288, 151_936, 64, 256, 48, (400, 60, 4000), 65_536, (128, 6), (2000, 4096))
SMALL = Scale(8, 512, 8, 4, 64, 1_536, 32_000, 16, 256, 32, (40, 60, 600), 8_192, (32, 2), (400, 256))
TOY = Scale(4, 64, 4, 2, 16, 128, 2_000, 4, 24, 8, (40, 10, 200), 1_024, (24, 2), (120, 32))


def random_qwen3(scale: Scale, dtype: torch.dtype, device: torch.device, seed: int = 0) -> LoadedModel:
    """A Qwen3 with random weights made on the device, and an organism's tokenizer (only its padding is used)."""
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=scale.vocabulary,
        hidden_size=scale.width,
        num_hidden_layers=scale.layers,
        num_attention_heads=scale.heads,
        num_key_value_heads=scale.kv_heads,
        head_dim=scale.head_dim,
        intermediate_size=scale.mlp,
        max_position_embeddings=40_960,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.device(device):
        torch.manual_seed(seed)
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            model: Any = Qwen3ForCausalLM(config)
        finally:
            torch.set_default_dtype(before)
    model = model.eval().requires_grad_(False)
    tokenizer: Any = AutoTokenizer.from_pretrained(resolve_model("organism:unfaithful"))
    tokenizer.eos_token = None
    return LoadedModel(model, tokenizer, "random-qwen3", f"random-{seed}", "none")


def random_rows(lengths: Sequence[int], vocabulary: int, seed: int = 1) -> list[tuple[int, ...]]:
    """Rows of random tokens."""
    generator = torch.Generator().manual_seed(seed)
    return [tuple(torch.randint(10, vocabulary, (n,), generator=generator).tolist()) for n in lengths]


def ragged_lengths(scale: Scale) -> list[int]:
    """Lengths spread evenly between the shortest and the longest."""
    n, low, high = scale.ragged
    return [low + (high - low) * k // max(1, n - 1) for k in range(n)]
