"""A site means the same tensor in every backend, for reading and for replacing."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from conftest import Tiny, some_rows
from families import LAYERS, PARALLEL, make_family

from activations import HintprobeError, LoadedModel, Site, capture, capture_batch
from activations.backends import Backend, NativeBackend, open_backend
from activations.batching import pad_left

ROOT = Path(__file__).parents[1]
COMPONENTS = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "head_z")
LIBRARIES = {"transformer_lens": "transformer_lens.model_bridge", "nnsight": "nnsight"}
NAMES = [(library, family) for library in LIBRARIES for family in ("llama", "qwen3", "gemma2", "gpt2", "neox")]
ROWS = [(5, 9, 33, 2, 71), (44, 3, 27, 60, 11, 80, 6, 12), (7, 8, 9)]
POSITIONS = [(4, 0), (7, 3), (0, 2)]


@pytest.fixture(scope="session")
def family(tiny: Tiny):
    """``family(name)``: a model of the family with a tokenizer, as if loaded."""
    tokenizer = tiny("llama").tokenizer

    @cache
    def load(name: str) -> LoadedModel:
        model = make_family(name)
        model.config.architectures = [type(model).__name__]
        return LoadedModel(model, tokenizer, f"tiny-{name}", f"fingerprint of {name}", "tokenizer")

    return load


@pytest.fixture(scope="session")
def backend(family):
    @cache
    def opened(library: str, name: str) -> Backend:
        pytest.importorskip(LIBRARIES.get(library, "torch"), reason=f"the extra for {library} is not installed")
        return open_backend(library, family(name))

    return opened


def sites_of(name: str) -> list[Site]:
    return [Site(k, c) for k in range(LAYERS) for c in COMPONENTS if not (c == "resid_mid" and name in PARALLEL)]


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.square().mean().sqrt())


@pytest.mark.parametrize(("library", "name"), NAMES)
def test_capture_agrees_with_native_under_padding(backend, family, library: str, name: str):
    sites = sites_of(name)
    native = capture_batch(family(name), ROWS, POSITIONS, sites)
    other = capture_batch(family(name), ROWS, POSITIONS, sites, backend=backend(library, name))
    for site in sites:
        assert other[site].dtype == torch.float32
        assert relative(other[site], native[site]) < 1e-5, site
        assert relative(other[site].flip(0), native[site]) > 1e-2, "the comparison can fail"


@pytest.mark.parametrize(("library", "name"), NAMES)
def test_edits_agree_with_native(backend, family, library: str, name: str):
    loaded, other = family(name), backend(library, name)
    batch = pad_left(ROWS, 0, loaded.device)
    where = torch.tensor([[7], [5], [6]])
    native = NativeBackend(loaded)
    clean = native.logits(batch)
    assert relative(other.logits(batch)[batch.mask], clean[batch.mask]) < 1e-4
    sites = [site for site in sites_of(name) if site.layer == 1]
    own = native.read(batch, where, sites)
    for site in sites:
        edits = {site: (where, own[site].flip(0) * 0.5)}
        expected = native.logits(batch, edits)
        assert relative(other.logits(batch, edits)[batch.mask], expected[batch.mask]) < 1e-4, site
        assert relative(expected[batch.mask], clean[batch.mask]) > 1e-2, site
    assert relative(other.logits(batch)[batch.mask], clean[batch.mask]) < 1e-4, "nothing stays behind"


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_given_model_is_untouched(backend, family, library: str):
    loaded = family("llama")
    other = backend(library, "llama")
    modules = dict(loaded.model.named_modules())
    assert all("forward" not in module.__dict__ for module in modules.values())
    assert loaded.model.config._attn_implementation == "sdpa"
    before = capture_batch(loaded, ROWS, POSITIONS, [Site(2, "resid_post")])[Site(2, "resid_post")]
    capture_batch(loaded, ROWS, POSITIONS, [Site(2, "resid_post")], backend=other)
    after = capture_batch(loaded, ROWS, POSITIONS, [Site(2, "resid_post")])[Site(2, "resid_post")]
    assert torch.equal(before, after)
    assert dict(loaded.model.named_modules()).keys() == modules.keys()


def test_the_store_keeps_the_bridges_numbers_apart_and_nnsights_with_natives(backend, family):
    identity = family("llama").identity
    assert backend("nnsight", "llama").loaded.identity == identity
    bridged = backend("transformer_lens", "llama").loaded.identity
    assert bridged != identity
    assert bridged["attention"] == "eager"


def test_nnsights_simulated_remote_path_gives_the_same(backend, family, tiny: Tiny):
    pytest.importorskip("nnsight", reason="the extra for nnsight is not installed")
    loaded = tiny("llama")
    rows, sites = some_rows(loaded, (5, 9)), [Site(0, "attn_out"), Site(2, "resid_post")]
    expected = capture_batch(loaded, rows, [(4,), (8,)], sites)
    remote = open_backend("nnsight", loaded, remote="local")
    found = capture_batch(loaded, rows, [(4,), (8,)], sites, backend=remote)
    for site in sites:
        assert relative(found[site], expected[site]) < 1e-5
    edits = {sites[0]: (torch.tensor([[3]]), torch.ones(1, 1, 64))}
    batch = pad_left(rows[:1], 0, loaded.device)
    native = NativeBackend(loaded).logits(batch, edits)
    assert relative(remote.logits(batch, edits), native) < 1e-5
    assert relative(native, NativeBackend(loaded).logits(batch)) > 1e-2


def test_nnsights_service_is_refused_for_a_folder(family):
    pytest.importorskip("nnsight", reason="the extra for nnsight is not installed")
    with pytest.raises(HintprobeError, match="hub models"):
        open_backend("nnsight", family("llama"), remote=True)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("site", [Site(1, "resid_mid"), Site(99, "resid_post")])
def test_sites_that_are_not_there_are_refused(backend, family, library: str, site: Site):
    with pytest.raises(HintprobeError, match=str(site)):
        capture_batch(family("neox"), ROWS, POSITIONS, [site], backend=backend(library, "neox"))


def test_an_architecture_that_the_bridge_lacks_is_refused(family):
    pytest.importorskip("transformer_lens", reason="the extra for transformer-lens is not installed")
    loaded = family("olmo2")
    loaded.model.config.architectures = ["NobodyForCausalLM"]
    with pytest.raises(HintprobeError, match="could not bridge tiny-olmo2"):
        open_backend("transformer_lens", loaded)


def test_an_unknown_backend_and_a_missing_library_are_refused(family, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(HintprobeError, match=r"There is no backend 'jax'\. Known: native"):
        open_backend("jax", family("llama"))
    for library, module in LIBRARIES.items():
        monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.delitem(sys.modules, f"activations.backends.{library}", raising=False)
        with pytest.raises(HintprobeError, match=rf"pip install 'hintprobe\[{library.replace('_', '-')}\]'"):
            open_backend(library, family("llama"))


def test_capture_takes_a_backend(backend, family):
    site = Site(1, "resid_post")
    expected = dict(zip(range(3), capture_batch(family("gpt2"), ROWS, POSITIONS, [site])[site], strict=True))
    for indices, values in capture(
        family("gpt2"), ROWS, POSITIONS, [site], token_budget=8, backend=backend("nnsight", "gpt2")
    ):
        for slot, i in enumerate(indices):
            assert relative(values[site][slot], expected.pop(i)) < 1e-5
    assert not expected


def test_the_libraries_are_imported_only_when_chosen():
    for path in (ROOT / "activations").rglob("*.py"):
        own = path.stem if path.parent.name == "backends" else ""
        for node in ast.parse(path.read_text()).body:  # the top level: what runs on import
            if isinstance(node, ast.Import | ast.ImportFrom | ast.With):
                words = ast.unparse(node).replace(".", " ").split()
                assert not {"transformer_lens", "nnsight"} & set(words) - {own}, path
