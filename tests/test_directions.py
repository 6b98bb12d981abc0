"""Directions: controls are orthogonal and as long; a used direction is told from an illusory one on wired circuits."""

import numpy as np
import pytest
import torch
from wired import LETTERS, direction, prompt, written

from activations import Decoding, Site, generate, onwards
from activations.errors import HintprobeError
from probes.directions import StatePair, direction_edit, orthogonal_directions, subspace_patching

AT_ANSWER = Site(0, "resid_post")
A, B, C, _ = LETTERS


def a_pair(loaded, circuit):
    """A hinted run and the unhinted one, each with the text it writes, read at the letter; the state is the last."""
    said = "c" if circuit == "text" else "a"
    base, source = prompt("a", "c") + written(said), prompt("a", None) + written("a")
    # On `dormant` the model says neither letter, so LayerNorm's scale, which every feature moves, plays no part.
    return StatePair(base, source, len(base) - 1, len(source) - 1, (C, B if circuit == "dormant" else A), "g")


def test_controls_are_orthogonal_and_as_long():
    given = torch.randn(40, generator=torch.Generator().manual_seed(1))
    drawn = orthogonal_directions(given, 5, torch.Generator().manual_seed(2))
    np.testing.assert_allclose(drawn @ given, 0, atol=1e-4)
    np.testing.assert_allclose(drawn.norm(dim=1), given.norm(), rtol=1e-5)
    assert (drawn @ drawn.T).fill_diagonal_(0).abs().max() < 0.9 * float(given @ given)
    with pytest.raises(HintprobeError, match="length zero"):
        orthogonal_directions(torch.zeros(4), 1, torch.Generator())


@pytest.mark.parametrize("circuit", ["direct", "text"])
def test_a_used_direction_does_what_the_whole_state_does(circuit, wired):
    loaded = wired(circuit)
    found = subspace_patching(loaded, [a_pair(loaded, circuit)], AT_ANSWER, direction("say_letter", "c", "a"))
    gap = found.base - found.source
    assert gap[0] > 10
    np.testing.assert_allclose(found.effect("full"), gap, atol=1e-3)
    np.testing.assert_allclose(found.effect("direction"), gap, atol=1e-3)
    np.testing.assert_allclose(found.effect("row_space"), gap, rtol=0.05)
    assert abs(found.effect("null_space")[0]) < 0.1 * gap[0]
    assert found.in_row_space > 0.9


def test_an_illusory_direction_is_told_by_its_row_space_part(wired):
    """The hint is copied to where nothing reads it, and the direction joins that to what the letter is read from."""
    loaded = wired("dormant")
    joined = direction("relay", "c", "a") + direction("say_letter", "c", "b")
    found = subspace_patching(loaded, [a_pair(loaded, "dormant")], AT_ANSWER, joined)
    assert abs(found.effect("direction")[0]) > 1  # it moves the letter …
    assert abs(found.effect("full")[0]) < 0.05  # … though the model uses nothing of this state,
    assert abs(found.effect("row_space")[0]) < 0.05  # and what the letter depends on does not vary.
    assert 0.2 < found.in_row_space < 0.8


def test_a_direction_that_nothing_reads_does_nothing(wired):
    loaded = wired("dormant")
    found = subspace_patching(loaded, [a_pair(loaded, "dormant")], AT_ANSWER, direction("relay", "c", "a"))
    assert max(abs(found.effect(part)[0]) for part in found.patched) < 0.05
    assert found.in_row_space < 0.05


def test_batches_of_unequal_rows(tiny):
    """On a random model in several batches: the last state, whole, makes the base run the source run."""
    loaded = tiny("llama")
    last = loaded.model.config.num_hidden_layers - 1
    base, source = (11, 12, 13, 14), (11, 40, 13, 14)
    pairs = [StatePair(base, source, 3, 3, (20, 30), "g"), StatePair((15, *base), (15, *source), 4, 4, (20, 30), "h")]
    found = subspace_patching(loaded, pairs, Site(last, "resid_post"), torch.randn(64), token_budget=5)
    np.testing.assert_allclose(found.patched["full"], found.source, atol=1e-4)
    assert 1 <= found.rank <= 4


@pytest.mark.parametrize("circuit", ["direct", "none"])
def test_steering_and_ablating_on_policy(circuit, wired):
    """Taking out the letter's direction unsays the hint; adding it says the hint; an orthogonal one does neither."""
    loaded = wired(circuit)
    ids = prompt("a", "c" if circuit == "direct" else "b")
    axis = direction("say_letter", "c", "a")
    other = orthogonal_directions(axis, 1, torch.Generator().manual_seed(0))[0]

    def letter(along, scale, mean=None):
        edits = direction_edit(AT_ANSWER, [onwards(len(ids))], along, scale, mean)
        (done,) = generate(loaded, [ids], Decoding(0.0, 8), edits=edits)
        return done.ids[5] if len(done.ids) > 5 else None

    own = C if circuit == "direct" else A
    assert letter(axis, 0.0) == own
    assert letter(other, None) == own
    assert letter(axis, 4.0) == C
    assert letter(axis, -4.0) == A
    # Set to the mean of states that say the hint, or that say the other letter, it says what they say.
    assert letter(axis, None, 4.0 * axis) == C
    assert letter(axis, None, -4.0 * axis) == A
    assert letter(other, None, 4.0 * axis) == own


def test_mean_ablation_sets_the_component_and_leaves_the_rest():
    along, mean, states = torch.randn(6), torch.randn(6), torch.randn(2, 3, 6)
    edits = direction_edit(Site(0, "resid_post"), [[0], [1]], along, None, mean)
    rows, places = torch.tensor([0, 1]), torch.tensor([0, 1])
    changed = states[rows, places]
    for edit in edits:
        changed = edit.changed(changed, rows, places)
    unit = along / along.norm()
    torch.testing.assert_close(changed @ unit, (mean @ unit).expand(2))
    before = states[rows, places]
    torch.testing.assert_close(changed - (changed @ unit)[:, None] * unit, before - (before @ unit)[:, None] * unit)
