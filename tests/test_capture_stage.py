"""The capture stage under each backend, and numerics that keep their own records."""

import json

import pytest
from conftest import TinyFolder

from experiments.config import Config
from experiments.pipeline import run_pipeline
from experiments.progress import Reporter


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
