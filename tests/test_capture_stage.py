"""The capture stage under each backend, and numerics that keep their own records."""

import json

import pytest
from conftest import LAYERS, TinyFolder

from activations.errors import HintprobeError
from experiments.config import CaptureConfig, Config
from experiments.pipeline import run_pipeline
from experiments.run.progress import Reporter
from experiments.stages.capture import captured_sites


@pytest.fixture(scope="module")
def account_of(tiny_folder: TinyFolder, tmp_path_factory: pytest.TempPathFactory):
    """``account_of(**changes)``: what the capture stage of a small run counted; all runs share one cache."""
    cache = tmp_path_factory.mktemp("cache")

    def run(capture: dict | None = None, **changes) -> dict:
        settings = {
            "name": "t",
            "models": [str(tiny_folder("llama"))],
            "cache": cache,
            "questions": {"limit": 4},
            "hints": {"kinds": ["metadata"]},
            "generate": {"max_new_tokens": 2},
            "capture": {"positions": ["prompt_end"], **(capture or {})},
            **changes,
        }
        run_pipeline(Config.model_validate(settings), Reporter(None), "capture")
        return accounts(cache)

    return run


def accounts(cache) -> dict:
    latest = max(cache.glob("runs/t/*/capture-*/done.json"), key=lambda path: path.stat().st_mtime_ns)
    return json.loads(latest.read_text())["account"]


def test_nnsight_fills_natives_part_of_the_store_and_the_bridge_its_own(account_of):
    for library in ("nnsight", "transformer_lens"):
        pytest.importorskip(library, reason=f"the extra for {library} is not installed")
    native = account_of()
    assert native["written"] > 0
    traced = account_of({"backend": "nnsight"})
    assert traced["store"] == native["store"]
    assert (traced["written"], traced["reused"]) == (0, native["written"])
    bridged = account_of({"backend": "transformer_lens"})
    assert bridged["store"] != native["store"]
    assert bridged["written"] == native["written"]


def test_quantised_numbers_are_kept_apart(account_of):
    pytest.importorskip("bitsandbytes", reason="the extra for quantised models is not installed")
    native = account_of()
    quantised = account_of(quantized="4bit")
    assert quantised["written"] > 0
    assert quantised["store"] != native["store"]


def test_a_few_layers_are_kept_and_the_rest_added_later(account_of):
    few = account_of({"positions": ["hint_end"], "layers": [-1]})
    assert few["sites"] == ["resid_pre.0", "resid_post.0", f"resid_post.{LAYERS - 1}"]
    every = account_of({"positions": ["hint_end"]})
    assert len(every["sites"]) == LAYERS + 1
    assert every["written"] > 0
    assert every["store"] == few["store"]


@pytest.mark.parametrize(("layers", "names"), [(None, "0123"), ((2,), "02"), ((-1, 1, 3), "013")])
def test_layers_are_counted_from_both_ends(layers, names):
    sites = captured_sites(CaptureConfig(layers=layers), 4)
    assert [str(site) for site in sites] == ["resid_pre.0", *(f"resid_post.{layer}" for layer in names)]


@pytest.mark.parametrize("layer", [4, -5])
def test_a_block_that_is_not_there_is_refused(layer):
    with pytest.raises(HintprobeError, match=f"names {layer}, but this model has 4 blocks"):
        captured_sites(CaptureConfig(layers=(1, layer)), 4)


def test_a_block_that_is_not_there_is_refused_before_anything_is_asked(account_of, tiny_folder, tmp_path):
    with pytest.raises(HintprobeError, match="names 99"):
        account_of({"layers": [99]}, cache=tmp_path)
    assert not list(tmp_path.glob("runs/t/*/*"))
