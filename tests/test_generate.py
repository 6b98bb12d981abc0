"""Generation equals transformers' where both can do it, and does exactly what it says where only ours can."""

import copy
import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
from conftest import ARCHITECTURES, Tiny, some_rows

from activations import Completion, Decoding, HintprobeError, Knockout, LoadedModel, counting_forwards, generate
from activations.batching import pad_left

LENGTHS = (5, 14, 9, 1)


def reference(loaded: LoadedModel, row: tuple[int, ...], n: int) -> tuple[int, ...]:
    out = loaded.model.generate(
        torch.tensor([row]), attention_mask=torch.ones(1, len(row), dtype=torch.long), do_sample=False, max_new_tokens=n
    )
    return tuple(out[0, len(row) :].tolist())


def single_logits(loaded: LoadedModel, row: tuple[int, ...], hidden: tuple[int, ...] = ()) -> torch.Tensor:
    """Logits of every position of one unpadded row, its mask written out by hand as transformers takes it."""
    n = len(row)
    allowed = torch.ones(n, n).tril().bool()
    for position in hidden:
        allowed[position + 1 :, position] = False
    mask = torch.zeros(1, 1, n, n).masked_fill(~allowed, torch.finfo(torch.float32).min)
    with torch.no_grad():
        return loaded.model(torch.tensor([row]), attention_mask=mask).logits[0]


def one_token_at_a_time(loaded: LoadedModel, row, n: int, hidden: tuple[int, ...] = ()) -> Completion:
    """Greedy decoding without a cache, from whole forwards."""
    ids, margins = list(row), []
    for _ in range(n):
        top = single_logits(loaded, tuple(ids), hidden)[-1].topk(2)
        margins.append(float(top.values[0] - top.values[1]))
        ids.append(int(top.indices[0]))
        if ids[-1] == loaded.tokenizer.eos_token_id:
            return Completion(tuple(ids[len(row) :]), tuple(margins), "stop")
    return Completion(tuple(ids[len(row) :]), tuple(margins), "length")


def with_token(loaded: LoadedModel, name: str, token: int) -> LoadedModel:
    """The same model with another special token in its tokenizer."""
    tokenizer = copy.deepcopy(loaded.tokenizer)
    setattr(tokenizer, name, tokenizer.convert_ids_to_tokens(token))
    return dataclasses.replace(loaded, tokenizer=tokenizer)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_greedy_equals_transformers_token_for_token(tiny: Tiny, arch: str):
    loaded = tiny(arch)
    rows = some_rows(loaded, LENGTHS)
    found = generate(loaded, rows, Decoding(max_new_tokens=12))
    assert [c.ids for c in found] == [reference(loaded, row, 12) for row in rows]
    assert len({c.ids for c in found}) == len(rows), "prompts matter"


def test_margins_are_the_gap_between_the_two_best_tokens(tiny: Tiny):
    loaded = tiny("qwen3")
    rows = some_rows(loaded, LENGTHS)
    for row, completion in zip(rows, generate(loaded, rows, Decoding(max_new_tokens=6)), strict=True):
        assert completion.margins == pytest.approx(one_token_at_a_time(loaded, row, 6).margins, abs=1e-3)
        assert all(margin > 0 for margin in completion.margins)


def test_rows_that_end_early_change_no_other(tiny: Tiny, monkeypatch: pytest.MonkeyPatch):
    loaded = tiny("llama")
    rows = some_rows(loaded, LENGTHS)
    full = generate(loaded, rows, Decoding(max_new_tokens=10))
    stop = full[1].ids[2]
    first = [c.ids.index(stop) if stop in c.ids else None for c in full]
    assert first[1] is not None, "the row the token was taken from"
    assert None in first, "and a row that goes on"
    monkeypatch.setattr(loaded.model.generation_config, "eos_token_id", [stop])
    with counting_forwards(loaded.model) as count:
        cut = generate(loaded, rows, Decoding(max_new_tokens=10))
    for before, after, at in zip(full, cut, first, strict=True):
        expected = before.ids if at is None else before.ids[: at + 1]
        assert after.ids == expected
        assert after.finish_reason == ("length" if at is None else "stop")
        assert after.margins == pytest.approx(before.margins[: len(expected)], abs=1e-3)
    assert count.rows == sum(len(c.ids) for c in cut), "a finished row takes no further forward"


def test_an_end_token_at_the_last_step_is_a_stop(tiny: Tiny, monkeypatch: pytest.MonkeyPatch):
    loaded = tiny("llama")
    rows = some_rows(loaded, (6,))
    (full,) = generate(loaded, rows, Decoding(max_new_tokens=1))
    assert full.finish_reason == "length"
    monkeypatch.setattr(loaded.model.generation_config, "eos_token_id", full.ids[0])
    (cut,) = generate(loaded, rows, Decoding(max_new_tokens=1))
    assert (cut.ids, cut.finish_reason) == (full.ids, "stop")


