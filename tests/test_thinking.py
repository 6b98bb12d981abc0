"""Chains of thought are parted from answers in every form that models use, and what was not closed is a state."""

import pytest

from experiments.answers.parser import parse_answer, split_completion

FORMS = {
    "think tags": ("<think>\nhm\n</think>\n\nThe answer is (C).", "tags"),
    "thinking tags": ("<thinking>hm</thinking>The answer is (C).", "tags"),
    "answer tags": ("<think>hm</think><answer>The answer is (C).</answer>", "tags"),
    "a leading line": ("\n<think>\nhm\n</think>\nThe answer is (C).", "tags"),
    "a tag opened before": ("hm\n</think>\n\nThe answer is (C).", "tags"),
    "harmony": (
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>The answer is (C).<|"
        "return|>",
        "harmony",
    ),
    "harmony without ends": (
        "<|channel|>analysis<|message|>hm<|channel|>final<|message|>The answer is (C).", "harmony",
    ),
    "headings": ("Reasoning: hm\n\nAnswer: The answer is (C).", "headings"),
    "bold headings": ("**Reasoning:** hm\n\n**Final answer:** (C)", "headings"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(FORMS))
def test_each_form(name):
    text, form = FORMS[name]
    split = split_completion(text)
    assert (split.cot, split.closed, split.form) == ("hm", True, form)
    assert parse_answer(split.answer_text, 4) == "C"


@pytest.mark.parametrize(
    "text",
    [
        "<think>\nThe answer is (B).",
        "<thinking>The answer is (B).",
        "<|channel|>analysis<|message|>The answer is (B).",
        "<|channel|>analysis<|message|>The answer is (B).<|end|><|start|>assistant",
        "Reasoning: I go through the options. The answer is (B).",
        "<think>a</thi",
    ],
)
def test_what_was_not_closed_is_no_answer(text):
    split = split_completion(text)
    assert not split.closed
    assert split.answer_text == ""
    assert split.cot


def test_a_closing_tag_within_the_thinking_is_not_its_end():
    split = split_completion("<think>I close with </think> later. (B)?</think>\nThe answer is (C).")
    assert split.answer_text == "The answer is (C)."
    assert "(B)" in split.cot


def test_a_harmony_prompt_that_already_names_the_channel():
    split = split_completion(
        "hm<|end|><|start|>assistant<|channel|>final<|message|>(C)", prompt="<|channel|>analysis<|message|>"
    )
    assert (split.cot, split.answer_text, split.form) == ("hm", "(C)", "harmony")


def test_harmony_whose_special_tokens_a_server_stripped():
    split = split_completion("analysisWe think.assistantfinalThe answer is (C).")
    assert (split.cot, split.answer_text, split.closed) == ("We think.", "The answer is (C).", True)
    assert split_completion("analysisWe think. (C)").closed is False
    assert split_completion("analysis of the case: (C)").cot is None


def test_commentary_belongs_to_the_thinking_and_the_last_final_is_the_answer():
    split = split_completion(
        "<|channel|>analysis<|message|>one<|end|><|channel|>commentary<|message|>two<|end|>"
        "<|channel|>final<|message|>(B)<|end|><|channel|>final<|message|>(C)<|return|>"
    )
    assert split.cot == "one\n\ntwo"
    assert split.answer_text == "(C)"


@pytest.mark.parametrize("text", ["The answer is (C).", "My reasoning: it is large. The answer is (C).", "", "(C)"])
def test_without_marks_there_is_no_chain_of_thought(text):
    split = split_completion(text)
    assert split.cot is None
    assert split.closed
    assert split.answer_text == text.strip()
    assert split.form == "none"
