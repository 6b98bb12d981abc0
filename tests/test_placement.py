"""Quantised and spread models load through the same call, capture like others, and are told apart."""

import importlib.util

import pytest
import torch
from conftest import Tiny, TinyFolder, some_rows

from activations import HintprobeError, Site, capture_batch, head_shape, load_model
from activations.check import check_model
from activations.placement import placement_options


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("bits", ["8bit", "4bit"])
@pytest.mark.filterwarnings("ignore:MatMul8bitLt")
def test_quantised_models_capture_near_the_full_ones(tiny_folder: TinyFolder, tiny: Tiny, bits: str):
    pytest.importorskip("bitsandbytes", reason="the extra for quantised models is not installed")
    full = tiny("llama")
    loaded = load_model(str(tiny_folder("llama")), device="cpu", quantized=bits)
    assert loaded.model.model.layers[0].mlp.up_proj.weight.dtype in (torch.int8, torch.uint8)
    assert head_shape(loaded.model, 1) == head_shape(full.model, 1)
    rows = some_rows(full, (9, 5))
    sites = [Site(1, c) for c in ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "head_z")]
    found, expected = (capture_batch(m, rows, [(8, 2), (4, 0)], sites) for m in (loaded, full))
    for site in sites:
        assert 1e-5 < relative(found[site], expected[site]) < 0.6, site
    assert loaded.identity == full.identity | {"quantized": bits}
    assert check_model(loaded).passed


def test_8_bits_are_nearer_than_4(tiny_folder: TinyFolder, tiny: Tiny):
    pytest.importorskip("bitsandbytes", reason="the extra for quantised models is not installed")
    site, rows = Site(0, "mlp_out"), some_rows(tiny("llama"), (9,))
    expected = capture_batch(tiny("llama"), rows, [range(9)], [site])[site]
    errors = [
        relative(
            capture_batch(load_model(str(tiny_folder("llama")), "float32", "cpu", bits), rows, [range(9)], [site])[
                site
            ],
            expected,
        )
        for bits in ("8bit", "4bit")
    ]
    assert errors[0] < errors[1] / 2


def test_a_device_map_gives_the_same_numbers(tiny_folder: TinyFolder, tiny: Tiny):
    pytest.importorskip("accelerate", reason="the extra for quantised models is not installed")
    loaded = load_model(str(tiny_folder("qwen3")), device="cpu", device_map="auto")
    assert loaded.identity == tiny("qwen3").identity
    rows, site = some_rows(loaded, (6,)), Site(2, "resid_mid")
    expected = capture_batch(tiny("qwen3"), rows, [range(6)], [site])[site]
    if loaded.device == tiny("qwen3").device:
        assert torch.equal(capture_batch(loaded, rows, [range(6)], [site])[site], expected)
    assert check_model(loaded).passed


def test_unknown_choices_and_missing_libraries_are_refused(monkeypatch: pytest.MonkeyPatch):
    assert placement_options("cpu", torch.float32, None, None) == {}
    with pytest.raises(HintprobeError, match="quantized='2bit'"):
        placement_options("cpu", torch.float32, "2bit", None)
    with pytest.raises(HintprobeError, match="device_map='balanced'"):
        placement_options("cpu", torch.float32, None, "balanced")
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "bitsandbytes" else find(name))
    with pytest.raises(HintprobeError, match=r"quantised needs bitsandbytes\. Install with"):
        placement_options("cpu", torch.float32, "4bit", None)
    assert placement_options("cpu", torch.float32, None, "auto") == {"device_map": "auto"}
