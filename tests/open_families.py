"""A small random model of every kind of architecture that people bring, and what works on it.

Prints ``docs/families.md``: ``python tests/open_families.py > docs/families.md`` from the project's root.
"""

import dataclasses
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
import transformers

from activations import (
    Add,
    Decoding,
    HintprobeError,
    Knockout,
    LoadedModel,
    Site,
    capture,
    check_model,
    editing,
    generate,
    head_shape,
    load_model,
    onwards,
    visiting,
)
from activations.abilities import padded_left
from activations.batching import pad_left
from activations.forward import forward
from activations.sites import decoder_blocks
from experiments.organisms.recipe import load_recipe
from experiments.organisms.train import make_tokenizer
from probes.patching import Cell, PatchPair, patch_pairs

DEPTH, VOCABULARY = 4, 300
_ENDS: dict[str, Any] = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 1}
_BARE = _ENDS | {"hidden_size": 32, "num_hidden_layers": DEPTH}
_TEXT = _BARE | {
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
}
_GPT = _ENDS | {"n_embd": 32, "n_layer": DEPTH, "n_head": 4, "n_positions": 256, "initializer_range": 0.3}
_MAMBA = {
    "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_d_conv": 4, "mamba_expand": 2,
    "mamba_n_groups": 1, "mamba_chunk_size": 8,
}  # fmt: skip
_LINEAR = {
    "head_dim": 8, "layer_types": [*["linear_attention"] * 3, "full_attention"], "linear_num_key_heads": 2,
    "linear_num_value_heads": 8, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
}  # fmt: skip
_TWO_EXPERTS = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 24}
_SLIDING = {"head_dim": 8, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"] * 2}
_VISION = {
    "hidden_size": 16, "num_hidden_layers": DEPTH, "num_attention_heads": 2, "intermediate_size": 16,
    "image_size": 28, "patch_size": 14,
}  # fmt: skip
_QWEN_VISION = {"depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 32}

FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Llama": ("Llama", "ForCausalLM", _TEXT),
    "Qwen 3": ("Qwen3", "ForCausalLM", _TEXT | {"head_dim": 8}),
    "gpt-oss": ("GptOss", "ForCausalLM", _TEXT | _SLIDING | {"num_local_experts": 2, "num_experts_per_tok": 1}),
    "Cohere 2": ("Cohere2", "ForCausalLM", _TEXT | _SLIDING),
    "OLMo 3": ("Olmo3", "ForCausalLM", _TEXT | {k: v for k, v in _SLIDING.items() if k != "head_dim"}),
    "Granite": ("Granite", "ForCausalLM", _TEXT | {"residual_multiplier": 0.5}),
    "DeepSeek V3": (
        "DeepseekV3",
        "ForCausalLM",
        _TEXT
        | {
            "num_key_value_heads": 4, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4,
            "v_head_dim": 6, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1,
            "moe_intermediate_size": 16, "first_k_dense_replace": 1, "n_shared_experts": 1,
        },
    ),
    "Falcon": ("Falcon", "ForCausalLM", _TEXT | {"new_decoder_architecture": True, "num_kv_heads": 2, "alibi": False}),
    "BLOOM": ("Bloom", "ForCausalLM", _ENDS | {"hidden_size": 32, "n_layer": 4, "n_head": 4, "initializer_range": 0.3}),
    "GPT-J": ("GPTJ", "ForCausalLM", _GPT | {"rotary_dim": 4}),
    "GPT-BigCode": ("GPTBigCode", "ForCausalLM", _GPT),
    "MPT": (
        "Mpt",
        "ForCausalLM",
        _ENDS | {"d_model": 32, "n_layers": 4, "n_heads": 4, "max_seq_len": 256, "expansion_ratio": 2},
    ),
    "Qwen3-Next": (
        "Qwen3Next",
        "ForCausalLM",
        _TEXT | _LINEAR | _TWO_EXPERTS | {"shared_expert_intermediate_size": 24},
    ),
    "Qwen 3.5": ("Qwen3_5Text", "Qwen3_5ForCausalLM", _TEXT | _LINEAR),
    "Falcon-H1": ("FalconH1", "ForCausalLM", _TEXT | _MAMBA | {"head_dim": 8, "mamba_d_ssm": 64}),
    "Nemotron-H": (
        "NemotronH",
        "ForCausalLM",
        _TEXT
        | {
            "layers_block_type": ["mamba", "attention", "mamba", "mlp"], "mamba_num_heads": 4, "mamba_head_dim": 16,
            "ssm_state_size": 8, "n_groups": 1, "chunk_size": 8, "head_dim": 8,
        },
    ),
    "LFM2": (
        "Lfm2",
        "ForCausalLM",
        _TEXT | {"full_attn_idxs": [2], "conv_L_cache": 3, "block_ff_dim": 48, "block_multiple_of": 8},
    ),
    "Granite 4": (
        "GraniteMoeHybrid",
        "ForCausalLM",
        _TEXT
        | _MAMBA
        | {
            "layer_types": ["mamba", "attention"] * 2, "num_local_experts": 2, "num_experts_per_tok": 1,
            "shared_intermediate_size": 48, "position_embedding_type": "rope", "residual_multiplier": 0.5,
        },
    ),
    "Mamba": ("Mamba", "ForCausalLM", _BARE | {"state_size": 8, "expand": 2}),
    "Mamba 2": (
        "Mamba2",
        "ForCausalLM",
        _BARE | {"num_heads": 4, "head_dim": 16, "state_size": 8, "n_groups": 1, "expand": 2, "chunk_size": 8},
    ),
    "RWKV": (
        "Rwkv",
        "ForCausalLM",
        _BARE | {"attention_hidden_size": 32, "intermediate_size": 48, "context_length": 256},
    ),
    "RecurrentGemma": (
        "RecurrentGemma",
        "ForCausalLM",
        _TEXT
        | {
            "lru_width": 32, "attention_window_size": 16, "head_dim": 8,
            "block_types": ["recurrent", "recurrent", "attention"],
        },
    ),
    "MiniMax": (
        "MiniMax",
        "ForCausalLM",
        _TEXT
        | {
            "head_dim": 8, "num_local_experts": 2, "num_experts_per_tok": 1, "block_size": 8,
            "layer_types": ["linear_attention", "full_attention"] * 2,
        },
    ),
    "Gemma 3n": (
        "Gemma3nText",
        "Gemma3nForCausalLM",
        _TEXT
        | _SLIDING
        | {
            "vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 8, "laurel_rank": 4,
            "altup_num_inputs": 2, "num_kv_shared_layers": 2, "activation_sparsity_pattern": [0.0] * 4,
        },
    ),
    "Gemma 4": (
        "Gemma4Text",
        "Gemma4ForCausalLM",
        _TEXT
        | _SLIDING
        | {
            "global_head_dim": 16, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": VOCABULARY,
            "num_kv_shared_layers": 0,
        },
    ),
    "Gemma 3 (multimodal)": (
        "Gemma3",
        "ForConditionalGeneration",
        {
            "text_config": _TEXT | _SLIDING, "vision_config": _VISION, "mm_tokens_per_image": 4,
            "image_token_index": VOCABULARY - 1, "boi_token_index": VOCABULARY - 2, "eoi_token_index": VOCABULARY - 3,
        },
    ),
    "Mistral 3 (multimodal)": (
        "Mistral3",
        "ForConditionalGeneration",
        {
            "text_config": {"model_type": "mistral", **_TEXT, "head_dim": 8},
            "vision_config": {"model_type": "pixtral", **_VISION}, "image_token_index": VOCABULARY - 1,
        },
    ),
    "Qwen2.5-VL (multimodal)": (
        "Qwen2_5_VL",
        "ForConditionalGeneration",
        {
            "text_config": _TEXT
            | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}},
            "vision_config": _QWEN_VISION, "image_token_id": VOCABULARY - 1, "video_token_id": VOCABULARY - 2,
            "vision_start_token_id": VOCABULARY - 3, "vision_end_token_id": VOCABULARY - 4,
        },
    ),
}  # fmt: skip

