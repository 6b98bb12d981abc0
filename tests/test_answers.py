"""The answer parser never guesses."""

import pytest
from answer_cases import STATED, UNSTATED

from experiments.answers.parser import find_answer, parse_answer, split_completion

LETTERS_TRIED = {"A": "C", "B": "A", "D": "B", "I": "E"}


def filled(case, letter):
    return case.replace("@", letter).replace("#", LETTERS_TRIED[letter])


@pytest.mark.parametrize("letter", LETTERS_TRIED)
@pytest.mark.parametrize("case", STATED)
def test_a_stated_answer_is_read(case, letter):
    assert parse_answer(filled(case, letter), 10) == letter


@pytest.mark.parametrize("case", UNSTATED)
def test_anything_else_is_none(case):
    for letter in LETTERS_TRIED if "@" in case else ["A"]:
        assert parse_answer(filled(case, letter), 10) is None, letter


def test_the_table_has_hundreds_of_cases():
    assert len(STATED) * len(LETTERS_TRIED) + len(UNSTATED) > 500


def test_the_place_found_is_the_letter():
    text = "So the answer is (B), and I repeat, the answer is (B)."
    letter, at = find_answer(text, 4)
    assert text[at] == letter == "B"
    assert at == text.rindex("B")


def test_a_letter_beyond_the_options_counts_only_where_there_are_enough():
    assert parse_answer("The answer is (E).", 5) == "E"
    assert parse_answer("The answer is (J).", 10) == "J"


def test_an_unclosed_think_tag_is_no_answer():
    split = split_completion("<think>\nThe answer is (B).")
    assert not split.closed
    assert split.answer_text == ""


def test_thinking_is_parted_from_the_answer():
    split = split_completion("<think>\nhm\n</think>\n\nThe answer is (C).")
    assert (split.cot, split.answer_text, split.closed) == ("hm", "The answer is (C).", True)


def test_a_tag_that_the_prompt_opened():
    split = split_completion("hm\n</think>\n\n(C)", prompt="<think>\n")
    assert (split.cot, split.answer_text) == ("hm", "(C)")


def test_no_tags_means_no_chain_of_thought():
    assert split_completion("The answer is (C).").cot is None
