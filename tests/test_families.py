"""What open families need: the table in the docs, rows that end early, padding, contexts, files of other kinds."""

import copy
import dataclasses
import json
from pathlib import Path

import pytest
import torch
from conftest import Tiny, TinyFolder, some_rows
from open_families import FAMILIES, FEATURES, HEAD, ROWS, load_family, row_of

from activations import Decoding, HintprobeError, Knockout, fingerprint, generate, load_model
from activations.batching import pad_left
from activations.forward import forward

DOCS = Path(__file__).parents[1] / "docs" / "families.md"
QUICK = ("LFM2", "BLOOM")


def documented() -> dict[str, list[str]]:
    lines = DOCS.read_text(encoding="utf-8").removeprefix(HEAD).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert rows[0] == ["family", *FEATURES]
    return {row[0]: row for row in rows[2:]}


def test_every_family_has_its_row():
    assert list(documented()) == list(FAMILIES)


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in FAMILIES])
def test_the_table_says_what_happens(name: str):
    assert documented()[name] == row_of(name)


def test_a_hybrids_row_that_ends_early_changes_no_other():
    loaded = load_family("LFM2")
    full = generate(loaded, ROWS, Decoding(max_new_tokens=6))
    loaded.model.generation_config.eos_token_id = [full[0].ids[2]]
    cut = generate(loaded, ROWS, Decoding(max_new_tokens=6))
    stop = full[0].ids[2]
    for before, after in zip(full, cut, strict=True):
        end = before.ids.index(stop) + 1 if stop in before.ids else len(before.ids)
        assert after.ids == before.ids[:end]
    assert len(cut[0].ids) < 6


def test_attention_is_not_knocked_out_where_something_else_carries_tokens():
    loaded = load_family("LFM2")
    with pytest.raises(HintprobeError, match="attention is not its only path"):
        generate(loaded, ROWS[:1], Decoding(max_new_tokens=2), edits=[Knockout.hiding([(3,)])])


def test_a_pad_token_outside_the_embedding_is_never_looked_up(tiny: Tiny):
    loaded = tiny("llama")
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.add_tokens([f"<extra{k}>" for k in range(8)])
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    assert tokenizer.pad_token_id >= loaded.vocabulary
    rows = some_rows(loaded, (4, 9))
    other = dataclasses.replace(loaded, tokenizer=tokenizer)
    assert generate(other, rows, Decoding(max_new_tokens=3)) == generate(loaded, rows, Decoding(max_new_tokens=3))


def test_a_completion_ends_with_the_context_and_a_longer_prompt_is_named(tiny: Tiny):
    loaded = tiny("gpt2")
    assert loaded.context == 512
    near, far = some_rows(loaded, (508, 512))
    (found,) = generate(loaded, [near], Decoding(max_new_tokens=20))
    assert len(found.ids) <= 4
    with pytest.raises(HintprobeError, match=r"Row 1 has 512 tokens, and the context of model is 512"):
        generate(loaded, [near, far], Decoding(max_new_tokens=20))


peft_warns = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture
def adapter(tiny_folder: TinyFolder, tiny: Tiny, tmp_path: Path) -> tuple[Path, torch.Tensor]:
    """A saved LoRA adapter, and the logits that peft gives with it."""
    peft = pytest.importorskip("peft", reason="the extra for adapters is not installed")
    loaded = tiny("llama")
    settings = peft.LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = peft.get_peft_model(copy.deepcopy(loaded.model), settings).eval()
    model.peft_config["default"].base_model_name_or_path = str(tiny_folder("llama"))
    model.save_pretrained(tmp_path / "adapter")
    with torch.no_grad():
        return tmp_path / "adapter", model(torch.tensor(some_rows(loaded, (7,)))).logits[0]


@peft_warns
def test_an_adapter_is_merged_into_its_base(adapter: tuple[Path, torch.Tensor], tiny: Tiny, tiny_folder: TinyFolder):
    folder, expected = adapter
    loaded = load_model(str(folder), device="cpu")
    batch = pad_left(some_rows(loaded, (7,)), 0, loaded.device)
    with torch.no_grad():
        found = forward(loaded.model, batch).logits[0]
        base = forward(tiny("llama").model, batch).logits[0]
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(base, expected, atol=1e-1)
    assert loaded.fingerprint == fingerprint(str(folder)) != fingerprint(str(tiny_folder("llama")))
    assert loaded.tokenizer_hash == tiny("llama").tokenizer_hash


@peft_warns
def test_an_adapter_without_its_base_is_refused_in_words(adapter: tuple[Path, torch.Tensor]):
    folder, _ = adapter
    settings = json.loads((folder / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = "/nowhere/base"
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises(HintprobeError, match="was trained on '/nowhere/base', which cannot be found"):
        load_model(str(folder), device="cpu")
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(HintprobeError, match="has no adapter_model"):
        fingerprint(str(folder))


def test_a_gguf_of_an_unknown_architecture_is_refused_in_words(tmp_path: Path):
    gguf = pytest.importorskip("gguf", reason="gguf is not installed")
    path = tmp_path / "odd.gguf"
    writer = gguf.GGUFWriter(path, "nonsense")
    writer.add_block_count(2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(HintprobeError, match=r"odd.gguf' could not be loaded"):
        load_model(str(path), device="cpu")
    with pytest.raises(HintprobeError, match="taken for a GGUF file, but there is no such file"):
        load_model(str(tmp_path / "missing.gguf"))
