"""Shipped configs are valid, and every key of a config does something."""

import re
from pathlib import Path

import pytest
import yaml

from activations.errors import HintprobeError
from experiments.config import Config
from experiments.config.file import _keys, load_config
from experiments.config.other_names import OTHER_NAMES

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "experiments" / "configs").rglob("*.yaml"))
CONFIGS = [path for path in CONFIGS if path.parent.name != "training"]  # tests/test_trajectory.py has those


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_are_valid(path):
    config = load_config(path)
    assert config.name == path.stem
    assert len(config.hints.kinds) == 6


def test_overrides_replace_and_none_does_not(tmp_path):
    config = load_config(CONFIGS[0], cache=tmp_path, models=None)
    assert config.cache == tmp_path
    assert config.models


def test_every_key_is_read_somewhere():
    code = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "experiments").rglob("*.py") if path.name != "schema.py"
    )
    for name, field in Config.model_fields.items():
        section = field.annotation
        keys = getattr(section, "model_fields", None) or {name: None}
        for key in keys:
            assert re.search(rf"\.{key}\b", code), f"{name}.{key} is never read"


def test_settings_stand_in_place_of_the_files(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("name: t\nmodels: [m]\nquestions: {limit: 5}\n")
    settings = ["questions.limit=7", "generate.temperature=0.5", "hints.kinds=[metadata]", "threads=null"]
    config = load_config(path, settings)
    assert (config.questions.limit, config.generate.temperature, config.threads) == (7, 0.5, None)
    assert config.hints.kinds == ("metadata",)
    for wrong, expected in {
        "questions.limit": "sets nothing",
        "=3": "sets nothing",
        "questions.limits=3": "unknown key `questions.limits`",
        "questions.limit=many": "`questions.limit`",
        "hints.kinds=[": "not YAML",
    }.items():
        with pytest.raises(HintprobeError, match=re.escape(expected)):
            load_config(path, [wrong])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"seed": -1}, "`seed`"),
        ({"seed": 10**23}, "`seed`"),
        ({"cache": "a\0b"}, "code 0"),
        ({"questions": {"source": "a\0b"}}, "code 0"),
        ({"probe": {"c_grid": [float("inf")]}}, "`probe.c_grid"),
        ({"probe": {"early_answering": [float("nan")]}}, "`probe.early_answering"),
        ({"probe": {"early_answering": [2.0]}}, "`probe.early_answering"),
        ({"generate": {"temperature": float("inf")}}, "`generate.temperature`"),
        ({"compare": {"bootstrap": 10**11}}, "`compare.bootstrap`"),
        ({"hints": {"kinds": ["metadata", "sycophancy", "metadata"]}}, "'metadata' 2 times"),
        ({"hints": {"directions": ["correct", "correct"]}}, "'correct' 2 times"),
        ({"models": ["m", "m"]}, "'m' 2 times"),
        ({"capture": {"layers": [1, 1]}}, "'1' 2 times"),
    ],
)
def test_a_value_that_no_run_can_work_with_is_refused_before_anything_runs(tmp_path, given, told):
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"name": "t", "models": ["m"], **given}))
    with pytest.raises(HintprobeError) as refused:
        load_config(path)
    assert told in str(refused.value)


KNOWN = dict(_keys(Config))


def test_a_word_of_another_tool_is_answered_with_our_key():
    for word, ours in OTHER_NAMES.items():
        assert set(ours) <= set(KNOWN), word
        assert word not in KNOWN, f"{word} is a key of ours"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"n_samples": 50}, ("`questions.limit`", "`generate.rollouts`")),
        ({"batch_size": 8}, ("`generate.token_budget`", "`capture.token_budget`")),
        ({"generate": {"max_tokens": 9}}, ("`generate.max_new_tokens`",)),
        ({"generate": {"num_samples": 4}}, ("`generate.rollouts`",)),
        ({"generate": {"seed": 1}}, ("`seed`: seed of sampling",)),
        ({"probe": {"permutation": 1}}, ("did you mean `probe.permutations`",)),
    ],
)
def test_an_unknown_key_is_answered_with_what_was_meant(tmp_path, given, told):
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"name": "t", "models": ["m"], **given}))
    with pytest.raises(HintprobeError) as refused:
        load_config(path)
    assert all(words in str(refused.value) for words in told)
    (unknown,) = re.findall(r"unknown key `([^`]*)`", str(refused.value))
    assert unknown.rpartition(".")[2] in str(given)