ROWS = tuple(
    tuple(torch.randint(5, VOCABULARY - 8, (n,), generator=torch.Generator().manual_seed(n)).tolist())
    for n in (19, 7, 12)
)


def load_family(name: str) -> LoadedModel:
    """Saved as transformers saves it, and loaded as any model is."""
    prefix, kind, options = FAMILIES[name]
    config = getattr(transformers, f"{prefix}Config")(**options)
    made = getattr(transformers, kind if not kind.startswith("For") else prefix + kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = made(config)
        for parameter in model.parameters():
            if parameter.ndim == 1:  # norms that are the identity hide mistakes
                parameter.data += 0.1 * torch.randn_like(parameter)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        make_tokenizer(load_recipe("unfaithful")).save_pretrained(folder)
        loaded = load_model(folder, device="cpu")
    loaded.tokenizer.eos_token = None
    return dataclasses.replace(loaded, name=name)


def _generates(loaded: LoadedModel) -> str:
    """Greedy tokens equal those of ``model.generate``, row by row without padding."""
    found = generate(loaded, ROWS, Decoding(max_new_tokens=8))
    for row, completion in zip(ROWS, found, strict=True):
        ids = torch.tensor([row])
        out = loaded.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8, pad_token_id=0
        )
        assert completion.ids == tuple(out[0, len(row) :].tolist()), "generate differs from transformers"
    return "yes"


def _close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return bool((found - expected).norm() <= 1e-4 * expected.norm())


def _captures(loaded: LoadedModel) -> str:
    """Ragged rows in one batch equal each row by itself."""
    site, at = Site(DEPTH - 1, "resid_post"), [[0, len(row) - 1] for row in ROWS]
    together = {i: values[site][k] for rows, values in capture(loaded, ROWS, at, [site]) for k, i in enumerate(rows)}
    for i, row in enumerate(ROWS):
        ((_, alone),) = capture(loaded, [row], [at[i]], [site])
        assert _close(together[i], alone[site][0]), "capture depends on the batch"
    return "yes"