def test_the_tokenizers_own_end_token_stops_too(tiny: Tiny, monkeypatch: pytest.MonkeyPatch):
    loaded = tiny("llama")
    rows = some_rows(loaded, (6,))
    (full,) = generate(loaded, rows, Decoding(max_new_tokens=4))
    monkeypatch.setattr(loaded.model.generation_config, "eos_token_id", None)
    assert generate(loaded, rows, Decoding(max_new_tokens=4)) == [full]
    ending = with_token(loaded, "eos_token", full.ids[0])
    assert generate(ending, rows, Decoding(max_new_tokens=4))[0].ids == full.ids[:1]


def test_results_come_in_the_order_given_whatever_the_batches(tiny: Tiny):
    loaded = tiny("qwen3")
    rows = some_rows(loaded, (5, 14, 9, 1, 14, 3))
    seen: list[int] = []
    one_by_one = [generate(loaded, [row], Decoding(max_new_tokens=5))[0].ids for row in rows]
    small = generate(loaded, rows, Decoding(max_new_tokens=5, token_budget=40), on_batch=lambda i, c: seen.extend(i))
    assert [c.ids for c in small] == one_by_one
    assert sorted(seen) == list(range(6))
    assert seen != list(range(6)), "longest first"


def test_equal_seeds_share_their_noise_and_different_seeds_do_not(tiny: Tiny):
    loaded = tiny("llama")
    (row,) = some_rows(loaded, (8,))
    decoding = Decoding(temperature=2.0, max_new_tokens=12)
    a, b, c = generate(loaded, [row, row, row], decoding, seeds=[3, 3, 4])
    assert a.ids == b.ids
    assert a.ids != c.ids
    assert generate(loaded, [row], decoding, seeds=[3])[0].ids == a.ids, "whatever else is in the batch"
    assert generate(loaded, [row], Decoding(max_new_tokens=12))[0].ids not in (a.ids, c.ids)


def test_the_noise_belongs_to_the_seed_and_the_step_not_to_the_prompt(tiny: Tiny):
    """At a very high temperature the noise alone decides: then two prompts of one seed say the same."""
    loaded = tiny("llama")
    rows = some_rows(loaded, (8, 5))
    decoding = Decoding(temperature=1e6, max_new_tokens=6)
    a, b = generate(loaded, rows, decoding, seeds=[7, 7])
    assert a.ids == b.ids
    assert len(set(a.ids)) > 1, "each step draws anew"
    assert generate(loaded, rows[:1], decoding, seeds=[8])[0].ids != a.ids


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_first_tokens_are_distributed_as_the_softmax_says(tiny: Tiny, temperature: float):
    loaded = tiny("llama")
    (row,) = some_rows(loaded, (8,))
    n = 4000
    drawn = generate(loaded, [row] * n, Decoding(temperature, 1, token_budget=9 * 500), seeds=range(n))
    counts = Counter(c.ids[0] for c in drawn)
    logits = single_logits(loaded, row)[-1].double()

    def distance(t: float) -> float:
        expected = torch.softmax(logits / t, -1).numpy()
        found = np.array([counts.get(i, 0) / n for i in range(len(expected))])
        return float(np.abs(found - expected).sum() / 2)

    expected = torch.softmax(logits / temperature, -1)
    chance = float((expected * (1 - expected) / (2 * np.pi * n)).sqrt().sum())  # mean total variation of n true draws
    assert distance(temperature) < 1.3 * chance
    assert distance(temperature * 2) > 2.6 * chance, "another temperature would be noticed"
    assert distance(temperature / 2) > 2.6 * chance


def test_a_completion_that_was_cut_goes_on_with_its_own_noise(tiny: Tiny):
    loaded = tiny("llama")
    (row,) = some_rows(loaded, (9,))
    decoding = Decoding(temperature=5.0, max_new_tokens=8)
    whole = generate(loaded, [row], decoding, seeds=[4])[0].ids
    assert len(whole) == 8
    cut = row + whole[:3]
    rest = Decoding(temperature=5.0, max_new_tokens=5)
    assert generate(loaded, [cut], rest, seeds=[4], drawn=[3])[0].ids == whole[3:]
    assert generate(loaded, [cut], rest, seeds=[4])[0].ids != whole[3:]


