"""Every extra resolves to the pinned versions, and where one is absent its name is told."""

import importlib.util
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from conftest import some_rows
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from activations import ActivationStore, HintprobeError, open_backend
from activations.export import export
from activations.placement import placement_options
from activations.sources import find_source
from experiments.cluster.ray_cluster import connected
from experiments.config.endpoint import Endpoint
from experiments.judges.asking import AnthropicClient
from experiments.organisms.lora.training import _require_libraries
from experiments.questions.sources import read_file, read_hub
from experiments.report.results import ModelResults
from experiments.report.runs import Run
from experiments.transcripts.inspect_log import inspect_rows

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINS = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
}
UNPINNED = {"hintprobe", "setuptools", "pip"}
"""The package itself, and what builds it."""


def needed(requirement: Requirement, found: set[str]) -> None:
    """Check one requirement against the pins, then what it needs in turn, as its installed metadata say."""
    name = canonicalize_name(requirement.name)
    if name not in UNPINNED:
        assert name in PINS, f"{requirement} has no pin in constraints.txt"
        assert requirement.specifier.contains(PINS[name], prereleases=True), f"{requirement} refuses {PINS[name]}"
    key = f"{name}[{','.join(sorted(requirement.extras))}]"
    if key in found or name == "torch":  # what torch needs depends on the kind of build
        return
    found.add(key)
    try:
        wanted = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed here")
    for text in wanted:
        inner = Requirement(text)
        if inner.marker is None or any(inner.marker.evaluate({"extra": e}) for e in (*requirement.extras, "")):
            needed(inner, found)


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_extra_resolves_to_the_pinned_versions(extra):
    found: set[str] = set()
    for text in (*PROJECT["dependencies"], *EXTRAS[extra]):
        needed(Requirement(text), found)
    assert found


def test_all_is_every_extra_that_users_have():
    (everything,) = map(Requirement, EXTRAS["all"])
    assert everything.extras == set(EXTRAS) - {"all", "docs", "dev"}


def captured(tiny, tmp_path):
    loaded = tiny("llama")
    (row,) = some_rows(loaded, (4,))
    return ActivationStore(tmp_path).capture(loaded, [row], {"last": [3]})


def with_map(folder):
    maps = {"validation": {"p": [{"site": "resid_post.0", "position": "last", "auroc": 0.5}]}}
    return ModelResults(Run(folder, {}), {"model": "m", "comparison": maps})


ENDPOINT = Endpoint(base_url="http://127.0.0.1:9", model="m")

ABSENT = {
    "transformer-lens": ("transformer_lens", lambda tiny, tmp: open_backend("transformer_lens", tiny("llama"))),
    "nnsight": ("nnsight", lambda tiny, tmp: open_backend("nnsight", tiny("llama"))),
    "datasets": ("datasets", lambda tiny, tmp: list(read_hub("owner/name", None, "test", None))),
    "datasets (files)": ("pyarrow", lambda tiny, tmp: list(read_file(tmp / "questions.parquet"))),
    "datasets (export)": ("pyarrow", lambda tiny, tmp: export(captured(tiny, tmp).store, tmp / "out", "parquet")),
    "xarray": ("xarray", lambda tiny, tmp: captured(tiny, tmp).to_xarray()),
    "xarray (results)": ("xarray", lambda tiny, tmp: with_map(tmp).validation_array("p")),
    "anthropic": ("anthropic", lambda tiny, tmp: AnthropicClient(ENDPOINT)._connect()),
    "inspect": ("inspect_ai", lambda tiny, tmp: list(inspect_rows(tmp / "log.eval"))),
    "lora": ("peft", lambda tiny, tmp: _require_libraries()),
    "gguf": ("gguf", lambda tiny, tmp: find_source(str(tmp / "weights.gguf"))),
    "ray": ("ray", lambda tiny, tmp: connected("local", 1).__enter__()),
    "quantized": ("bitsandbytes", lambda tiny, tmp: placement_options("cpu", None, "4bit", None)),
}


@pytest.mark.parametrize("name", ABSENT)
def test_an_absent_extra_is_named(name, tiny, tmp_path, monkeypatch):
    library, use = ABSENT[name]
    for file in ("questions.parquet", "weights.gguf"):
        (tmp_path / file).write_bytes(b"")
    for module in [
        m for m in sys.modules if m == library or m.startswith((f"{library}.", f"activations.backends.{library}"))
    ]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda n, *rest: None if n == library else find(n, *rest))
    with pytest.raises(HintprobeError, match=re.escape(f"pip install 'hintprobe[{name.split(' ')[0]}]'")):
        use(tiny, tmp_path)


def test_every_extra_with_code_of_ours_is_tried():
    """`serve` is a command of transformers, used beside hintprobe; `train` is tried in test_train_rl.py."""
    assert {name.split(" ")[0] for name in ABSENT} == set(EXTRAS) - {"all", "docs", "dev", "serve", "train"}
