"""Prompts that begin alike are read once up to where they differ, and every number stays what it is for one row."""

import itertools
import random

import pytest
import torch
from conftest import Tiny, some_rows
from open_families import FAMILIES, load_family

from activations import Decoding, LoadedModel, generate, prefill
from activations.abilities import abilities
from activations.batching import pad_left
from activations.forward import forward

QUICK = ("gpt-oss", "BLOOM")


def alike(ids: tuple[int, ...], endings: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    return [(*ids, *ending) for ending in endings]


def prompts_of(loaded: LoadedModel) -> list[tuple[int, ...]]:
    """Two families of prompts that begin alike, some alone, one length twice, longest first."""
    draw, high = random.Random(0), loaded.vocabulary - 8
    a, b, c, d, *ends = (tuple(draw.choices(range(5, high), k=n)) for n in (21, 12, 12, 3, *[3] * 6))
    return [*alike(a, ends[:3]), *alike(b, ends[:3]), *alike(c, ends[3:5]), alike(b, ends[5:])[0], d]


@pytest.fixture
def eager(monkeypatch):
    """Whatever saves a token is shared, and no piece is too small to be read apart."""
    monkeypatch.setattr("activations.prefill._WORTH", 1)
    monkeypatch.setattr("activations.batching._SMALL", 1)


@pytest.fixture
def padded(monkeypatch):
    """The same, but prompts of several lengths stay together, so that beginnings are padded."""
    monkeypatch.setattr("activations.prefill._WORTH", 1)


def counted(loaded: LoadedModel, work) -> tuple[object, int]:
    """What a call gives, and how many columns × rows went through the model."""
    abilities(loaded.model)  # looked at before, with forwards of its own
    seen = []
    hook = loaded.model.get_input_embeddings().register_forward_hook(lambda _m, args, _o: seen.append(args[0].numel()))
    try:
        return work(), sum(seen)
    finally:
        hook.remove()


@torch.no_grad()
def check_logits(loaded: LoadedModel, prompts: list[tuple[int, ...]]) -> None:
    found, cache = prefill.read_prompts(loaded, prompts, 4)
    alone = [forward(loaded.model, pad_left([p], 0, loaded.device), last_only=True).logits[0, -1] for p in prompts]
    torch.testing.assert_close(found, torch.stack(alone).float(), atol=2e-4, rtol=1e-3)
    assert cache.get_seq_length() == len(prompts[0])


@pytest.mark.parametrize("arch", ["llama", "gpt2"])
def test_logits_are_those_of_each_prompt_alone(tiny: Tiny, arch: str, eager):
    check_logits(tiny(arch), prompts_of(tiny(arch)))


@pytest.mark.parametrize("arch", ["llama", "gpt2"])
def test_padded_beginnings_change_nothing(tiny: Tiny, arch: str, padded):
    loaded = tiny(arch)
    a, b, *ends = some_rows(loaded, (21, 17, *[3] * 6))
    prompts = [*alike(a, ends[:3]), *alike(b, ends[3:])]
    assert prefill.own_ending(prompts) == 3
    check_logits(loaded, prompts)


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in FAMILIES])
def test_every_family_writes_what_it_writes_for_one_prompt(name: str, eager):
    loaded = load_family(name)
    prompts = prompts_of(loaded)
    if abilities(loaded.model).shares:
        check_logits(loaded, prompts)
    found = generate(loaded, prompts, Decoding(max_new_tokens=10))  # beyond the sliding windows of 8
    for prompt, completion in zip(prompts, found, strict=True):
        (alone,) = generate(loaded, [prompt], Decoding(max_new_tokens=10))
        assert completion.ids == alone.ids


def test_what_prompts_share_is_computed_once(tiny: Tiny, eager):
    loaded = tiny("llama")
    beginning, *ends = some_rows(loaded, (40, *[5] * 6))
    prompts = alike(beginning, ends)
    found, tokens = counted(loaded, lambda: generate(loaded, prompts, Decoding(max_new_tokens=1)))
    assert tokens == 40 + 6 * 5
    apart = [generate(loaded, [prompt], Decoding(max_new_tokens=1))[0].ids for prompt in prompts]
    assert [completion.ids for completion in found] == apart


def test_little_is_not_worth_another_forward(tiny: Tiny):
    loaded = tiny("llama")
    beginning, *ends = some_rows(loaded, (40, *[5] * 6))
    _, tokens = counted(loaded, lambda: generate(loaded, alike(beginning, ends), Decoding(max_new_tokens=1)))
    assert tokens == 6 * 45


def test_short_prompts_are_not_padded_to_long_ones(tiny: Tiny, eager):
    loaded = tiny("llama")
    rows = some_rows(loaded, (100, 9, 9, 9))
    _, tokens = counted(loaded, lambda: generate(loaded, rows, Decoding(max_new_tokens=1)))
    assert tokens == 100 + 3 * 9


def test_an_edit_is_put_into_every_row_of_its_own(tiny: Tiny, eager):
    """Edits name positions of whole rows, so nothing is shared beside them."""
    from activations import Knockout

    loaded = tiny("llama")
    beginning, *ends = some_rows(loaded, (30, *[4] * 3))
    prompts, hidden = alike(beginning, ends), [(3,), (), (7,)]
    together = generate(loaded, prompts, Decoding(max_new_tokens=5), edits=[Knockout.hiding(hidden)])
    for prompt, own, found in zip(prompts, hidden, together, strict=True):
        edits = [Knockout.hiding([own])] if own else []
        assert generate(loaded, [prompt], Decoding(max_new_tokens=5), edits=edits)[0].ids == found.ids


def test_the_ending_is_the_one_that_reads_fewest_tokens(monkeypatch):
    """Against all possible endings, counted as they would be read."""
    monkeypatch.setattr("activations.prefill._WORTH", 1)
    rng = random.Random(0)
    for _ in range(200):
        n = rng.randint(6, 12)
        prompts = []
        for _ in range(rng.randint(1, 4)):
            first = [rng.randint(0, 9) for _ in range(n)]
            prompts += [(*first[: n - k], *rng.choices(range(10, 20), k=k)) for k in rng.choices(range(6), k=3)]
        found = prefill.own_ending(prompts)
        read = {k: sum(map(len, {p[: n - k] for p in prompts})) + k * len(prompts) for k in range(n)}
        # Only neighbours are compared, so a beginning that comes again further on may be missed.
        assert read[found] <= read[0]
        if len(prompts) == 3 and len({p[: n - found] for p in prompts}) == 1:
            assert read[found] == min(read[k] for k in range(n))


def test_prompts_of_other_lengths_share_nothing():
    assert prefill.own_ending([tuple(range(n)) for n in range(2000, 1000, -100)]) == 0
    assert prefill.own_ending([tuple(range(1000))]) == 0
    assert prefill.own_ending([(*range(1000), k) for k in range(3)]) == 1


def test_noise_is_that_of_the_seed_whatever_is_shared(tiny: Tiny, eager):
    loaded = tiny("llama")
    beginning, short, *ends = some_rows(loaded, (40, 9, *[5] * 3))
    prompts, decoding = [*alike(beginning, ends), short], Decoding(max_new_tokens=6, temperature=1.0)
    rows = list(itertools.chain.from_iterable([prompt] * 2 for prompt in prompts))
    together = generate(loaded, rows, decoding, seeds=range(8))
    for k, row in enumerate(rows):
        assert generate(loaded, [row], decoding, seeds=[k])[0].ids == together[k].ids
