"""A model is loaded whole or refused in words, and its identity is its content."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import ARCHITECTURES, Tiny, TinyFolder, some_rows
from safetensors.torch import load_file, save_file
from transformers import ByT5Tokenizer

from activations import HintprobeError, fingerprint, load_model

Change = Callable[[Path], object]


@pytest.fixture
def folder(tiny_folder: TinyFolder, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(tiny_folder("llama"), tmp_path / "copy"))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def change_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_saved_model_is_loaded_as_it_was(tiny_folder: TinyFolder, tiny: Tiny, arch: str):
    loaded = tiny(arch)
    saved = load_file(tiny_folder(arch) / "model.safetensors")
    state = loaded.model.state_dict()
    for name, tensor in saved.items():
        found = state.get(name, state.get(f"{loaded.model.base_model_prefix}.{name}"))
        assert torch.equal(found, tensor), name
    assert not loaded.model.training
    assert not any(p.requires_grad for p in loaded.model.parameters())
    assert loaded.name == "model"
    assert loaded.device.type == "cpu"


def test_loading_draws_no_random_numbers(tiny_folder: TinyFolder):
    before = torch.random.get_rng_state()
    load_model(str(tiny_folder("llama")), device="cpu")
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(("dtype", "expected"), [("auto", "float32"), ("float32", "float32"), ("bfloat16", "bfloat16")])
def test_dtype(tiny_folder: TinyFolder, dtype: str, expected: str):
    loaded = load_model(str(tiny_folder("llama")), dtype=dtype, device="cpu")
    assert loaded.identity["dtype"] == expected
    assert str(loaded.model.dtype) == f"torch.{expected}"


def test_identity_is_the_content_and_not_the_name(tiny_folder: TinyFolder, tiny: Tiny, folder: Path):
    a, b = tiny_folder("llama"), tiny_folder("llama", seed=1)
    assert a.name == b.name
    assert tiny("llama").name == tiny("llama", seed=1).name
    assert fingerprint(str(a)) != fingerprint(str(b)), "one name, other weights"
    assert fingerprint(str(a)) == fingerprint(str(folder)), "another name, the same weights"
    assert load_model(str(folder), device="cpu").identity == tiny("llama").identity
    assert tiny("llama").fingerprint == fingerprint(str(a))


def test_one_changed_weight_or_setting_changes_the_fingerprint_and_bookkeeping_does_not(folder: Path):
    before = fingerprint(str(folder))
    change_config(folder, transformers_version="9.9.9", _name_or_path="elsewhere", dtype="float16")
    (folder / "README.md").write_text("notes")
    assert fingerprint(str(folder)) == before
    change_config(folder, rms_norm_eps=1e-3)
    other = fingerprint(str(folder))
    assert other != before
    change_weights(folder, lambda t: t["model.norm.weight"].view(-1)[3].add_(1e-6))
    assert fingerprint(str(folder)) not in (before, other)


def test_large_files_are_sampled_and_still_told_apart(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("activations.sources._WHOLE_FILE_LIMIT", 1000)
    monkeypatch.setattr("activations.sources._SAMPLE", 64)
    before = fingerprint(str(folder))
    assert before == fingerprint(str(folder))
    change_weights(folder, lambda t: [v.add_(1e-3) for v in t.values()])
    assert fingerprint(str(folder)) != before


def test_tokenizer_and_chat_template_have_their_own_hash(tiny: Tiny, folder: Path):
    template = next(folder.glob("chat_template*"))
    template.write_text(template.read_text() + " ")
    changed = load_model(str(folder), device="cpu")
    assert changed.tokenizer_hash != tiny("llama").tokenizer_hash
    assert changed.fingerprint == tiny("llama").fingerprint
    assert tiny("gpt2").tokenizer_hash == tiny("llama").tokenizer_hash


def spoil_config(text: str) -> Change:
    return lambda folder: (folder / "config.json").write_text(text)


def without_tokenizer(folder: Path) -> None:
    for path in folder.glob("token*"):
        path.unlink()


def with_slow_tokenizer(folder: Path) -> None:
    without_tokenizer(folder)
    ByT5Tokenizer().save_pretrained(folder)


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


SPOILT: dict[str, tuple[Change, str]] = {
    "no weights": (lambda f: (f / "model.safetensors").unlink(), r"no weights .*Download or copy"),
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "config is not JSON": (spoil_config("{nope"), r"config\.json could not be read"),
    "config is a list": (spoil_config("[]"), "a JSON object was expected"),
    "unknown architecture": (spoil_config('{"model_type": "nosuch"}'), "does not recognize this architecture"),
    "not a causal model": (spoil_config('{"model_type": "t5"}'), "not a causal language model known to transformers"),
    "custom code": (
        spoil_config('{"model_type": "nosuch", "auto_map": {"AutoConfig": "x.Y", "AutoModelForCausalLM": "x.Z"}}'),
        "contains custom code",
    ),
    "no tokenizer": (without_tokenizer, "tokenizer"),
    "tokenizer without offsets": (with_slow_tokenizer, r"no character offsets.*fast tokenizer"),
    "tokenizer is not JSON": (lambda f: (f / "tokenizer.json").write_text("{"), "could not be loaded"),
    "truncated weights": (cut_weights, "could not be loaded"),
    "a tensor is missing": (
        lambda f: change_weights(f, lambda t: t.pop("model.layers.1.mlp.down_proj.weight")),
        r"lack 1 of the model's tensors, model\.layers\.1\.mlp\.down_proj\.weight",
    ),
    "a tensor of another shape": (
        lambda f: change_weights(f, lambda t: t.update({"model.norm.weight": torch.ones(3)})),
        "could not be loaded",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_folder_is_refused_in_one_paragraph(folder: Path, name: str):
    load_model(str(folder), device="cpu")
    change, message = SPOILT[name]
    change(folder)
    with pytest.raises(HintprobeError, match=message) as caught:
        load_model(str(folder), device="cpu")
    assert "\n" not in str(caught.value)
    assert folder.name in str(caught.value)


def test_custom_code_is_never_asked_about(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def asked(*_: object) -> str:
        raise AssertionError("a question was put to the terminal")

    monkeypatch.setattr("builtins.input", asked)
    SPOILT["custom code"][0](folder)
    with pytest.raises(HintprobeError):
        load_model(str(folder), device="cpu")


@pytest.mark.parametrize("source", ["/no/such/folder", "./nowhere", "~/no-such-folder-here", "a/b/c"])
def test_a_missing_folder_is_refused(source: str):
    with pytest.raises(HintprobeError, match=r"there is no such folder\. Give an existing folder .*or a hub id"):
        load_model(source)


def test_a_hub_id_that_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch):
    def offline(*_: object, **__: object) -> None:
        raise OSError("We couldn't connect to the hub.\nsecond line")

    monkeypatch.setattr("transformers.utils.hub.cached_file", offline)
    with pytest.raises(HintprobeError, match=r"couldn't connect to the hub\. Give a folder"):
        load_model("someone/something")


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(tiny_folder: TinyFolder, device: str):
    with pytest.raises(HintprobeError, match=f"device '{device}' cannot be used"):
        load_model(str(tiny_folder("llama")), device=device)


def test_a_tokenizer_without_padding_gets_some(folder: Path, tokenizer):
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config.pop("pad_token")
    path.write_text(json.dumps(config))
    loaded = load_model(str(folder), device="cpu")
    assert loaded.tokenizer.pad_token_id == tokenizer.eos_token_id
    config.pop("eos_token")
    path.write_text(json.dumps(config))
    assert load_model(str(folder), device="cpu").tokenizer.pad_token_id == 0


def test_a_home_folder_and_the_current_one_are_understood(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert fingerprint("~/copy") == fingerprint(str(folder))
    monkeypatch.chdir(folder)
    assert load_model(".", device="cpu").name == "copy"


def test_rows_of_the_fixture_hold_no_special_tokens(tiny: Tiny):
    loaded = tiny("llama")
    ids = {token for row in some_rows(loaded, (50, 50)) for token in row}
    assert not ids & set(loaded.tokenizer.all_special_ids)
