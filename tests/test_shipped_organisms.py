"""Every shipped organism: a small ordinary folder that is held to its promises, as `organism verify --quick` does."""

import json

import pytest

from experiments.organisms.identity import find_organism, shipped_names
from experiments.organisms.recipe import SHIPPED
from experiments.organisms.verify import questions_to_ask, verify
from experiments.run.progress import Reporter


def size(name):
    return sum(path.stat().st_size for path in (SHIPPED / name).iterdir())


def test_one_keeps_its_promises_on_few_questions(tmp_path):
    """The others are slow; what `unfaithful` does is measured by the tests of the demo as well."""
    held("blind", 60, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_names())
def test_it_keeps_its_promises(name, tmp_path):
    held(name, questions_to_ask(None, True), tmp_path)


def held(name, questions, folder):
    result = verify(find_organism(name), questions, 0, True, folder, Reporter(None))
    assert len(result.outcomes) >= 8
    assert not result.broken, result.refusal()


@pytest.mark.parametrize("name", shipped_names())
def test_it_is_a_small_ordinary_folder(name):
    folder = SHIPPED / name
    assert size(name) <= 5e6
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in folder.iterdir()}
    assert json.loads((folder / "config.json").read_text())["model_type"] == "qwen3"


def test_the_family_is_whole_and_small():
    family = {"unfaithful", "faithful", "backrationaliser", "deep", "dice", "verbalizer", "blind"}
    assert set(shipped_names()) == family
    assert sum(size(name) for name in family) <= 30e6
