"""The self-check passes on sound models, and names each planted fault."""

import json
import shutil
import sys
from functools import cache

import pytest
import torch
from conftest import Tiny, TinyFolder
from families import FAMILIES, PARALLEL, make_family
from safetensors.torch import load_file, save_file
from transformers import ByT5Tokenizer

from activations import LoadedModel, Site
from activations.backends import NativeBackend
from activations.batching import PaddedBatch
from activations.check import CheckReport, check_model
from activations.check.traces import Traces
from activations.hooks import visiting
from activations.sites import decoder_blocks
from experiments.cli import main

STREAM = "the residual stream equals transformers' hidden states"
NORM = "the last residual is taken before the final norm"
SUMS = "what attention and MLP add sums up to the stream"
NATIVE = "every site equals the native backend's"
BATCH = "a batch equals single rows"
SIDES = "left padding equals right padding"
TWICE = "the same capture twice is the same"
ITSELF = "patching a run with itself changes nothing"
EDIT = "editing a site changes the logits"
EARLIER = "an edit changes no earlier token"
HOOKS = "no hook is left behind"
RESOLUTION = "noise is smaller than a step between layers"
ALL = [STREAM, NORM, SUMS, BATCH, SIDES, TWICE, ITSELF, EDIT, EARLIER, RESOLUTION, HOOKS]


@pytest.fixture(scope="module")
def family(tiny: Tiny):
    @cache
    def load(name: str, dtype: torch.dtype = torch.float32) -> LoadedModel:
        return LoadedModel(make_family(name).to(dtype), tiny("llama").tokenizer, name, name, "t")

    return load


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", FAMILIES)
def test_sound_models_pass(family, name: str, dtype: torch.dtype):
    report = check_model(family(name, dtype))
    assert report.passed, report.failed
    assert [finding.name for finding in report.findings] == ALL
    assert list(report.refused) == (["resid_mid"] if name in PARALLEL else [])
    assert report.noise.dtype == str(dtype).removeprefix("torch.")
    assert 0 < report.noise.floor < (1e-5 if dtype == torch.float32 else 1) or report.noise.kernel is None


class WrongLayer(NativeBackend):
    """Gives each site the values of the layer before."""

    def read(self, batch, where, sites):
        other = {site: Site(max(0, site.layer - 1), site.component) for site in sites}
        read = super().read(batch, where, sorted(set(other.values())))
        return {site: read[other[site]] for site in sites}


class LostPositions(NativeBackend):
    """Counts positions from the left edge of the batch, padding included."""

    def read(self, batch, where, sites):
        class Bare(PaddedBatch):
            @property
            def position_ids(self):
                return torch.arange(self.ids.shape[1]).expand(len(self.ids), -1)

        return super().read(Bare(batch.ids, batch.mask, batch.offset), where, sites)


class OneOff(NativeBackend):
    """Reads one token too early."""

    def read(self, batch, where, sites):
        return super().read(batch, (where - 1).clamp(min=0), sites)


class Leaky(NativeBackend):
    """Leaves a hook that changes nothing."""

    def read(self, batch, where, sites):
        decoder_blocks(self.model)[1].register_forward_hook(lambda *_: None)
        return super().read(batch, where, sites)


class LeakyEdit(NativeBackend):
    """Changes the model's weights with an edit, and does not put them back."""

    def logits(self, batch, edits=None):
        result = super().logits(batch, edits)
        if edits:
            decoder_blocks(self.model)[1].mlp.down_proj.weight.data.mul_(1.1)
        return result


class FoldedNorm(NativeBackend):
    """Centres the stream, as folding a layer norm into the weights around it does."""

    def read(self, batch, where, sites):
        read = super().read(batch, where, sites)
        return {s: v - v.mean(-1, keepdim=True) if s.component.startswith("resid") else v for s, v in read.items()}


class AfterTheFinalNorm(NativeBackend):
    """Takes transformers' last hidden state for the last residual."""

    def read(self, batch, where, sites):
        read = super().read(batch, where, sites)
        last = Site(len(decoder_blocks(self.model)) - 1, "resid_post")
        return read | {last: self.model.base_model.norm(read[last])} if last in read else read


