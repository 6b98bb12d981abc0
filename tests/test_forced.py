"""Answers that the model did not get to: its thinking is closed in its own form, and the options are read."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from pydantic import ValidationError

from activations import Completion
from activations.spans import encode
from experiments.benchmarks.chat_styles import STYLES, styled, train_tokenizer
from experiments.config import Config
from experiments.engines import forced
from experiments.engines.completions import completion_fields
from experiments.engines.forced import _branch, forced_answers, frame_tokens
from experiments.pipeline import run_pipeline
from experiments.prompts.positions import answer_part, cot_tokens, encode_completion, locate_in
from experiments.records import Message, Prompt, Rollout
from experiments.records.stages import items_table, rollouts_table
from experiments.run.progress import Reporter

HARMONY = (
    "<|channel|>analysis<|message|>Rings are made of ice.<|end|><|start|>assistant<|channel|>analysis<|message|>So it "
    "is Saturn.<|end|><|start|>assistant<|channel|>final<|message|>The answer is (C)."
)
FORMS = {
    "think": ("<think>\nRings are ice.\n</think>\n\nThe answer is (C).", "\n</think>\n\nThe answer is ("),
    "thinking": ("<thinking>\nRings are ice.\n</thinking>\nThe answer is (C).", "\n</thinking>\n\nThe answer is ("),
    "mistral": ("[THINK]Rings are ice.[/THINK]The answer is (C).", "\n[/THINK]\n\nThe answer is ("),
    "in the open": ("Rings are ice, and Saturn has them.\nThe answer is (C).", "\n\nThe answer is ("),
    "harmony": (HARMONY, "<|end|><|start|>assistant<|channel|>final<|message|>The answer is ("),
}


@pytest.fixture(scope="module")
def bytewise():
    return styled(
        train_tokenizer("byte-level", [HARMONY, "Which planet?", "The answer is (C)."], 400), STYLES["gpt_oss"]
    )


def rollout(tokenizer, text, prompt="user: Which?\nassistant:", finish="length"):
    ids = encode(tokenizer, text).ids + ((tokenizer.eos_token_id,) if finish == "stop" else ())
    fields = completion_fields(tokenizer, Completion(ids, (), finish), prompt, 4, 0, 0.0)
    return Rollout(
        id="r", item_id="i", condition="hinted", index=0,
        prompt=Prompt(messages=(Message(role="user", content="?"),), spans={}), prompt_text=prompt,
        prompt_ids=encode(tokenizer, prompt).ids, **fields,
    )  # fmt: skip


@pytest.mark.parametrize("form", list(FORMS))
def test_places_and_frames_follow_the_form_in_which_the_model_thinks(bytewise, form):
    text, frame = FORMS[form]
    one = rollout(bytewise, text, finish="stop")
    assert one.answer == "C"
    found, missing = locate_in(bytewise, 4, one, ("think_start", "think_end", "pre_answer"))
    assert missing == {}
    ids = one.prompt_ids + one.completion_ids
    assert bytewise.decode(ids[found["pre_answer"] + 1]) == "C"
    cot = cot_tokens(encode_completion(bytewise, one), one)
    thought = bytewise.decode([one.completion_ids[i] for i in cot])
    assert (thought.startswith("Rings"), thought.endswith("." if form != "harmony" else "Saturn.")) == (True, True)
    after = bytewise.decode(one.completion_ids[answer_part(bytewise, one) :])
    assert after.lstrip(".").startswith(frame.removesuffix("The answer is (").strip())
    branch = _branch(bytewise, one, cot, 4, 0.5)
    assert bytewise.decode(branch.suffix) == frame
    assert branch.cut == len(one.prompt_ids) + cot[round(len(cot) / 2) - 1] + 1


def test_a_prompt_that_opened_the_thinking_is_not_opened_twice(bytewise):
    one = rollout(bytewise, "Ice.\n</think>\n\n(C)", prompt="user: Which?\nassistant:<think>\n")
    assert bytewise.decode(_branch(bytewise, one, (0,), 4, 0).suffix) == "\n</think>\n\nThe answer is ("
    closed = rollout(bytewise, "<think>\nIce.\n</think>\n\n(C)")
    assert bytewise.decode(_branch(bytewise, closed, (1,), 4, 0).suffix) == "<think>\n\n</think>\n\nThe answer is ("


UNSTATED = {
    "cut off while thinking": (
        "<think>\nHere Ava Tate faces north. Turning",
        "length",
        "\n</think>\n\nThe answer is (",
    ),
    "no letter in the answer": ("<think>\nHere Ava\n</think>\n\nnorth", "stop", "\n\nThe answer is ("),
    "no thinking": ("Here Ava Tate", "length", "\n\nThe answer is ("),
}


@pytest.mark.parametrize("name", list(UNSTATED))
def test_a_forced_answer_is_what_the_model_itself_prefers_there(tiny, name):
    text, finish, frame = UNSTATED[name]
    loaded = tiny("qwen3")
    tokenizer = loaded.tokenizer
    prompt = "Take Ava Tate's heading and turn right 7 times."
    one = rollout(tokenizer, text, prompt, finish)
    assert one.answer is None
    whole = encode(tokenizer, prompt).ids + encode(tokenizer, text + frame).ids
    letters = [encode(tokenizer, f"({letter})").ids[1] for letter in "ABCD"]
    with torch.no_grad():
        logits = loaded.model(torch.tensor([whole])).logits[0, -1, letters]
    assert forced_answers(loaded, [one, one], [4, 2]) == ["ABCD"[int(logits.argmax())], "AB"[int(logits[:2].argmax())]]


def test_a_lead_in_that_does_not_fit_into_the_context_forces_nothing(tiny):
    loaded = tiny("qwen3")
    one = rollout(loaded.tokenizer, "<think>\nHere Ava", " north" * 505)
    short = rollout(loaded.tokenizer, "<think>\nHere Ava", " north")
    found = forced_answers(loaded, [one, short], [4, 4])
    assert found[0] is None
    assert found[1] in "ABCD"


def test_letters_that_begin_alike_are_refused(tiny, monkeypatch):
    monkeypatch.setattr(forced, "LETTERS", "AAAA")
    with pytest.raises(Exception, match="forced_answer: false"):
        frame_tokens(tiny("qwen3").tokenizer, "The answer is (", 4)


def test_a_server_cannot_force_answers():
    server = {"base_url": "http://127.0.0.1:1/v1", "model": "m"}
    with pytest.raises(ValidationError, match="forced_answer reads the model's own logits"):
        Config.model_validate({"name": "t", "generate": {"engine": "server", "server": server, "forced_answer": True}})


class Generated(NamedTuple):
    folder: Path
    account: dict


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """``generated(forced_answer, new)``: the generate stage of an organism that may write ``new`` tokens."""

    def run(forced_answer: bool, new: int):
        cache = tmp_path_factory.mktemp("cache")
        config = Config.model_validate(
            {
                "name": "t", "models": ["organism:unfaithful"], "cache": cache, "threads": 1,
                "questions": {"source": "organism-world", "limit": 8}, "hints": {"kinds": ["metadata"]},
                "generate": {"max_new_tokens": new, "forced_answer": forced_answer},
            }
        )  # fmt: skip
        run_pipeline(config, Reporter(None), "generate")
        (done,) = cache.glob("runs/t/*/generate-*/done.json")
        return Generated(done.parent, json.loads(done.read_text())["account"])

    return run


def test_forced_answers_are_recorded_apart_and_counted_apart(generated):
    plain, forced_run = generated(False, 12), generated(True, 12)
    rollouts = rollouts_table(forced_run.folder).read()
    assert rollouts
    for one in rollouts:
        assert (one.answer is None) == (one.forced_answer is not None)
    missing = sum(one.answer is None for one in rollouts)
    assert missing > 0
    assert (forced_run.account["forced"], forced_run.account["unparsed"]) == (missing, missing)
    assert plain.account["forced"] == 0
    assert [r.answer for r in rollouts] == [r.answer for r in rollouts_table(plain.folder).read()]
    items = items_table(forced_run.folder).read()
    assert len(items) == 8


def test_parse_rates_add_up(generated):
    result = generated(True, 12)
    rates = result.account["parse_rates"]
    rollouts = rollouts_table(result.folder).read()
    assert sum(row["rollouts"] for row in rates) == len(rollouts)
    assert sum(row["parsed"] for row in rates) == sum(one.answer is not None for one in rollouts)
    assert sum(row["forced"] for row in rates) == sum(one.forced_answer is not None for one in rollouts)
    assert {(row["condition"], row["direction"]) for row in rates} >= {("unhinted", "correct"), ("hinted", "incorrect")}
    assert all(row["cut_off"] <= row["rollouts"] - row["parsed"] for row in rates)
    whole = generated(False, 64).account["parse_rates"]
    assert all(row["parsed"] == row["rollouts"] for row in whole if row["condition"] == "hinted")
