"""Small random models in the Hugging Face format, shared by all tests."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from wired import wired_folder

from activations import LoadedModel, load_model
from experiments.organisms.recipe import load_recipe
from experiments.organisms.train import make_tokenizer

LONGEST = (
    "test_demo", "test_pipeline", "test_wheel", "test_report_browser", "test_readme", "test_training",
    "test_causal_stages", "test_shipped_organisms", "test_inspecting", "test_shown_commands", "test_parts",
    "test_finished_run", "test_train_rl", "test_organism_lora", "test_organism_promises", "test_finished",
    "test_trajectory", "test_side_by_side", "test_engines", "test_check", "test_store_kills", "test_cluster",
)  # fmt: skip
"""Files that take longest: they begin first, so that no worker is left with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


ARCHITECTURES = ("llama", "qwen3", "gpt2")
LAYERS, WIDTH, HEADS, KV_HEADS = 4, 64, 4, 2

TinyFolder = Callable[..., Path]
Tiny = Callable[..., LoadedModel]
Wired = Callable[[str], LoadedModel]

# Wider than the usual 0.02: attention then matters to the result, and greedy choices are no near-ties.
_SPREAD = 0.2


def _new(arch: str, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    common = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
        "initializer_range": _SPREAD,
    }
    if arch == "gpt2":
        return GPT2LMHeadModel(GPT2Config(n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_positions=512, **common))
    rotary = {
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "intermediate_size": 128,
        "max_position_embeddings": 512,
        **common,
    }
    if arch == "llama":
        return LlamaForCausalLM(LlamaConfig(**rotary))
    return Qwen3ForCausalLM(Qwen3Config(head_dim=WIDTH // HEADS, **rotary))


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer(load_recipe("unfaithful"))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> TinyFolder:
    """``tiny_folder(arch, seed=0)``: a saved model with its tokenizer. Copy it before changing anything in it."""

    @cache
    def make(arch: str, seed: int = 0) -> Path:
        # The parent is unique and the name is not: a name alone must never be an identity.
        folder = tmp_path_factory.mktemp(arch) / "model"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _new(arch, tokenizer)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def tiny(tiny_folder: TinyFolder) -> Tiny:
    """``tiny(arch, seed=0, dtype="float32")``: that model, loaded as any other is."""

    @cache
    def load(arch: str, seed: int = 0, dtype: str = "float32") -> LoadedModel:
        return load_model(str(tiny_folder(arch, seed)), dtype=dtype, device="cpu")

    return load


@pytest.fixture(scope="session")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Wired:
    """``wired(circuit)``: a model whose circuit was set by hand (``tests/wired.py``)."""

    @cache
    def load(circuit: str) -> LoadedModel:
        return load_model(str(wired_folder(circuit, tmp_path_factory.mktemp(circuit))), dtype="float32", device="cpu")

    return load


def some_rows(loaded: LoadedModel, lengths: tuple[int, ...], seed: int = 0) -> list[tuple[int, ...]]:
    """Random token ids without special tokens, one row per length."""
    generator = torch.Generator().manual_seed(seed)
    first = max(loaded.tokenizer.all_special_ids) + 1
    high = loaded.model.config.vocab_size
    return [tuple(torch.randint(first, high, (n,), generator=generator).tolist()) for n in lengths]
