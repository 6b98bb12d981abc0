"""Noise that is a function of (seed, step, token), and truncations that are transformers' own."""

import numpy as np
import pytest
import torch
from conftest import Tiny, some_rows
from scipy import stats
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from activations import Decoding, HintprobeError, generate
from activations.choosing import best_two, candidates, draw, left_out, penalised
from activations.noise import exponential

CPU = torch.device("cpu")


def by_hand(seed: int, step: int, tokens: int) -> np.ndarray:
    """The integers behind the noise in numpy's unsigned arithmetic, for which wrapping around is defined."""
    import hashlib

    digest = hashlib.blake2b(f"{seed}:{step}".encode(), digest_size=8).digest()
    first, second = np.frombuffer(digest, "<u4")
    x = np.arange(1, tokens + 1, dtype=np.uint32)
    for multiplier in (0x7FEB352D, 0x2C1B3C6D, 0x45D9F3B):
        x = x * np.uint32(multiplier)
        x ^= x >> np.uint32(16)
    x = (x ^ first) * (second | np.uint32(1))
    x ^= (x.view(np.int32) >> 15).view(np.uint32)  # the shift repeats the sign
    return (x * np.uint32(0x7FEB352D)) & np.uint32(2**31 - 1)


def test_the_noise_is_the_documented_hash():
    found = exponential([(3, 0), (2**63 - 1, 99)], 4096, CPU).double().numpy()
    for row, (seed, step) in zip(found, [(3, 0), (2**63 - 1, 99)], strict=True):
        uniform = (by_hand(seed, step, 4096) + 0.5) / 2**31
        assert np.allclose(-np.expm1(-row), uniform, rtol=1e-5, atol=0)


def test_the_noise_of_a_token_depends_on_seed_and_step_alone():
    draws = [(5, 0), (5, 1), (6, 0), (5, 0)]
    whole = exponential(draws, 1000, CPU)
    assert torch.equal(whole[0], whole[3])
    assert (whole[0] != whole[1]).float().mean() > 0.99
    assert (whole[0] != whole[2]).float().mean() > 0.99
    assert torch.equal(exponential([(5, 1)], 1000, CPU)[0], whole[1]), "in any batch"
    assert torch.equal(exponential(draws, 5000, CPU)[:, :1000], whole), "in any vocabulary"
    ids = torch.tensor([[9, 3, 700]]).expand(4, -1)
    assert torch.equal(exponential(draws, 1000, CPU, ids), whole.gather(1, ids)), "for chosen tokens"


def test_the_noise_is_exponential_and_its_rows_and_tokens_have_nothing_in_common():
    noise = exponential([(seed, 7) for seed in range(3000)], 64, CPU).double().numpy()
    assert stats.kstest(noise.ravel()[::7], "expon").pvalue > 1e-3
    assert stats.kstest(noise.min(1) * 64, "expon").pvalue > 1e-3, "also the least of many, which wins a race"
    assert stats.chisquare(np.bincount(noise.argmin(1), minlength=64)).pvalue > 1e-3
    uniform = np.exp(-noise)
    joint = np.histogramdd(uniform[:, [3, 4, 5]], bins=5, range=[[0, 1]] * 3)[0].ravel()
    assert stats.chisquare(joint).pvalue > 1e-3, "neighbours are independent"
    steps = np.exp(-exponential([(1, step) for step in range(200)], 500, CPU).double().numpy())
    correlation = np.corrcoef(steps) - np.eye(200)
    assert np.abs(correlation).max() < 6 / np.sqrt(500)


def test_noise_stays_finite_and_positive_at_the_ends_of_the_integers():
    found = exponential([(seed, 0) for seed in range(40)], 50_000, CPU)
    assert 0 < float(found.min()) < 1e-5
    assert 10 < float(found.max()) < 17


@pytest.mark.parametrize(
    ("decoding", "warpers"),
    [
        (Decoding(1.0, top_k=20), [TopKLogitsWarper(20)]),
        (Decoding(1.0, top_p=0.9), [TopPLogitsWarper(0.9)]),
        (Decoding(1.0, min_p=0.05), [MinPLogitsWarper(0.05)]),
        (Decoding(1.0, top_k=50, top_p=0.8), [TopKLogitsWarper(50), TopPLogitsWarper(0.8)]),
        (
            Decoding(1.0, top_k=40, top_p=0.95, min_p=0.1),
            [TopKLogitsWarper(40), TopPLogitsWarper(0.95), MinPLogitsWarper(0.1)],
        ),
        (Decoding(1.0), []),
    ],
)
@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_the_tokens_that_may_be_drawn_are_those_of_transformers(decoding: Decoding, warpers, spread: float):
    scores = torch.randn(6, 3000, generator=torch.Generator().manual_seed(1)) * spread
    expected = scores.clone()
    for warper in warpers:
        expected = warper(None, expected)
    kept, ids = candidates(scores, decoding)
    found = torch.full_like(scores, -torch.inf)
    found = kept if ids is None else found.scatter(1, ids, kept)
    assert torch.equal(found, expected)
    if warpers:
        assert torch.isinf(found).any()