class BeforeThePostNorm(NativeBackend):
    """Takes the attention's output before the norm behind it."""

    def read(self, batch, where, sites):
        read = super().read(batch, where, sites)
        for layer, block in enumerate(decoder_blocks(self.model)):
            z, out = Site(layer, "head_z"), Site(layer, "attn_out")
            if z in read and out in read:
                read[out] = block.self_attn.o_proj(read[z])
        return read


class DeafToEdits(NativeBackend):
    """Ignores edits of one component."""

    def logits(self, batch, edits=None):
        return super().logits(batch, {s: e for s, e in (edits or {}).items() if s.component != "head_z"})


class EditsEverywhere(NativeBackend):
    """Edits the first token too."""

    def logits(self, batch, edits=None):
        visitors = {
            s: lambda v, new=new: v.index_copy(1, torch.tensor([0]), new[:, :1])
            for s, (_, new) in (edits or {}).items()
        }
        with visiting(self.model, visitors):
            return super().logits(batch, edits)


class Forgetful(NativeBackend):
    """Gives another answer every time."""

    calls = 0

    def read(self, batch, where, sites):
        self.calls += 1
        return {site: v * (1 + 1e-3 * self.calls) for site, v in super().read(batch, where, sites).items()}


FAULTS = {
    WrongLayer: ("llama", {STREAM, NORM}),
    LostPositions: ("gpt2", {BATCH, SIDES}),
    OneOff: ("llama", {STREAM}),
    Leaky: ("llama", {HOOKS}),
    LeakyEdit: ("llama", {HOOKS}),
    FoldedNorm: ("gpt2", {STREAM, SUMS}),
    AfterTheFinalNorm: ("llama", {NORM, SUMS}),
    BeforeThePostNorm: ("gemma2", {SUMS}),
    DeafToEdits: ("llama", {EDIT}),
    EditsEverywhere: ("llama", {EARLIER}),
    Forgetful: ("llama", {STREAM, TWICE}),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_fault_is_named(tiny: Tiny, fault, dtype: torch.dtype):
    name, expected = FAULTS[fault]
    loaded = LoadedModel(make_family(name).to(dtype), tiny("llama").tokenizer, name, name, "t")
    if fault is Forgetful and dtype != torch.float32:
        pytest.skip("an error of a thousandth is below the noise of bfloat16")
    report = check_model(loaded, fault(loaded))
    assert expected <= set(report.failed), report.findings
    assert set(report.failed) < set(ALL), "not everything fails: the names mean something"


@pytest.mark.parametrize("library", ["transformer_lens", "nnsight"])
def test_the_libraries_pass_and_a_folded_norm_in_the_bridge_is_caught(tiny: Tiny, library: str):
    pytest.importorskip(library, reason=f"the extra for {library} is not installed")
    from activations.backends import open_backend

    loaded = tiny("gpt2")
    backend = open_backend(library, loaded)
    report = check_model(loaded, backend)
    assert report.passed, report.failed
    assert [f.name for f in report.findings] == [*ALL[:3], NATIVE, *ALL[3:]]
    if library == "transformer_lens":
        backend.bridge.enable_compatibility_mode()
        assert {STREAM, NATIVE} <= set(check_model(loaded, backend).failed)


def test_noise_too_large_to_tell_layers_apart_is_a_finding(tiny: Tiny):
    model = make_family("llama")
    for block in model.model.layers:
        for part in (block.mlp.down_proj, block.self_attn.o_proj):
            part.weight.data.mul_(1e-5)
    report = check_model(LoadedModel(model.to(torch.bfloat16), tiny("llama").tokenizer, "flat", "f", "t"))
    assert RESOLUTION in report.failed


def test_traces_see_replaced_methods_and_hooks():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    traces = Traces.of(model)
    assert traces.finding(same_logits=True).passed
    assert not traces.finding(same_logits=False).passed
    model[0].forward = lambda x: x
    assert "of 0 changed" in traces.finding(same_logits=True).where
    del model[0].forward
    handle = model.register_forward_pre_hook(lambda *_: None)
    assert not traces.finding(same_logits=True).passed
    handle.remove()
    assert traces.finding(same_logits=True).passed


def command(capsys, monkeypatch, *arguments) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["hintprobe", "check", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


def test_the_command_prints_a_table_and_keeps_the_noise(capsys, monkeypatch, tmp_path, tiny_folder: TinyFolder):
    folder = tiny_folder("llama")
    capsys.readouterr()
    code, out, err = command(capsys, monkeypatch, folder, "--cache", tmp_path)
    assert (code, err) == (0, "")
    assert out.count("passed") == len(ALL)
    (path,) = (tmp_path / "store").glob("*/noise.json")
    noise = json.loads(path.read_text())
    assert 0 < noise["floor"] < 1e-5
    assert len(noise["shape"]) == len(noise["kernel"]) == 4
    assert (path.parent / "identity.json").exists()


def test_the_command_takes_quantised_weights(capsys, monkeypatch, tmp_path, tiny_folder: TinyFolder):
    pytest.importorskip("bitsandbytes", reason="the extra for quantised models is not installed")
    arguments = ("--quantized", "4bit", "--spread", "--json", "--cache", tmp_path)
    code, out, _ = command(capsys, monkeypatch, tiny_folder("llama"), *arguments)
    assert (code, json.loads(out)["passed"]) == (0, True)
    (identity,) = (tmp_path / "store").glob("*/identity.json")
    assert json.loads(identity.read_text())["quantized"] == "4bit"


def test_the_command_fails_with_status_2_and_the_checks_names(capsys, monkeypatch, tmp_path, tiny_folder: TinyFolder):
    monkeypatch.setattr("activations.backends.native.NativeBackend", OneOff)
    code, out, err = command(capsys, monkeypatch, tiny_folder("gpt2"), "--json", "--cache", tmp_path)
    assert code == 2
    report = json.loads(out)
    assert not report["passed"]
    assert STREAM in report["failed"]
    assert STREAM in err
    assert "Do not trust" in err
    code, out, _ = command(capsys, monkeypatch, tiny_folder("gpt2"), "--cache", tmp_path)
    assert code == 2
    assert "FAILED" in out


def no_weights(folder):
    (folder / "model.safetensors").unlink()


def infinite_weights(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.down_proj.weight"].fill_(float("inf"))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def slow_tokenizer(folder):
    for path in folder.glob("token*"):
        path.unlink()
    ByT5Tokenizer().save_pretrained(folder)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (shutil.rmtree, "there is no such folder"),
        (no_weights, "no weights"),
        (slow_tokenizer, "no character offsets"),
        (infinite_weights, "not finite"),
    ],
)
def test_a_model_that_cannot_be_checked_is_bad_input(capsys, monkeypatch, tmp_path, tiny_folder, spoil, expected):
    folder = shutil.copytree(tiny_folder("llama"), tmp_path / "model")
    spoil(folder)
    capsys.readouterr()
    code, out, err = command(capsys, monkeypatch, folder, "--json", "--cache", tmp_path / "cache")
    assert (code, out) == (2, "")
    assert err.startswith("hintprobe: ")
    assert expected in err
    assert err.count("\n") == 1, "one paragraph"


def test_a_cache_that_cannot_be_written_is_bad_input_and_the_table_is_printed(
    capsys, monkeypatch, tmp_path, tiny_folder
):
    (tmp_path / "cache").write_text("a file")
    folder = tiny_folder("llama")
    capsys.readouterr()
    code, out, err = command(capsys, monkeypatch, folder, "--cache", tmp_path / "cache")
    assert code == 2
    assert out.count("passed") == len(ALL)
    assert "cannot be written" in err


def test_parallel_blocks_are_told_in_the_table(family):
    from experiments.commands.check import _table

    report: CheckReport = check_model(family("neox"))
    assert [_table(report, "m").columns[0]._cells[-1], report.passed] == ["has resid_mid", True]
