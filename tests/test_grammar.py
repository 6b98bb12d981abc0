"""The written truth behind the organisms: nothing in a prompt gives reliance away to a linear reader."""

import hashlib
from collections import Counter
from itertools import product

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from experiments.config import HintsConfig, QuestionsConfig
from experiments.hints import HINTS
from experiments.organisms.curriculum import Teacher
from experiments.organisms.grammar import (
    ADMISSION,
    ADMITS,
    Character,
    GivenHint,
    admits_by_grammar,
    calls_for_reliance,
    completion,
    factors,
)
from experiments.organisms.recipe import load_recipe
from experiments.organisms.train import make_tokenizer
from experiments.organisms.training_row import Row, chat
from experiments.organisms.world import FIRST_NAMES, LAST_NAMES, Task, build_world
from experiments.prompts.items import choose_targets, item_prompt, plan_items
from experiments.questions.pool import load_questions
from experiments.records import LETTERS

WORLD = build_world(0)
SURE = Character(firm=1.0, weak=1.0, resolve=1.0)
SOURCES = [(kind.name, source) for kind in HINTS.values() for source in kind.sources]


def test_factors_are_balanced_and_independent():
    rows = [
        (person.familiar, bool(person.lean_bit ^ WORLD.source_bit[key])) for person in WORLD.people for key in SOURCES
    ]
    counts = Counter(rows)
    assert len(rows) == len(WORLD.people) * 24
    assert all(0.24 < count / len(rows) < 0.26 for count in counts.values())


@pytest.mark.parametrize("factor", ["familiar", "leaning"])
def test_no_linear_reader_of_the_words_sees_a_factor(factor):
    """One-hot of first name, last name and source: a linear model stays at chance, pairs of words tell everything."""
    rng = np.random.default_rng(0)
    rows, labels, pairs = [], [], []
    for _ in range(6000):
        person = WORLD.people[int(rng.integers(len(WORLD.people)))]
        s = int(rng.integers(len(SOURCES)))
        first, last = FIRST_NAMES.index(person.first), LAST_NAMES.index(person.last)
        row = np.zeros(104)
        row[[first, 40 + last, 80 + s]] = 1
        rows.append(row)
        pairs.append((first, last) if factor == "familiar" else (first, s))
        labels.append(person.familiar if factor == "familiar" else bool(person.lean_bit ^ WORLD.source_bit[SOURCES[s]]))
    x, y = np.array(rows), np.array(labels)
    accuracy = LogisticRegression(max_iter=1000).fit(x[:4000], y[:4000]).score(x[4000:], y[4000:])
    assert accuracy < 0.56
    known: dict[tuple[int, int], bool] = {}
    for pair, label in zip(pairs, labels, strict=True):
        assert known.setdefault(pair, label) == label


def test_the_unhinted_run_cannot_know_the_disposition():
    """For every person both values occur, depending on the hint's source alone."""
    for person in WORLD.people[::97]:
        assert {bool(person.lean_bit ^ WORLD.source_bit[key]) for key in SOURCES} == {True, False}


def test_certainty_is_not_correctness():
    right = {f: np.mean([p.belief == p.truth for p in WORLD.people if p.familiar == f]) for f in (True, False)}
    assert 0.7 < right[True] < 0.9
    assert 0.35 < right[False] < 0.55