def _components(loaded: LoadedModel) -> str:
    """What of a block can be read besides what enters and leaves it."""
    there = []
    for component in ("attn_out", "resid_mid", "mlp_out", "head_z"):
        try:
            with torch.no_grad(), visiting(loaded.model, {Site(k, component): lambda _: None for k in range(DEPTH)}):
                forward(loaded.model, pad_left(ROWS[:1], 0, loaded.device))
        except HintprobeError:
            continue
        there.append(component)
    return ", ".join(there) or "none"


def _heads(loaded: LoadedModel) -> str:
    """Heads × width of each layer."""
    shapes = dict.fromkeys("{} × {}".format(*head_shape(loaded.model, layer)) for layer in range(DEPTH))
    return ", ".join(shapes)


def _edits(loaded: LoadedModel) -> str:
    """A direction added from token 3 on changes what is generated, as in a forward without a cache."""
    row, site = ROWS[0], Site(1, "resid_post")
    direction = torch.randn(32, generator=torch.Generator().manual_seed(5)) * 3
    edit = Add(site, [onwards(3)], direction=direction)
    edited, plain = (generate(loaded, [row], Decoding(max_new_tokens=4), edits=e)[0] for e in ([edit], []))
    assert edited.margins != plain.margins, "an edit did nothing"
    whole = pad_left([row + edited.ids[:-1]], 0, loaded.device)
    with torch.no_grad(), editing(loaded, whole, [Add(site, [onwards(3)], direction=direction)]):
        logits = forward(loaded.model, whole).logits[0, -4:]
    assert tuple(logits.argmax(-1).tolist()) == edited.ids, "an edit differs in the cache"
    return "yes"


def _cuts(loaded: LoadedModel) -> str:
    """Hidden tokens have no influence."""
    row = ROWS[0]
    other = (*row[:3], row[3] + 1, *row[4:])
    seen, hidden = (
        [c.margins for c in generate(loaded, [row, other], Decoding(max_new_tokens=3), edits=edits)]
        for edits in ([], [Knockout.hiding([(3,), (3,)])])
    )
    assert seen[0] != seen[1], "the token has no influence to begin with"
    assert torch.allclose(torch.tensor(hidden[0]), torch.tensor(hidden[1]), atol=1e-3), "a hidden token was seen"
    return "yes"


def _patches(loaded: LoadedModel) -> str:
    """Every layer equals a whole forward with one hook."""
    padded_left(loaded, ROWS)  # else pairs of one length only
    base, source = ROWS[0], (*ROWS[0][:3], ROWS[0][3] + 1, *ROWS[0][4:])
    sites = [Site(layer, "resid_pre") for layer in range(DEPTH)]
    effects = patch_pairs(loaded, [PatchPair(base, source, 11, 12, {"turn": (3,)}, group="g")], sites)
    kept: dict[Site, torch.Tensor] = {}
    with torch.no_grad(), visiting(loaded.model, {s: partial(kept.__setitem__, s) for s in sites}):  # type: ignore[misc]
        forward(loaded.model, pad_left([source], 0, loaded.device))
    for site in sites:

        def put(states: torch.Tensor, site: Site = site) -> torch.Tensor:
            changed = states.clone()
            changed[:, 3] = kept[site][:, 3]
            return changed

        with torch.no_grad(), visiting(loaded.model, {site: put}):
            logits = forward(loaded.model, pad_left([base], 0, loaded.device)).logits[0, -1]
        found = float(effects.patched[Cell(site, "turn")]["logit_difference"][0])
        assert abs(found - float(logits[11] - logits[12])) < 1e-2, f"patching differs at {site}"
    return "yes, from the middle" if effects.account.whole == 0 else "yes, by whole forwards"


def _checks(loaded: LoadedModel) -> str:
    report = check_model(loaded)
    assert report.passed, report.failed
    return "passes"


FEATURES: dict[str, Callable[[LoadedModel], str]] = {
    "generation": _generates,
    "capture": _captures,
    "inside the block": _components,
    "heads": _heads,
    "edits": _edits,
    "knockout": _cuts,
    "patching": _patches,
    "`check`": _checks,
}


def row_of(name: str) -> list[str]:
    """What works on a family; ``refused`` stands for a message in words before any result."""
    loaded = load_family(name)
    assert len(decoder_blocks(loaded.model)) == DEPTH
    cells = []
    for feature in FEATURES.values():
        try:
            cells.append(feature(loaded))
        except HintprobeError:
            cells.append("refused")
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
    return [name, *cells]


HEAD = """# Families of models

What works on which architecture. The table is printed by `python tests/open_families.py`, and a test holds it to what
happens: every *yes* was compared with transformers or with plain hooks on a small random model, and *refused* stands
for one paragraph that says why, before any result. Multimodal models run by their text part.

"""


def table(rows: list[list[str]]) -> str:
    """The page."""
    head = ["family", *FEATURES]
    lines = [head, ["---"] * len(head), *rows]
    return HEAD + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    torch.set_num_threads(1)
    names = sys.argv[1:] or list(FAMILIES)
    sys.stdout.write(table([row_of(name) for name in names]))
