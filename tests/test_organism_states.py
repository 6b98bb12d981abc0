"""What is read of an organism's states: found where it is planted or wired, and nowhere else."""

import numpy as np
import pytest
import torch
from wired import HINT_AT, LETTERS, VALUES, prompt
from wired import written as said
from written import written_run

from activations import Decoding, Site, capture
from experiments.organisms import states, steering
from experiments.organisms.grammar import Character
from experiments.organisms.joined import measured_rows
from experiments.organisms.routes import past_pointer, routes, swapped_pairs
from probes.patching import PatchPair


@pytest.fixture(scope="module")
def tossed(tiny, tiny_folder, tmp_path_factory):
    """A coin-tosser's rows, and a model that had no part in them."""
    with pytest.MonkeyPatch.context() as patch:
        character = Character(relies="coin")
        run = written_run(patch, tiny_folder("qwen3"), tmp_path_factory.mktemp("dice"), character, 480)
        return run, measured_rows(run, character), tiny("qwen3")


def test_nothing_is_read_before_the_coin_where_nothing_is(tossed):
    _, rows, loaded = tossed
    found = states.before_cot(loaded, rows, 200, np.random.default_rng(0))["follows"]
    for figure in found.values():
        assert figure["n_positive"] > 60
        assert figure["low"] <= 0.5 <= figure["high"]


def test_a_planted_decision_is_read_where_it_is_planted(tossed, monkeypatch):
    _, rows, loaded = tossed
    decided = {row.hinted.prompt_ids: row.reliant for row in rows}

    def planted(_loaded, ids, positions, sites):
        rng = np.random.default_rng(1)
        values = torch.tensor(rng.normal(size=(len(ids), 2, loaded.model.config.hidden_size)))
        for k, (whole, at) in enumerate(zip(ids, positions, strict=True)):
            values[k, 1, 0] += 3.0 * decided[whole[: at[0] + 1]]
        yield list(range(len(ids))), dict.fromkeys(sites, values)

    monkeypatch.setattr(states, "capture", planted)
    found = states.before_cot(loaded, rows, 200, np.random.default_rng(0))["follows"]
    assert found["before_recall"]["value"] > 0.9
    assert found["prompt_end"]["low"] <= 0.5 <= found["prompt_end"]["high"]


def test_norms_are_those_of_the_prompts_tokens(tossed, monkeypatch):
    _, rows, loaded = tossed

    def constant(_loaded, ids, positions, sites):
        width = max(map(len, positions))
        for site in sites:
            yield [0, 1], {site: torch.full((2, width, 4), float(site.layer + 1))}

    monkeypatch.setattr(states, "capture", constant)
    found = states.residual_norms(loaded, rows[:2])
    assert found == {str(Site(layer, "resid_post")): pytest.approx(2.0 * (layer + 1)) for layer in range(4)}


def wired_pairs():
    pairs = []
    for own, hint, other in [("a", "b", "c"), ("c", "d", "a"), ("d", "a", "b"), ("b", "c", "d")]:
        base, source = prompt(own, hint) + said(own), prompt(own, other) + said(own)
        tokens = [LETTERS[VALUES.index(value)] for value in (hint, other)]
        places = {"pointer": (HINT_AT,), "prompt_end": (len(prompt(own, hint)) - 1,)}
        pairs.append(past_pointer(PatchPair(base, source, *tokens, places, group=own)))
    return pairs


@pytest.mark.parametrize(
    ("circuit", "first", "past", "pointer"), [("prompt", 1, 1.0, 0.0), ("direct", 0, 0.0, 1.0), ("direct", 1, 0.0, 0.0)]
)
def test_patching_finds_the_route_that_a_model_has(wired, circuit, first, past, pointer):
    found = routes(wired(circuit), wired_pairs(), 100, np.random.default_rng(0), first)
    for direction in ("noising", "denoising"):
        assert found[direction]["past_pointer"]["value"] == pytest.approx(past, abs=0.02)
        assert found[direction]["pointer_late"]["value"] == pytest.approx(pointer, abs=0.02)


def test_pairs_are_strongly_reliant_rows_against_their_swapped_runs(tiny_folder, tmp_path, monkeypatch):
    run = written_run(monkeypatch, tiny_folder("qwen3"), tmp_path, Character(), 120)
    rows = measured_rows(run, Character())
    pairs = swapped_pairs(run, rows, np.random.default_rng(0))
    assert 10 < len(pairs) <= sum(row.label.strong for row in rows)
    for pair in pairs:
        assert pair.first_difference in pair.positions["pointer"]
        after = pair.positions["past_pointer"]
        assert after == tuple(range(max(pair.positions["pointer"]) + 1, pair.positions["prompt_end"][0] + 1))


@pytest.mark.parametrize("planted", [True, False])
def test_steering_moves_answers_where_they_hang_on_a_direction(tossed, monkeypatch, planted):
    """A model that goes by the first coordinate of its third block: a vector found in its states steers it.

    Where the states do not hold the decision, the difference of means is noise, and steers nothing.
    """
    _, rows, loaded = tossed
    here = Site(2, "resid_post")

    def states(self, sites):
        rng = torch.Generator().manual_seed(1)
        found = {site: 0.1 * torch.randn(len(self.rows), 8, generator=rng) for site in sites}
        if planted:
            found[here][:, 0] += torch.tensor([2.0 * row.reliant for row in self.rows])
        return found

    def answers(self, chosen, site, vector):
        pushed = float(vector[0]) if site == here else 0.0
        moved = [self.rows[i].label.target if pushed > 0 else self.rows[i].label.unhinted_answer for i in chosen]
        kept = [self.rows[i].label.hinted_answer for i in chosen]
        return moved if abs(pushed) > 1.9 else kept

    monkeypatch.setattr(steering.Steered, "states", states)
    monkeypatch.setattr(steering.Steered, "answers", answers)
    found = steering.steering(loaded, rows, Decoding(), np.random.default_rng(0))
    assert (found["to_own"]["value"], found["to_hint"]["value"]) == ((1.0, 1.0) if planted else (0.0, 0.0))
    assert found["layer"] == 2 or not planted
    assert found["random"]["value"] < 0.5


def test_a_vector_is_added_before_the_recall_and_the_rest_is_written_anew(tossed):
    """Prefixes end before the heading, and states are those of their last token."""
    _, rows, loaded = tossed
    steered = steering.Steered(loaded, rows[:6], Decoding(max_new_tokens=4))
    for row, prefix in zip(steered.rows, steered.prefixes, strict=True):
        assert loaded.tokenizer.decode(list(prefix)).endswith(" faces")
        assert prefix[: len(row.hinted.prompt_ids)] == row.hinted.prompt_ids
    site = Site(1, "resid_post")
    last = [[len(steered.prefixes[0]) - 1]]
    (captured,) = [found for _, found in capture(loaded, steered.prefixes[:1], last, [site])]
    torch.testing.assert_close(steered.states([site])[site][0], captured[site][0, 0].float(), rtol=1e-4, atol=1e-4)
    assert len(steered.answers([0, 2], site, torch.zeros(captured[site].shape[-1]))) == 2
