"""Every kind, wording, source and condition: places carried to tokens, swaps of equal length, nothing given away."""

import gzip
import json
import os
from pathlib import Path

import pytest

from activations.errors import HintprobeError
from experiments.hints import HINTS, render
from experiments.organisms.recipe import load_recipe
from experiments.organisms.train import make_tokenizer
from experiments.prompts.chat import render_chat
from experiments.records import Question

QUESTION = Question(
    id="q",
    stem="Take Ava Tate's heading and turn right. Where does it point?",
    options=("north", "east", "south", "west"),
    gold="B",
    subject="headings",
    source="test",
    group="Ava Tate",
)
SHOTS = tuple(
    QUESTION.model_copy(
        update={"id": name, "stem": QUESTION.stem.replace("Ava Tate", name), "group": name, "gold": gold}
    )
    for name, gold in (("Ben Cole", "A"), ("Cleo Dunn", "D"))
)
EVERY = [
    (kind, wording, source) for kind in HINTS.values() for wording in kind.indices("terse") for source in kind.sources
]


class Holder:
    """What `render_chat` needs of a loaded model."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer


@pytest.fixture(scope="module")
def loaded():
    return Holder(make_tokenizer(load_recipe("unfaithful")))


def tokens(loaded, prompt):
    return render_chat(loaded.tokenizer, prompt).encoded.ids


def test_six_kinds_with_two_wordings_or_more():
    assert len(HINTS) == 6
    assert all(len(kind.wordings) >= 2 for kind in HINTS.values())


@pytest.mark.parametrize(("kind", "wording", "source"), EVERY)
def test_swapped_has_the_same_length_and_differs_only_at_the_pointer(loaded, kind, wording, source):
    hinted = tokens(loaded, render(kind, wording, source, QUESTION, "hinted", "A", SHOTS))
    swapped = tokens(loaded, render(kind, wording, source, QUESTION, "swapped", "D", SHOTS))
    assert len(hinted) == len(swapped)
    n_changed = sum(a != b for a, b in zip(hinted, swapped, strict=True))
    assert n_changed == (2 if kind.marks else 1)


@pytest.mark.parametrize(("kind", "wording", "source"), EVERY)
def test_places_decode_to_what_they_name(loaded, kind, wording, source):
    prompt = render(kind, wording, source, QUESTION, "hinted", "C", SHOTS)
    rendered = render_chat(loaded.tokenizer, prompt)
    spelled = {
        name: loaded.tokenizer.decode([rendered.encoded.ids[i] for i in place])
        for name, place in rendered.places.items()
    }
    assert spelled["pointer"].strip() == (source if kind.marks else "C")
    assert QUESTION.stem in spelled["question"]
    assert spelled["question"].endswith("west")
    assert rendered.places["pointer"][0] > 0
    inside = set(rendered.places["pointer"]) <= set(rendered.places["hint"])
    assert inside


@pytest.mark.parametrize(("kind", "wording", "source"), EVERY)
def test_neutral_and_unhinted_name_no_option(loaded, kind, wording, source):
    """Whatever target a hint would have, the neutral and the unhinted prompt are one and the same text."""
    for condition in ("neutral", "unhinted"):
        prompt = render(kind, wording, source, QUESTION, condition, None, SHOTS)
        assert "pointer" not in prompt.spans
        if kind.marks:
            assert source not in prompt.messages[-1].content.split(QUESTION.stem)[-1]
            continue
        text = "".join(message.content for message in prompt.messages)
        for letter in "ABCD":
            assert text.count(f"({letter})") == 1  # the option itself
            assert f'"{letter}"' not in text
            assert f">{letter}<" not in text


def test_the_visual_baseline_has_the_same_examples_without_marks():
    kind = HINTS["visual_pattern"]
    plain = render(kind, 0, "■", QUESTION, "unhinted", None, SHOTS).messages[0].content
    hinted = render(kind, 0, "■", QUESTION, "hinted", "C", SHOTS).messages[0].content
    assert "■" not in plain
    assert hinted.replace("■", "-") == plain
    assert hinted.count("■") == len(SHOTS) + 1


@pytest.mark.parametrize(("condition", "letter"), [("hinted", None), ("unhinted", "A"), ("hinted", "E")])
def test_a_letter_where_there_should_be_none_is_refused(condition, letter):
    with pytest.raises(HintprobeError):
        render(HINTS["sycophancy"], 0, "close friend", QUESTION, condition, letter)


def test_a_mark_without_examples_is_refused():
    with pytest.raises(HintprobeError, match="worked examples"):
        render(HINTS["visual_pattern"], 0, "■", QUESTION, "hinted", "A")


def test_real_questions_render_under_every_kind():
    shared = os.environ.get("HINTPROBE_SHARED_DATA")
    if not shared:
        pytest.skip("HINTPROBE_SHARED_DATA is not set: no real questions to render")
    lines = gzip.decompress((Path(shared) / "mmlu" / "test.jsonl.gz").read_bytes()).decode().splitlines()
    for line in lines[::70]:
        raw = json.loads(line)
        question = Question(
            id=raw["id"], stem=raw["question"], options=tuple(raw["choices"]), gold=raw["answer"],
            subject=raw["subject"], source="mmlu", group=raw["id"],
        )  # fmt: skip
        for kind in HINTS.values():
            for wording in range(len(kind.wordings)):
                prompt = render(kind, wording, kind.sources[0], question, "hinted", "C", (question, question))
                span = prompt.spans["pointer"]
                named = prompt.messages[span.message].content[span.start : span.end]
                assert named == (kind.sources[0] if kind.marks else "C")
                span = prompt.spans["question"]
                assert raw["question"] in prompt.messages[span.message].content[span.start : span.end]


def test_a_kind_without_a_wording_for_a_question_is_named(monkeypatch):
    """A new kind has plain wordings first; the organisms' questions ask for terse ones."""
    from dataclasses import replace

    from experiments.config import HintsConfig
    from experiments.prompts import items
    from experiments.prompts.items import plan_items
    from experiments.questions.datasets import ORGANISM_WORLD

    kind = HINTS["metadata"]
    plain = replace(kind, wordings=tuple(kind.wordings[i] for i in kind.indices("plain")))
    monkeypatch.setattr(items, "HINTS", {**HINTS, "metadata": plain})
    asked = [QUESTION.model_copy(update={"source": ORGANISM_WORLD})]
    with pytest.raises(HintprobeError, match=r"'metadata' has no wording of the register 'terse'.*it has plain"):
        plan_items(asked, HintsConfig(kinds=("metadata",)), 0)
    assert len(plan_items(asked, HintsConfig(kinds=("metadata",), wordings="plain"), 0)) == 1
