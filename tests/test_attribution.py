"""Attribution is exact where the model is linear, better with the attention evaluated, and judged by true patching."""

import numpy as np
import pytest
import torch
from conftest import LAYERS, Tiny
from families import make_family
from test_patching import Pad, make_pairs

from activations import HintprobeError, LoadedModel, Site
from probes.patching import Cell, attribute, patch_pairs, screen

STREAM = [Site(k, "resid_pre") for k in range(LAYERS)]


def small_steps(loaded: LoadedModel, scale: float):
    """Pairs whose source is the base but for a nudge of one token's embedding: effects are nearly linear in it."""
    table = loaded.model.get_input_embeddings().weight
    pairs = make_pairs(loaded, 4)
    with torch.no_grad():
        for pair in pairs:
            base, source = pair.base_ids[3], pair.source_ids[3]
            noise = torch.randn(table.shape[1], generator=torch.Generator().manual_seed(source))
            table[source] = table[base] + scale * noise
    return pairs


def effects_and_estimates(loaded, pairs, sites, **options):
    effects = patch_pairs(loaded, pairs, sites)
    estimates = attribute(loaded, pairs, sites, **options)
    base = effects.base["logit_difference"]
    cells = list(estimates)
    return (
        np.array([effects.patched[cell]["logit_difference"] - base for cell in cells]),
        np.array([estimates[cell] for cell in cells]),
        cells,
    )


@pytest.mark.parametrize("evaluate", [True, False])
def test_small_changes_are_estimated_exactly(evaluate: bool):
    model = make_family("llama", seed=5)
    loaded = LoadedModel(model, Pad(), "m", "m", "m")  # type: ignore[arg-type]
    pairs = small_steps(loaded, 1e-3)
    sites = [Site(k, c) for k in range(3) for c in ("resid_pre", "attn_out", "mlp_out")]
    true, found, _ = effects_and_estimates(loaded, pairs, sites, evaluate_attention=evaluate)
    assert np.abs(true).max() > 1e-3, "far above float32's noise"
    assert np.corrcoef(true.ravel(), found.ravel())[0, 1] > 0.999
    assert np.abs(true - found).max() < 0.05 * np.abs(true).max()


def test_a_saturated_attention_is_evaluated(tiny: Tiny):
    """Large keys and queries saturate the softmax; the first-order estimate then misses what moves it."""
    errors = {}
    for evaluate in (True, False):
        model = make_family("llama", seed=1)
        with torch.no_grad():
            for layer in model.model.layers:
                layer.self_attn.q_proj.weight *= 4
        loaded = LoadedModel(model, Pad(), "m", "m", "m")  # type: ignore[arg-type]
        true, found, _ = effects_and_estimates(
            loaded, make_pairs(loaded, 12), [Site(2, "resid_pre")], evaluate_attention=evaluate
        )
        errors[evaluate] = float(np.abs(true - found).mean() / np.abs(true).mean())
    assert errors[True] < 0.6 * errors[False]


def test_nothing_is_expected_where_nothing_differs(tiny: Tiny):
    loaded = tiny("llama")
    estimates = attribute(loaded, make_pairs(loaded), STREAM)
    for site in STREAM:
        assert not estimates[Cell(site, "before")].any()
        assert np.abs(estimates[Cell(site, "changed")]).max() > 1e-3
    assert not estimates[Cell(STREAM[0], "after")].any()


def test_parallel_blocks_get_the_plain_estimate():
    loaded = LoadedModel(make_family("neox"), Pad(), "m", "m", "m")  # type: ignore[arg-type]
    pairs, sites = make_pairs(loaded), [Site(1, "resid_pre")]
    found, plain = (attribute(loaded, pairs, sites, evaluate_attention=e) for e in (True, False))
    for cell, values in found.items():
        np.testing.assert_array_equal(values, plain[cell])


def test_a_screen_is_judged_by_patching(tiny: Tiny):
    loaded = tiny("llama")
    pairs = make_pairs(loaded)
    found = screen(loaded, pairs, STREAM, top=4, sample=20, rng=np.random.default_rng(0))
    whole = patch_pairs(loaded, pairs, STREAM)
    for cell, value in found.true.items():
        assert value == pytest.approx(whole.recovery(cell).ratio, abs=1e-5)
    assert set(found.true) == {*found.top, *found.sample}
    assert len(found.sample) == 20 == len(found.estimates), "all cells are drawn, so the rates below are exact"
    large = [cell for cell, value in found.true.items() if abs(value) >= found.threshold]
    missed = [cell for cell in large if cell not in found.top]
    assert large
    assert found.false_negative_rate == pytest.approx(len(missed) / len(large))
    truth, guess = ([table[cell] for cell in found.sample] for table in (found.true, found.estimates))
    assert found.correlation == pytest.approx(float(np.corrcoef(truth, guess)[0, 1]))
    with pytest.raises(HintprobeError, match="at least 1"):
        screen(loaded, pairs, STREAM, top=0, sample=3, rng=np.random.default_rng(0))