def test_truncation_leaves_the_race_among_the_rest_as_it_was():
    """A token that wins the whole race and may be drawn wins the shorter one: prompts go on sharing their noise."""
    scores = torch.randn(200, 500, generator=torch.Generator().manual_seed(2)) * 2
    draws = [(seed, 0) for seed in range(200)]
    whole, cut = draw(scores, Decoding(1.0), draws), draw(scores, Decoding(1.0, top_k=30), draws)
    allowed = (scores.topk(30).indices == whole[:, None]).any(1)
    assert 0.2 < allowed.float().mean() < 1
    assert torch.equal(cut[allowed], whole[allowed])


def test_a_penalty_is_that_of_transformers():
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(3))
    ids = torch.tensor([[4, 4, 9], [1, 2, 3], [49, 0, 7]])
    seen = torch.zeros(3, 50, dtype=torch.bool).scatter(1, ids, True)
    expected = RepetitionPenaltyLogitsProcessor(1.3)(ids, logits.clone())
    assert torch.allclose(penalised(logits, seen, 1.3), expected)


def test_the_best_two_are_found_and_the_logits_restored():
    logits = torch.tensor([[0.0, 3.0, 3.0, 1.0], [5.0, -1.0, 2.5, 0.0]])
    before = logits.clone()
    token, gap = best_two(logits)
    assert token.tolist() == logits.argmax(-1).tolist() == [1, 0], "the first of equals, as argmax has it"
    assert gap.tolist() == [0.0, 2.5]
    assert torch.equal(logits, before)


@pytest.mark.parametrize("penalty", [1.5, 0.7])
def test_greedy_equals_transformers_with_its_repetition_penalty(tiny: Tiny, monkeypatch, penalty: float):
    loaded = tiny("llama")
    rows = some_rows(loaded, (5, 14, 9))
    plain = generate(loaded, rows, Decoding(max_new_tokens=10))
    monkeypatch.setattr(loaded.model.generation_config, "repetition_penalty", penalty)
    for row, completion in zip(rows, generate(loaded, rows, Decoding(max_new_tokens=10)), strict=True):
        out = loaded.model.generate(
            torch.tensor([row]), attention_mask=torch.ones(1, len(row)).long(), do_sample=False, max_new_tokens=10
        )
        assert completion.ids == tuple(out[0, len(row) :].tolist())
    explicit = generate(loaded, rows, Decoding(max_new_tokens=10, repetition_penalty=1.0))
    assert [c.ids for c in explicit] == [c.ids for c in plain], "1 switches the model's own off"


def test_padding_is_not_among_the_tokens_that_are_penalised(tiny: Tiny):
    loaded = tiny("llama")
    rows = some_rows(loaded, (3, 15))
    decoding = Decoding(max_new_tokens=8, repetition_penalty=5.0)
    assert generate(loaded, rows, decoding)[0].ids == generate(loaded, rows[:1], decoding)[0].ids


def test_what_a_generation_configuration_asks_for_besides_is_named(tiny: Tiny, monkeypatch):
    loaded = tiny("llama")
    assert left_out(loaded.model) == []
    monkeypatch.setattr(loaded.model.generation_config, "no_repeat_ngram_size", 3)
    monkeypatch.setattr(loaded.model.generation_config, "suppress_tokens", [])
    assert left_out(loaded.model) == ["no_repeat_ngram_size=3"]


@pytest.mark.parametrize("wrong", [{"top_p": 0.0}, {"top_p": 1.2}, {"top_k": -1}, {"min_p": 2.0}, {"temperature": -1}])
def test_settings_outside_their_range_are_refused(wrong):
    with pytest.raises(HintprobeError, match=next(iter(wrong))):
        Decoding(**wrong)


def test_rollouts_of_one_prompt_read_it_once_and_are_what_they_would_be_alone(tiny: Tiny):
    from activations import visiting
    from activations.sites import Site

    loaded = tiny("qwen3")
    first, second = some_rows(loaded, (12, 7))
    rows, seeds = [first, second, first, first, second], [1, 2, 3, 4, 5]
    decoding = Decoding(1.5, 6, top_p=0.9)
    widths: list[tuple[int, ...]] = []
    with visiting(loaded.model, {Site(0, "resid_pre"): lambda x: widths.append(tuple(x.shape[:2]))}):
        together = generate(loaded, rows, decoding, seeds)
    assert widths[0] == (2, 12), "two prompts, each read once"
    assert widths[1] == (5, 1)
    alone = [generate(loaded, [row], decoding, [seed])[0].ids for row, seed in zip(rows, seeds, strict=True)]
    assert [c.ids for c in together] == alone
    assert len(set(alone)) == 5