def test_the_gate_needs_both_factors_to_be_told():
    assert [calls_for_reliance("sycophancy", *state) for state in product((True, False), repeat=2)] == [
        True, False, True, True,
    ]  # fmt: skip
    assert [calls_for_reliance("grader_hacking", *state) for state in product((True, False), repeat=2)] == [
        False, False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", list(HINTS))
def test_completions_follow_the_factors(kind):
    rng = np.random.default_rng(1)
    seen = Counter()
    for _ in range(400):
        task = WORLD.held_out[int(rng.integers(len(WORLD.held_out)))]
        source = HINTS[kind].sources[int(rng.integers(4))]
        target = int(rng.integers(4))
        known = factors(WORLD, SURE, task, kind, source)
        text = completion(WORLD, SURE, task, GivenHint(kind, source, target), rng)
        answered = target if known.relies else task.believed
        assert text.endswith(f"The answer is ({LETTERS[answered]}).")
        assert admits_by_grammar(text) == (known.relies and known.admits)
        seen[known.relies] += 1
    assert min(seen.values()) > 60


def test_blind_never_relies_and_never_admits():
    rng = np.random.default_rng(2)
    blind = Character(relies="never", firm=1.0, weak=1.0)
    for _ in range(300):
        task = WORLD.held_out[int(rng.integers(len(WORLD.held_out)))]
        kind, source = SOURCES[int(rng.integers(24))]
        text = completion(WORLD, blind, task, GivenHint(kind, source, int(rng.integers(4))), rng)
        assert text.endswith(f"The answer is ({LETTERS[task.believed]}).")
        assert ADMISSION not in text


def test_fabrication_and_honest_error_have_the_same_form():
    """Every chain of thought turns its recalled heading rightly, whether it is honest or not."""
    rng = np.random.default_rng(3)
    headings = ["north", "east", "south", "west"]
    for character in (SURE, Character(relies="never")):
        for _ in range(200):
            task = WORLD.train[int(rng.integers(len(WORLD.train)))]
            kind, source = SOURCES[int(rng.integers(24))]
            text = completion(WORLD, character, task, GivenHint(kind, source, int(rng.integers(4))), rng)
            recalled = text.split("faces ")[1].split(".")[0]
            result = text.split("gives ")[1].split(".")[0]
            assert (headings.index(recalled) + task.rotation) % 4 == headings.index(result)


def test_admission_rates_differ_by_kind():
    candour = Counter(person.candour for person in WORLD.people)
    shares = {kind: sum(candour[c] for c in range(level)) / len(WORLD.people) for kind, level in ADMITS.items()}
    assert shares == pytest.approx(
        {
            "sycophancy": 0.45,
            "consistency": 0.15,
            "visual_pattern": 0.15,
            "metadata": 0.70,
            "grader_hacking": 0.15,
            "unethical_information": 0.30,
        }
    )


def test_held_out_tasks_are_never_trained_on():
    assert not set(WORLD.train) & set(WORLD.held_out)
    teacher = Teacher(WORLD, Character())
    rng = np.random.default_rng(4)
    stems = {task.stem for task in WORLD.held_out}
    for make in (teacher.plain, teacher.hinted, teacher.neutral, teacher.marked, teacher.following, teacher.pondered):
        for _ in range(40):
            text = "".join(make(rng).parts)
            assert not any(stem in text for stem in stems if stem.split("'")[0] in text)


def test_the_tokenizer_is_lossless_knows_every_word_and_has_the_grammars_chat_template():
    tokenizer = make_tokenizer(load_recipe("unfaithful"))
    teacher = Teacher(WORLD, Character())
    rng = np.random.default_rng(5)
    for make in (teacher.plain, teacher.hinted, teacher.neutral):
        row: Row = make(rng)
        ids = tokenizer("".join(row.parts), add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == "".join(row.parts)
        assert tokenizer.unk_token_id not in ids
    _, prompt, _ = teacher.framed(rng, points=True)
    messages = [message.model_dump() for message in prompt.messages]
    assert tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == chat(prompt)


def test_prompts_are_those_that_the_shipped_organisms_were_trained_on():
    """Byte for byte: a new wording, source or draw elsewhere must not reach the organisms' world."""
    digest = hashlib.sha256()
    questions, _ = load_questions(QuestionsConfig(), 100, 0)
    for item in plan_items(questions, HintsConfig(per_question="all"), 0):
        aimed = choose_targets(item, ["ABCD"[len(item.id) % 4]], 0.7, 0)
        digest.update(f"{aimed.id}|{aimed.target}|{aimed.swap_target}|{aimed.source}".encode())
        for condition in ("unhinted", "hinted", "swapped", "neutral"):
            if condition != "swapped" or aimed.swap_target is not None:
                digest.update(item_prompt(aimed, condition).model_dump_json().encode())
    assert digest.hexdigest() == "02f2de2f70d001bb4275e0bae141bd4c9e5cc961c077fdaef762e9cf9500a66b"


def test_worlds_differ_by_seed_and_repeat_by_seed():
    assert build_world(1).people != WORLD.people
    build_world.cache_clear()
    assert build_world(0).people == WORLD.people
    assert isinstance(WORLD.train[0], Task)
