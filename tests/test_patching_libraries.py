"""Patching agrees with TransformerLens' own patching functions and with nnsight, in float32, on four families."""

import warnings
from functools import cache

import numpy as np
import pytest
import torch
from conftest import Tiny
from families import LAYERS, make_family

from activations import LoadedModel, Site
from activations.backends import open_backend
from activations.batching import pad_left
from activations.hooks import head_shape
from probes.patching import Cell, PatchEffects, PatchPair, patch_pairs

FAMILIES = ("llama", "qwen3", "gemma2", "gpt2")
BASE = (5, 9, 33, 2, 71, 14, 8, 60, 12)
SOURCE = (5, 9, 40, 2, 71, 22, 8, 61, 13)
TOKENS = (20, 30)
SITES = {c: [Site(k, c) for k in range(LAYERS)] for c in ("resid_pre", "attn_out", "mlp_out", "head_z")}


@pytest.fixture(scope="session")
def family(tiny: Tiny):
    tokenizer = tiny("llama").tokenizer

    @cache
    def load(name: str) -> LoadedModel:
        model = make_family(name, seed=3)
        model.config.architectures = [type(model).__name__]
        return LoadedModel(model, tokenizer, f"tiny-{name}", f"fingerprint of {name}", "tokenizer")

    return load


def grid_of(loaded: LoadedModel, component: str, heads: bool = False) -> PatchEffects:
    everywhere = {str(p): (p,) for p in range(len(BASE))}
    pair = PatchPair(BASE, SOURCE, *TOKENS, everywhere, "g")
    return patch_pairs(loaded, [pair], SITES[component], heads=heads)


def difference(effects: PatchEffects, layer: int, position: int, component: str, head: int | None = None) -> float:
    cell = Cell(Site(layer, component), str(position), head)
    return float(effects.patched[cell]["logit_difference"][0])


def metric(logits: torch.Tensor) -> torch.Tensor:
    return logits[0, -1, TOKENS[0]] - logits[0, -1, TOKENS[1]]


@pytest.mark.parametrize("name", FAMILIES)
def test_transformer_lens(family, name: str):
    patching = pytest.importorskip("transformer_lens.patching", reason="the extra transformer-lens is not installed")
    loaded = family(name)
    bridge = open_backend("transformer_lens", loaded).bridge
    base, source = (torch.tensor([ids]) for ids in (BASE, SOURCE))
    functions = {
        "resid_pre": patching.get_act_patch_resid_pre,
        "attn_out": patching.get_act_patch_attn_out,
        "mlp_out": patching.get_act_patch_mlp_out,
    }
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, kept = bridge.run_with_cache(source)
        for component, function in functions.items():
            effects = grid_of(loaded, component)
            theirs = function(bridge, base, kept, metric).numpy()
            ours = [[difference(effects, k, p, component) for p in range(len(BASE))] for k in range(LAYERS)]
            np.testing.assert_allclose(ours, theirs, atol=1e-4, err_msg=component)
            assert np.abs(theirs - effects.base["logit_difference"][0]).max() > 0.1, "something moves"
        effects = grid_of(loaded, "head_z", heads=True)
        theirs = patching.get_act_patch_attn_head_out_by_pos(bridge, base, kept, metric).numpy()
    heads = range(head_shape(loaded.model, 0)[0])
    ours = [[[difference(effects, k, p, "head_z", h) for h in heads] for p in range(len(BASE))] for k in range(LAYERS)]
    np.testing.assert_allclose(ours, theirs, atol=1e-4, err_msg="heads")


@pytest.mark.parametrize("name", FAMILIES)
def test_nnsight(family, name: str):
    pytest.importorskip("nnsight", reason="the extra nnsight is not installed")
    loaded = family(name)
    backend = open_backend("nnsight", loaded)
    base, source = (pad_left([ids], 0, loaded.device) for ids in (BASE, SOURCE))
    everywhere = torch.arange(len(BASE))[None]
    for component in ("resid_pre", "mlp_out"):
        effects = grid_of(loaded, component)
        for site in SITES[component]:
            states = backend.read(source, everywhere, [site])[site]
            for position in (2, 4, len(BASE) - 1):
                where = torch.tensor([[position]])
                logits = backend.logits(base, {site: (where, states[:, position : position + 1])})
                found = difference(effects, site.layer, position, component)
                assert found == pytest.approx(float(metric(logits)), abs=1e-4)
