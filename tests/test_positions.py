"""Named positions, checked on the decoded token; what cannot be resolved has a reason."""

import numpy as np
import pytest

from activations.errors import HintprobeError
from experiments.hints import HINTS, render
from experiments.organisms.grammar import Character, GivenHint, completion
from experiments.organisms.world import build_world
from experiments.prompts.chat import render_chat
from experiments.prompts.positions import check_position, locate
from experiments.records import Item, Rollout

WORLD = build_world(0)
TASK = WORLD.held_out[3]
SURE = Character(firm=1.0, weak=1.0)


def make(tokenizer, kind="sycophancy", condition="hinted", text=None):
    hint = HINTS[kind]
    item = Item(
        id="i", question=TASK.question(), kind=kind, direction="incorrect", wording=0, source=hint.sources[0],
        target="A", swap_target="B", shots=tuple(task.question() for task in WORLD.train[:2]),
    )  # fmt: skip
    letter = {"hinted": "A", "swapped": "B"}.get(condition)
    prompt = render(hint, 0, item.source, item.question, condition, letter, item.shots)
    rendered = render_chat(tokenizer, prompt)
    text = text or completion(WORLD, SURE, TASK, GivenHint(kind, item.source, 0), np.random.default_rng(0))
    ids = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
    cot, _, answer = text.removeprefix("<think>").partition("</think>")
    rollout = Rollout(
        id="r", item_id="i", condition=condition, index=0, prompt=prompt, prompt_text=rendered.encoded.text,
        prompt_ids=rendered.encoded.ids, completion_ids=(*ids, tokenizer.eos_token_id), completion_text=text,
        cot=cot.strip() if answer else None, answer_text=answer.strip() or text, answer=None, truncated=False,
        finish_reason="stop", seed=0, temperature=0.0, margins=(), places=rendered.characters,
    )  # fmt: skip
    return item, rollout


@pytest.mark.parametrize("kind", list(HINTS))
def test_every_name_decodes_to_its_token(kind, tokenizer):
    item, rollout = make(tokenizer, kind)
    names = ("pointer", "hint_end", "question_end", "prompt_end", "think_start", "cot_0.5", "think_end", "pre_answer")
    found, missing = locate(tokenizer, item, rollout, names)
    assert missing == {}
    ids = rollout.prompt_ids + rollout.completion_ids
    spelled = {name: tokenizer.decode([ids[at]]) for name, at in found.items()}
    assert spelled["pointer"] == (item.source if HINTS[kind].marks else "A")
    assert spelled["question_end"] == f" {item.question.options[-1]}"
    assert spelled["prompt_end"] == "<|assistant|>"
    assert spelled["think_start"] == "Here"
    assert spelled["pre_answer"] == " ("
    assert tokenizer.decode([ids[found["pre_answer"] + 1]]) in "ABCD"
    assert spelled["think_end"] == "."
    assert tokenizer.decode(ids[found["think_end"] + 1 : found["think_end"] + 3]) == "\n</think>"
    assert found["think_start"] < found["cot_0.5"] < found["think_end"] < found["pre_answer"]


def test_a_counted_token_stands_where_it_is_however_the_text_goes_on(tokenizer):
    item, rollout = make(tokenizer)
    found, missing = locate(tokenizer, item, rollout, ("cot_token_0", "cot_token_3", "cot_token_99"))
    ids = rollout.prompt_ids + rollout.completion_ids
    assert [tokenizer.decode([ids[at]]) for at in found.values()] == ["Here", " faces"]
    assert missing == {"cot_token_99": "the chain of thought is shorter"}
    longer = rollout.completion_text.replace(".\n</think>", ". I take this from the archive.\n</think>")
    item, other = make(tokenizer, text=longer)
    again, _ = locate(tokenizer, item, other, ("cot_token_3", "cot_0.5"))
    assert again["cot_token_3"] == found["cot_token_3"]
    assert again["cot_0.5"] != locate(tokenizer, item, rollout, ("cot_0.5",))[0]["cot_0.5"]


def test_a_prompt_without_a_hint_says_so(tokenizer):
    item, rollout = make(tokenizer, condition="unhinted")
    found, missing = locate(tokenizer, item, rollout, ("pointer", "hint_end", "prompt_end"))
    assert found == {"prompt_end": len(rollout.prompt_ids) - 1}
    assert set(missing) == {"pointer", "hint_end"}


def test_an_answer_without_thinking_or_letter_says_so(tokenizer):
    item, rollout = make(tokenizer, text="north")
    _, missing = locate(tokenizer, item, rollout, ("cot_0.5", "think_end", "pre_answer"))
    assert missing == {
        "cot_0.5": "no chain of thought",
        "think_end": "no chain of thought",
        "pre_answer": "no answer was parsed",
    }


def test_another_tokenizer_is_noticed(tokenizer):
    item, rollout = make(tokenizer)
    changed = rollout.model_copy(update={"prompt_ids": (1, *rollout.prompt_ids[1:])})
    with pytest.raises(HintprobeError, match="another tokenizer"):
        locate(tokenizer, item, changed, ("prompt_end",))


@pytest.mark.parametrize("name", ["cot_0.25", "cot_1", "cot_0", "cot_token_12", "prompt_end"])
def test_known_names(name):
    check_position(name)


@pytest.mark.parametrize("name", ["cot_2", "cot_-1", "cot_token_", "cot_token_-1", "cot", "end"])
def test_unknown_names(name):
    with pytest.raises(HintprobeError, match="no position named"):
        check_position(name)
