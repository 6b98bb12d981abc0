"""Chains of thought are parted from answers in every form that models use, and what was not closed is a state."""

import pytest

from experiments.answers.parser import parse_answer
from experiments.answers.splitting import split_completion
from experiments.answers.thinking import MARKS, opened_by, split_marked

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
def test_without_marks_nothing_is_marked(text):
    split = split_marked(text)
    assert split.cot is None
    assert split.closed
    assert split.answer_text == text.strip()
    assert split.form == "none"


def spelled(text, split):
    """What the spans spell: the thinking's parts, its closing mark, the visible answer."""
    spans = [*split.thinking, *([split.closing] if split.closing else []), *([split.answer] if split.answer else [])]
    return [text[a:b] for a, b in spans]


@pytest.mark.parametrize("opening", list(MARKS))
def test_every_familys_marks_as_character_spans(opening):
    closing = MARKS[opening]
    text = f"{opening}\nIs it (B)? The professor says so.\n{closing}\n\nThe answer is (C)."
    split = split_completion(text)
    assert spelled(text, split) == ["Is it (B)? The professor says so.", closing, "The answer is (C)."]
    assert (split.cot, split.answer_text) == ("Is it (B)? The professor says so.", "The answer is (C).")
    cut = split_completion(text[: text.index(closing)])
    assert (cut.closed, cut.answer_text, cut.answer, cut.closing) == (False, "", None, None)
    assert spelled(text, cut) == ["Is it (B)? The professor says so."]
    begun = text.removeprefix(opening)
    for prompt in (f"user: Which?{opening}", f"user: Which?{opening}\n"):
        assert opened_by(prompt) == opening
        inside = split_completion(begun, prompt)
        assert spelled(begun, inside) == ["Is it (B)? The professor says so.", closing, "The answer is (C)."]
        assert not split_completion("So the answer is (B). But wait", prompt).closed
    written = split.opener + "hm" + split.closer + "(C)"
    assert spelled(written, split_completion(written)) == ["hm", closing, "(C)"]


@pytest.mark.parametrize(
    "prompt", ["user: Which?\nassistant:", "user: Which?<think>\n\n</think>\n\n", "I write <think> here:"]
)
def test_a_prompt_that_leaves_no_mark_open(prompt):
    assert opened_by(prompt) is None
    assert split_completion("The answer is (C).", prompt).closed


def test_harmony_has_several_parts_each_with_its_characters():
    text = (
        "<|channel|>analysis<|message|>Rings are ice.<|end|><|start|>assistant<|channel|>analysis<|message|>"
        "So Saturn.<|end|><|start|>assistant<|channel|>final<|message|>The answer is (C).<|return|>"
    )
    split = split_completion(text)
    assert spelled(text, split) == [
        "Rings are ice.", "So Saturn.", "<|end|><|start|>assistant<|channel|>final<|message|>", "The answer is (C)."
    ]  # fmt: skip
    written = split.opener + "hm" + split.closer + "(C)"
    assert split_completion(written).answer_text == "(C)"


def test_harmony_that_goes_on_thinking_after_a_final_message_is_not_finished():
    text = (
        "<|channel|>analysis<|message|>a<|end|><|channel|>final<|message|>(B)<|end|><|channel|>analysis<|message|>no,"
    )
    split = split_completion(text)
    assert not split.closed
    assert split.answer_text == ""


QUOTED = {
    "in the thinking": (
        "<think>\nI write </think> at the end.\n</think>\n\n(C)", "I write </think> at the end.", "(C)",
    ),
    "in quotes": ("<think>\nIt is `</think>` that ends.\n</think>\n(C)", "It is `</think>` that ends.", "(C)"),
    "in the answer": (
        "<think>\nhm\n</think>\n\nThe answer is (C), said after </think> as told.", "hm",
        "The answer is (C), said after </think> as told.",
    ),
    "an opening one in the answer": ("<think>\nhm\n</think>\nNo <think> tag. (C)", "hm", "No <think> tag. (C)"),
    "on one line": ("<think>I close with </think> later.</think>(C)", "I close with </think> later.", "(C)"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(QUOTED))
def test_a_mark_that_is_spoken_of_parts_nothing(name):
    text, thought, answer = QUOTED[name]
    split = split_completion(text)
    assert (split.cot, split.answer_text) == (thought, answer)


@pytest.mark.parametrize(
    "text",
    [
        "Let me see.\n<think>\nThe answer is (B).",
        "<think>\na\n</think>\nThe answer is (B).\n<think>\nNo, rather",
        "<|START_THINKING|>The answer is (B).",
        "Here is my thought process:\nSo the answer is (B) or so.",
    ],
)
def test_thinking_that_was_cut_off_is_never_an_answer(text):
    split = split_completion(text)
    assert not split.closed
    assert parse_answer(split.answer_text, 4) is None


def test_words_that_speak_of_a_tag_open_no_thinking():
    split = split_marked("I will not use <think> tags. The answer is (C).")
    assert (split.cot, split.closed) == (None, True)


def test_the_whole_answers_own_marks_are_no_part_of_it():
    for text in (
        "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>The answer is (C).<|END_RESPONSE|>",
        "<think>hm</think><answer>The answer is (C).</answer>",
    ):
        split = split_completion(text)
        assert spelled(text, split)[-1] == split.answer_text == "The answer is (C)."


@pytest.mark.parametrize(
    ("text", "cot", "answer"),
    [
        ("Saturn has rings, not Mars. Therefore, the answer is (B).", "Saturn has rings, not Mars.",
         "Therefore, the answer is (B)."),
        ("First we add 3 and 4.\n\n**The answer is (B).**", "First we add 3 and 4.", "**The answer is (B).**"),
        ("First we add 3 and 4.\n\n**Final Answer:**\n\n(B)", "First we add 3 and 4.", "**Final Answer:**\n\n(B)"),
        ("We compute 3+4 and get 7. $\\boxed{B}$", "We compute 3+4 and get 7.", "$\\boxed{B}$"),
        ("As the professor says (B) and I trust him, the answer is B.", "As the professor says (B) and I trust him,",
         "the answer is B."),
    ],
)  # fmt: skip
def test_reasoning_in_the_open_is_what_stands_before_the_stated_answer(text: str, cot: str, answer: str):
    split = split_completion(text)
    assert (split.cot, split.answer_text, split.closed, split.form) == (cot, answer, True, "unmarked")
    assert text[slice(*split.thinking[0])] == cot
    assert text[slice(*split.answer)] == answer


@pytest.mark.parametrize(
    "text",
    ["The answer is (B) because Saturn has rings. Mars has none, as we know well. So the answer is (B).",
     "Sure! The answer is (B).", "(B)", "The answer is (B), since Saturn has rings.", "I cannot tell from this."],
)  # fmt: skip
def test_an_answer_with_nothing_before_it_has_no_chain_of_thought(text: str):
    split = split_completion(text)
    assert (split.cot, split.answer_text, split.form) == (None, text, "none")
