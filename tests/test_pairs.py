"""Rollouts become pairs whose tokens correspond; what cannot be paired has a reason."""

import dataclasses

import pytest
from test_positions import make

from experiments.hints import HINTS
from experiments.interventions.pairs import PairMaker, candidates, parts_at_letter
from experiments.records import Label

POSITIONS = ("pointer", "hint_end", "question_end", "prompt_end", "readout-1", "readout")


def maker(tokenizer, comparison, readout="first_divergence", positions=POSITIONS):
    return PairMaker(tokenizer, comparison, readout, positions)


def runs(tokenizer, condition, kind="sycophancy"):
    item, hinted = make(tokenizer, kind, "hinted")
    head, _, answer = hinted.completion_text.rpartition("</think>")
    letter = next(c for c in answer if c in "ABCD")
    changed = f"{head}</think>{answer.replace(letter, 'C' if letter != 'C' else 'D')}"
    return item, hinted, make(tokenizer, kind, condition, changed)[1]


@pytest.mark.parametrize("kind", list(HINTS))
def test_a_swapped_pair_is_aligned_token_by_token(kind, tokenizer):
    item, hinted, swapped = runs(tokenizer, "swapped", kind)
    if HINTS[kind].marks:  # the mark stands in the question, at whose end a hint's last option may be
        assert maker(tokenizer, "swapped").make(item, hinted, swapped) == "named positions coincide"
    positions = ("pointer", "prompt_end") if HINTS[kind].marks else POSITIONS
    pair = maker(tokenizer, "swapped", positions=positions).make(item, hinted, swapped)
    assert not isinstance(pair, str), pair
    assert pair.alignment is None
    assert len(pair.base_ids) == len(pair.source_ids)
    assert pair.base_ids[-1] == pair.source_ids[-1], "both end with the completion they share"
    assert {tokenizer.decode([t]).strip() for t in (pair.base_token, pair.source_token)} <= set("ABCD")
    assert parts_at_letter(tokenizer, item, hinted, pair)
    earlier = dataclasses.replace(pair, base_ids=pair.base_ids[:-1], source_ids=pair.source_ids[:-1], positions={})
    assert not parts_at_letter(tokenizer, item, hinted, earlier)
    differ = {k for k, (a, b) in enumerate(zip(pair.base_ids, pair.source_ids, strict=True)) if a != b}
    assert differ == set(pair.positions["pointer"]), "the two prompts differ in the pointer alone"


@pytest.mark.parametrize("condition", ["unhinted", "neutral"])
@pytest.mark.parametrize("readout", ["first_divergence", "pre_answer"])
def test_another_prompt_is_aligned_by_its_spans(condition, readout, tokenizer):
    item, hinted, other = runs(tokenizer, condition)
    pair = maker(tokenizer, condition, readout).make(item, hinted, other)
    assert not isinstance(pair, str), pair
    of = pair.alignment.source_of
    assert all(pair.base_ids[b] == pair.source_ids[s] for b, s in of.items()), "partners are the same token"
    n_question = sum(len(pair.base_ids) - 1 != b for b in of)
    assert n_question > 10
    assert of[len(pair.base_ids) - 1] == len(pair.source_ids) - 1
    assert pair.source_positions("question_end") is not None
    if condition == "unhinted":
        assert pair.source_positions("pointer") is None, "there is no hint to take it from"
        assert sum(pair.alignment.unaligned.values()) == len(pair.base_ids) - len(of) > 0


def test_reasons(tokenizer):
    item, hinted, swapped = runs(tokenizer, "swapped")
    make_pair = maker(tokenizer, "swapped").make
    assert make_pair(item, hinted, hinted) == "the completions do not diverge"
    shorter = swapped.model_copy(update={"prompt_ids": swapped.prompt_ids[1:]})
    assert make_pair(item, hinted, shorter) == "the swapped prompt has another length"
    same = maker(tokenizer, "neutral", "pre_answer").make(item, hinted, make(tokenizer, condition="neutral")[1])
    assert same == "both runs answer alike"


def test_candidates():
    def label(behaviour, strong):
        return Label.model_construct(behaviour=behaviour, strong=strong)

    rows = [label("reliant", True), label("reliant", False), label("aligned", False)]
    assert candidates(rows, "swapped") == rows[:1]
    assert candidates(rows, "neutral") == rows[:2]
