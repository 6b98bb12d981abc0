"""The size of a model, read off its configuration without loading it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from activations.errors import HintprobeError

KNOWN = Path(__file__).parent / "known_models.yaml"


@dataclass(frozen=True)
class ModelShape:
    """What memory and time depend on.

    Attributes:
        params: parameters in all; embeddings, attention and MLPs, without norms and biases.
        active_params: those that one token passes through (fewer in a mixture of experts), the LM head included.
    """

    n_layers: int
    d_model: int
    n_kv_heads: int
    head_dim: int
    params: int
    active_params: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "ModelShape":
        """Read a ``config.json``; a multimodal one by its text part."""
        text: Mapping[str, Any] = {**config, **config.get("text_config", {})}
        d = int(_first(text, "hidden_size", "n_embd"))
        layers = int(_first(text, "num_hidden_layers", "n_layer"))
        heads = int(_first(text, "num_attention_heads", "n_head"))
        kv_heads = int(text.get("num_key_value_heads") or heads)
        head_dim = int(text.get("head_dim") or d // heads)
        inner = int(text.get("intermediate_size") or text.get("n_inner") or 4 * d)
        gated = 2 if text.get("model_type") in ("gpt2", "gpt_neox") else 3
        experts = int(text.get("num_local_experts") or text.get("num_experts") or 1)
        chosen = int(text.get("num_experts_per_tok") or 1) if experts > 1 else 1
        expert = gated * d * int(text.get("moe_intermediate_size") or inner if experts > 1 else inner)
        attention = 2 * d * heads * head_dim + 2 * d * kv_heads * head_dim
        table = int(text["vocab_size"]) * d
        tables = table if text.get("tie_word_embeddings", False) else 2 * table
        return cls(
            n_layers=layers,
            d_model=d,
            n_kv_heads=kv_heads,
            head_dim=head_dim,
            params=tables + layers * (attention + experts * expert),
            active_params=table + layers * (attention + chosen * expert),
        )

    @property
    def kv_values(self) -> int:
        """Numbers in the key-value cache per token."""
        return 2 * self.n_layers * self.n_kv_heads * self.head_dim


def _first(config: Mapping[str, Any], *names: str) -> Any:
    for name in names:
        if config.get(name) is not None:
            return config[name]
    raise HintprobeError(
        f"The model's config.json gives none of {', '.join(names)}, so its size is not known. Is it a decoder-only "
        "model?"
    )


def shape_of(source: str) -> ModelShape:
    """Shape of a model in a folder, in the hub's local cache, or among the known ones; nothing is downloaded.

    Raises:
        HintprobeError: its configuration is nowhere to be found.
    """
    path = Path(source).expanduser() / "config.json"
    if path.exists():
        return ModelShape.of(json.loads(path.read_text(encoding="utf-8")))
    from huggingface_hub import try_to_load_from_cache

    known = yaml.safe_load(KNOWN.read_text(encoding="utf-8"))
    if "/" in source and not source.startswith((".", "/", "~")) and source.count("/") == 1:
        cached = try_to_load_from_cache(source, "config.json")
        if isinstance(cached, str):
            return ModelShape.of(json.loads(Path(cached).read_text(encoding="utf-8")))
        if source in known:
            return ModelShape.of(known[source])
    raise HintprobeError(
        f"The size of {source!r} is not known: there is no such folder with a config.json, it is not in the hub's "
        f"cache on this machine, and it is not among the known models ({', '.join(known)}). Download its config.json, "
        "or give a folder."
    )
