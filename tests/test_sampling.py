"""A run samples as its configuration says, else as the model's authors do, else greedily; and writes it down."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import Tiny, TinyFolder, some_rows

from activations import Decoding, HintprobeError
from activations.sources import generation_settings
from experiments.config import GenerateConfig
from experiments.engines import Ask, InProcess
from experiments.run.sampling import sampling_of, truncations

QWEN3 = {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95}


@pytest.fixture
def folder(tiny_folder: TinyFolder, tmp_path: Path) -> Path:
    """A model folder without a generation configuration."""
    copied = Path(shutil.copytree(tiny_folder("llama"), tmp_path / "copy"))
    (copied / "generation_config.json").unlink(missing_ok=True)
    return copied


def state(folder: Path, **settings: object) -> None:
    (folder / "generation_config.json").write_text(json.dumps(settings))


def test_the_models_own_settings_hold_where_the_configuration_is_silent(folder: Path):
    state(folder, **QWEN3)
    found = sampling_of(GenerateConfig(), str(folder))
    assert found == {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0.0, "repetition_penalty": 1.0}
    mixed = sampling_of(GenerateConfig(temperature=0.2, top_k=0), str(folder))
    assert (mixed["temperature"], mixed["top_k"], mixed["top_p"]) == (0.2, 0, 0.95)
    explicit = sampling_of(GenerateConfig(sampling="explicit", top_p=0.5), str(folder))
    assert explicit == {"temperature": 0.0, "top_p": 0.5, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}


def test_a_model_that_says_nothing_is_greedy(folder: Path):
    assert generation_settings(str(folder)) == {}
    state(folder, eos_token_id=1, temperature=0.9)
    assert generation_settings(str(folder)) == {}, "a temperature counts where it says to sample"
    state(folder, do_sample=True)
    assert generation_settings(str(folder)) == {"temperature": 1.0}
    state(folder, repetition_penalty=1.1)
    assert generation_settings(str(folder)) == {"repetition_penalty": 1.1}, "a penalty acts on greedy decoding too"
    assert sampling_of(GenerateConfig(), str(folder))["temperature"] == 0.0


def test_organisms_are_greedy():
    from experiments.run.known_models import resolve_model

    assert generation_settings(resolve_model("organism:unfaithful")) == {}


def test_a_rollout_records_what_is_on_alone():
    assert truncations(Decoding(0.6, top_p=0.95, top_k=20)) == {"top_p": 0.95, "top_k": 20}
    assert truncations(Decoding(0.6, repetition_penalty=1.0)) == {}
    assert truncations(Decoding(0.0, repetition_penalty=1.2)) == {"repetition_penalty": 1.2}


def test_a_prompt_beyond_the_context_is_counted_and_keeps_no_other_from_being_asked(tiny: Tiny):
    loaded = tiny("gpt2")
    fits, too_long = some_rows(loaded, (20, 512))
    engine = InProcess(loaded, Decoding(max_new_tokens=3))
    kept = {}
    asks = [Ask(too_long, "", 1), Ask(fits, "", 2)]
    engine.run(asks, lambda indices, answers: kept.update(zip(indices, answers, strict=True)))
    assert (kept[0].ids, kept[0].finish_reason) == ((), "other")
    assert len(kept[1].ids) == 3
    assert engine.account()["too_long"] == 1


def test_what_the_models_configuration_asks_for_besides_is_in_the_account(tiny: Tiny, monkeypatch):
    loaded = tiny("llama")
    monkeypatch.setattr(loaded.model.generation_config, "no_repeat_ngram_size", 2)
    assert InProcess(loaded, Decoding()).account()["left_out"] == ["no_repeat_ngram_size=2"]


@pytest.mark.parametrize("wrong", [{"top_p": 0}, {"top_k": -1}, {"min_p": 1.5}, {"sampling": "greedy"}])
def test_wrong_keys_are_refused_when_the_configuration_is_read(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GenerateConfig(**wrong)


def test_a_damaged_generation_configuration_is_refused_in_words(folder: Path):
    (folder / "generation_config.json").write_text("{")
    with pytest.raises(HintprobeError, match="could not be read"):
        generation_settings(str(folder))
