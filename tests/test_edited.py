"""Completions drawn again with the stream edited, at one token or from it on."""

from types import SimpleNamespace

import pytest
import torch
from test_positions import make

from activations import Add, Decoding, Site, generate, onwards
from experiments.config import GenerateConfig
from experiments.interventions.edited import Place, complete_edited
from experiments.run.progress import Reporter

SITE = Site(1, "resid_post")


@pytest.fixture(scope="module")
def run(tiny, tiny_folder):
    settings = GenerateConfig(temperature=0.0, max_new_tokens=12)
    return SimpleNamespace(
        loaded=tiny("qwen3"),
        source=str(tiny_folder("qwen3")),
        config=SimpleNamespace(generate=settings),
        reporter=Reporter(),
    )


@pytest.fixture(scope="module")
def place(tokenizer):
    """The fourth token of a completion."""
    item, rollout = make(tokenizer)
    return Place(item, rollout, len(rollout.prompt_ids) + 3)


@pytest.fixture(scope="module")
def vector(run):
    return 40 * torch.randn(run.loaded.model.config.hidden_size, generator=torch.Generator().manual_seed(0))


def plain(run, row, edits):
    return generate(run.loaded, [row], Decoding(0.0, 12), [0], edits)[0].ids


def test_one_token_keeps_the_text_up_to_it(run, place, vector):
    (found,) = complete_edited(run, [place], SITE, vector, 1.0, "token")
    row = place.rollout.prompt_ids + place.rollout.completion_ids[:4]
    assert found.completion_ids == row[-4:] + plain(run, row, [Add(SITE, [[place.at]], direction=vector)])
    assert found.completion_ids != row[-4:] + plain(run, row, [])


def test_onward_writes_all_of_it_anew(run, place, vector):
    (found,) = complete_edited(run, [place], SITE, vector, 1.0, "onward")
    prompt = place.rollout.prompt_ids
    assert found.completion_ids == plain(run, prompt, [Add(SITE, [onwards(len(prompt))], direction=vector)])
    assert found.completion_ids != plain(run, prompt, [])


def test_a_token_of_the_prompt_keeps_no_text(run, place, vector):
    at = len(place.rollout.prompt_ids) - 2
    (found,) = complete_edited(run, [Place(place.item, place.rollout, at)], SITE, vector, 1.0, "token")
    prompt = place.rollout.prompt_ids
    assert found.completion_ids == plain(run, prompt, [Add(SITE, [[at]], direction=vector)])
    assert len(found.margins) == len(found.completion_ids)


def test_a_direction_is_taken_out_where_there_is_no_scale(run, place, vector):
    (kept,) = complete_edited(run, [place], SITE, vector, 0.0, "token")
    (out,) = complete_edited(run, [place], SITE, vector, None, "token")
    row = place.rollout.prompt_ids + place.rollout.completion_ids[:4]
    assert kept.completion_ids == row[-4:] + plain(run, row, [])
    assert out.completion_ids[:4] == kept.completion_ids[:4]


def test_a_sampled_completion_goes_on_as_it_did_where_nothing_is_added(run, place, vector):
    """Its own noise from the cut on: the answer then changes for the edit alone."""
    settings = GenerateConfig(temperature=1.0, max_new_tokens=12)
    hot = SimpleNamespace(
        loaded=run.loaded, source=run.source, config=SimpleNamespace(generate=settings), reporter=Reporter()
    )
    prompt = place.rollout.prompt_ids
    drawn = generate(run.loaded, [prompt], Decoding(1.0, 12), [4])[0].ids
    assert len(drawn) > 6
    base = place.rollout.model_copy(update={"completion_ids": drawn, "margins": (1.0,) * len(drawn), "seed": 4})
    there = Place(place.item, base, len(prompt) + 3)
    (same,) = complete_edited(hot, [there], SITE, vector, 0.0, "token")
    (other,) = complete_edited(hot, [there], SITE, vector, 1.0, "token")
    assert same.completion_ids[: len(drawn)] == drawn
    assert other.completion_ids[4:] != drawn[4:]