def test_sampling_needs_seeds(tiny: Tiny):
    loaded = tiny("llama")
    rows = some_rows(loaded, (4, 4))
    with pytest.raises(HintprobeError, match="seed"):
        generate(loaded, rows, Decoding(temperature=1.0, max_new_tokens=1))
    with pytest.raises(HintprobeError, match="seed"):
        generate(loaded, rows, Decoding(temperature=1.0, max_new_tokens=1), seeds=[1])
    assert len(generate(loaded, rows, Decoding(max_new_tokens=1))) == 2


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_hiding_positions_equals_a_mask_written_by_hand(tiny: Tiny, arch: str):
    loaded = tiny(arch)
    rows = some_rows(loaded, (9, 14, 6))
    hide = [(2, 3), (), (5,)]
    found = generate(loaded, rows, Decoding(max_new_tokens=8), edits=[Knockout.hiding(hide)])
    plain = generate(loaded, rows, Decoding(max_new_tokens=8))
    for row, positions, completion in zip(rows, hide, found, strict=True):
        expected = one_token_at_a_time(loaded, row, 8, positions)
        assert completion.ids == expected.ids
        assert completion.margins == pytest.approx(expected.margins, abs=1e-3)
    assert found[0].margins != pytest.approx(plain[0].margins, abs=1e-3), "hiding does something"
    assert found[1].ids == plain[1].ids
    assert found[1].margins == pytest.approx(plain[1].margins, abs=1e-3), "and only to its own row"


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_hidden_tokens_content_has_no_influence(tiny: Tiny, arch: str):
    loaded = tiny(arch)
    row, other = some_rows(loaded, (9, 9))
    swapped = (*row[:3], other[3], *row[4:])
    assert swapped != row
    decoding = Decoding(max_new_tokens=6)
    hidden = generate(loaded, [row, swapped], decoding, edits=[Knockout.hiding([(3,), (3,)])])
    assert hidden[0] == hidden[1]
    seen = generate(loaded, [row, swapped], decoding)
    assert seen[0].margins != pytest.approx(seen[1].margins, abs=1e-2), "seen, it has"
    elsewhere = generate(loaded, [row, swapped], decoding, edits=[Knockout.hiding([(4,), (4,)])])
    assert elsewhere[0].margins != pytest.approx(elsewhere[1].margins, abs=1e-2), "hiding another token does not help"


def test_generated_tokens_are_never_hidden(tiny: Tiny):
    """The prompt's hidden positions are counted in the prompt, so later tokens go on seeing each other."""
    loaded = tiny("llama")
    (row,) = some_rows(loaded, (4,))
    (found,) = generate(loaded, [row], Decoding(max_new_tokens=8), edits=[Knockout.hiding([(0, 1, 2)])])
    assert found.ids == one_token_at_a_time(loaded, row, 8, (0, 1, 2)).ids


def test_a_hidden_position_outside_the_prompt_is_refused(tiny: Tiny):
    loaded = tiny("llama")
    rows = some_rows(loaded, (4, 6))
    with pytest.raises(HintprobeError, match="row 0, which has 4 tokens"):
        generate(loaded, rows, Decoding(max_new_tokens=1), edits=[Knockout.hiding([(4,), ()])])


def test_no_rows_make_no_completions(tiny: Tiny):
    assert generate(tiny("llama"), [], Decoding()) == []


def test_left_padding_never_reaches_the_logits(tiny: Tiny):
    loaded = tiny("gpt2")
    rows = some_rows(loaded, (4, 15))
    before = generate(loaded, rows, Decoding(max_new_tokens=5))
    padded = with_token(loaded, "pad_token", 100)
    assert int(pad_left(rows, padded.tokenizer.pad_token_id, loaded.device).ids[0, 0]) == 100
    assert generate(padded, rows, Decoding(max_new_tokens=5)) == before


def test_rows_are_told_of_as_they_end_and_when_the_decoding_is_stopped(tiny, monkeypatch):
    """One batch: rows that have ended are saved while the others go on, and a stop loses none of them."""
    from activations import generating, row_state

    loaded = tiny("llama")
    rows, steps, told = [(5, 6, 7), (8, 9), (10, 11, 12, 13)], [], []
    whole = generate(loaded, rows, Decoding(max_new_tokens=12))
    ends = {whole[1].ids[3]}  # one row ends early
    monkeypatch.setattr(generating, "stop_ids", lambda loaded: ends)
    monkeypatch.setattr(row_state, "TELL_SECONDS", 0.0)
    expected = generate(loaded, rows, Decoding(max_new_tokens=12))
    choose = generating._choose

    def counting(*arguments):
        steps.append(1)
        if len(steps) == 9:
            raise KeyboardInterrupt
        return choose(*arguments)

    seen = []
    generate(loaded, rows, Decoding(max_new_tokens=12), on_batch=lambda i, c: seen.append((i, c)))
    assert sorted(i for indices, _ in seen for i in indices) == [0, 1, 2], "each row once"
    assert {i: c for indices, cs in seen for i, c in zip(indices, cs, strict=True)} == dict(enumerate(expected))
    monkeypatch.setattr(generating, "_choose", counting)
    monkeypatch.setattr(row_state, "TELL_SECONDS", 1e9)  # only the stop tells
    with pytest.raises(KeyboardInterrupt):
        generate(loaded, rows, Decoding(max_new_tokens=12), on_batch=lambda i, c: told.append((i, c)))
    ended = {i for i, completion in enumerate(expected) if len(completion.ids) <= 8}
    assert 1 in ended
    assert {i for indices, _ in told for i in indices} == ended
    assert all(c == expected[i] for indices, cs in told for i, c in zip(indices, cs, strict=True))
