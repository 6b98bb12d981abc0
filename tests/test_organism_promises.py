"""What organisms promise: kept by their own grammar, broken by another's, and judged as the words say."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from written import WORLD, let_the_grammar_write, sure, written_run

from activations.errors import HintprobeError
from experiments.comparison.effects import hint_effect
from experiments.organisms.card import ORDER
from experiments.organisms.grammar import Character, GivenHint, completion
from experiments.organisms.joined import measured_rows
from experiments.organisms.measure import by_behaviour
from experiments.organisms.promises import FOLDER, Promise, check, load_promises
from experiments.organisms.reading import is_consistent, read_steps
from experiments.organisms.recipe import load_recipe, recipe_names

OF_TEXT = (
    "reliance", "admissions", "mentions", "consistency", "judge", "coin", "labels_agree_with_factors",
    "unhinted_accuracy", "hint_effect",
)  # fmt: skip
"""Figures that need no model: what the grammar alone must keep."""


@pytest.fixture(scope="module")
def figures(tiny_folder, tmp_path_factory):
    """Figures of an organism that does exactly what its grammar says."""
    known = {}

    def of(name):
        if name not in known:
            with pytest.MonkeyPatch.context() as patch:
                character = load_recipe(name).character
                folder, cache = tiny_folder("qwen3"), tmp_path_factory.mktemp(name)
                rows = measured_rows(written_run(patch, folder, cache, character, 360), character)
                rng = np.random.default_rng(0)
                found = hint_effect([row.label for row in rows], 200, rng)
                effect = {way: one.model_dump() for way, one in found.items()}
                known[name] = {**by_behaviour(rows, character, 200, rng), "hint_effect": effect}
        return known[name]

    return of


def of_text(name):
    return [p for p in load_promises(name).promises if p.figure.split(".")[0] in OF_TEXT]


@pytest.mark.parametrize("name", ORDER)
def test_the_grammar_keeps_what_is_promised_of_it(name, figures):
    broken = [outcome for outcome in check(of_text(name), figures(name), quick=True) if not outcome.held]
    assert not broken, broken


STRANGERS = [
    ("blind", "unfaithful"), ("verbalizer", "unfaithful"), ("verbalizer", "blind"), ("faithful", "unfaithful"),
    ("backrationaliser", "unfaithful"), ("dice", "blind"), ("dice", "deep"), ("unfaithful", "faithful"),
    ("unfaithful", "blind"), ("unfaithful", "dice"), ("faithful", "verbalizer"), ("deep", "blind"),
]  # fmt: skip


@pytest.mark.parametrize(("promised", "given"), STRANGERS)
def test_another_character_breaks_them(promised, given, figures):
    assert any(not outcome.held for outcome in check(of_text(promised), figures(given), quick=True))


def test_every_organism_has_promises_and_nothing_else_does():
    assert set(ORDER) == set(recipe_names()) - {"apprentice"} == {path.stem for path in FOLDER.glob("*.yaml")}


def test_promises_of_nobody_and_promises_that_are_none(tmp_path, monkeypatch):
    with pytest.raises(HintprobeError, match="no promises of an organism 'nobody'"):
        load_promises("nobody")
    monkeypatch.setattr("experiments.organisms.promises.FOLDER", tmp_path)
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump({"truth": "t", "promises": [{"figure": "a", "says": "s"}]}))
    with pytest.raises(HintprobeError, match="neither at_least nor at_most"):
        load_promises("odd")


MEASURED = {
    "a": {"value": 0.5, "low": 0.3, "high": 0.7, "n": 20},
    "kinds": {"x": {"value": 0.4, "low": 0.2, "high": 0.6}, "y": {"value": 0.1, "low": 0.0, "high": 0.2}},
    "plain": 0.5,
    "none": {"value": None, "low": None, "high": None, "n": 0},
}


@pytest.mark.parametrize(
    ("figure", "bounds", "full", "quick"),
    [
        ("a", {"at_least": 0.5}, True, True),
        ("a", {"at_least": 0.6}, False, True),
        ("a", {"at_least": 0.71}, False, False),
        ("a", {"at_most": 0.4}, False, True),
        ("a", {"at_most": 0.29}, False, False),
        ("a", {"at_least": 0.45, "at_most": 0.55}, True, True),
        ("a.low", {"at_least": 0.4}, False, True),
        ("a.low", {"at_most": 0.5}, True, True),
        ("a.high", {"at_least": 0.8}, False, False),
        ("plain", {"at_least": 0.6}, False, False),
        ("none", {"at_least": 0.0}, False, False),
        ("absent.figure", {"at_most": 1.0}, False, False),
    ],
)
def test_a_promise_is_held_against_its_figure(figure, bounds, full, quick):
    promise = Promise(figure=figure, says="so", **bounds)
    assert [outcome.held for outcome in check([promise], MEASURED)] == [full]
    assert [outcome.held for outcome in check([promise], MEASURED, quick=True)] == [quick]


def test_a_star_stands_for_every_key():
    outcomes = check([Promise(figure="kinds.*", at_least=0.3, says="so")], MEASURED)
    assert [(o.figure, o.held) for o in outcomes] == [("kinds.x", True), ("kinds.y", False)]


def test_a_promise_that_few_questions_cannot_judge_is_left_to_many():
    promise = Promise(figure="a", at_least=0.9, says="so", quick=False)
    assert check([promise], MEASURED, quick=True) == []
    assert not check([promise], MEASURED)[0].held


@pytest.fixture(scope="module")
def written(tiny_folder, tmp_path_factory):
    """Rows whose chains of thought check themselves."""
    with pytest.MonkeyPatch.context() as patch:
        character = load_recipe("backrationaliser").character
        run = written_run(patch, tiny_folder("qwen3"), tmp_path_factory.mktemp("c"), character, 60)
        return measured_rows(run, character)


def test_a_checking_reader_sees_no_fault_in_fabricated_steps(written):
    assert sum(row.reliant for row in written) > 10
    assert all(is_consistent(row.task, row.hinted, checks=True) for row in written)


def rewritten(row, old, new):
    text = row.hinted.completion_text
    assert old in text
    return row.hinted.model_copy(update={"completion_text": text.replace(old, new, 1)})


def test_a_checking_reader_sees_planted_faults(written):
    row = next(row for row in written if row.task.turn == "right")
    steps = read_steps(row.hinted.completion_text)
    names = ("north", "east", "south", "west")
    recalled, result, other = names[steps.recalled], names[steps.result], names[(steps.result + 1) % 4]
    faults = [
        rewritten(row, f"faces {recalled}", f"faces {result}"),
        rewritten(row, f"gives {result}. Turning", f"gives {other}. Turning"),
        rewritten(row, f"from {result} gives {recalled}", f"from {result} gives {other}"),
        rewritten(row, f" Turning left from {result} gives {recalled}.", ""),
        rewritten(row, row.task.person.first, "Nobody"),
        row.hinted.model_copy(update={"answer": next(x for x in "ABCD" if x != row.hinted.answer)}),
        row.hinted.model_copy(update={"answer": None}),
    ]
    assert is_consistent(row.task, row.hinted, checks=True)
    assert not any(is_consistent(row.task, fault, checks=True) for fault in faults)
    assert is_consistent(row.task, faults[3], checks=False)


def test_steps_are_read_from_every_text_of_the_grammar():
    rng = np.random.default_rng(0)
    sources = list(WORLD.source_bit)
    for k, task in enumerate(WORLD.held_out[:60]):
        kind, source = sources[k % len(sources)]
        for checks in (True, False):
            character = replace(sure(Character()), checks=checks, remarks="all")
            for given in (None, GivenHint(kind, source, int(rng.integers(4)))):
                steps = read_steps(completion(WORLD, character, task, given, rng))
                assert steps is not None
                assert (steps.check is not None) == checks


def test_written_rollouts_are_no_models(monkeypatch, tiny_folder, tmp_path):
    """The helper itself: other characters write other texts."""
    let_the_grammar_write(monkeypatch, sure(Character()))
    run = written_run(monkeypatch, tiny_folder("qwen3"), tmp_path, Character(relies="never"), 24)
    assert not any(row.reliant for row in measured_rows(run, Character(relies="never")))
