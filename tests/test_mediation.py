"""Mediation finds the path that a hand-wired model has, and no other; its sums hold on any model."""

import numpy as np
import pytest
import torch
from wired import CIRCUITS, LETTERS, VALUES, prompt, written

from activations.errors import HintprobeError
from probes import cluster_bootstrap
from probes.estimates import Estimate
from probes.mediation import Continuation, MediationItem, decompose, effects_of, mediate


def an_item(own, hint, cot_hinted, cot_own, group="g"):
    """A prompt with and without its hint, and the texts that its model writes after each."""
    texts = [(Continuation(written(value), LETTERS),) for value in (cot_hinted, cot_own)]
    return MediationItem(
        prompt(own, hint), prompt(own, None), *texts, VALUES.index(hint), VALUES.index(own), group
    )  # fmt: skip


def items_of(circuit):
    """Two items of different letters, with the texts that the circuit writes."""
    from_hint = circuit in ("text", "both")
    return [an_item(own, hint, hint if from_hint else own, own, own) for own, hint in (("a", "c"), ("b", "d"))]


# What each circuit must give, in units of the letter's logit difference L.
EXPECTED = {
    "direct": {"total": 2, "pure_direct": 2, "total_direct": 2, "pure_text": 0, "total_text": 0, "interaction": 0},
    "text": {"total": 2, "pure_direct": 0, "total_direct": 0, "pure_text": 2, "total_text": 2, "interaction": 0},
    "both": {"total": 2, "pure_direct": 1, "total_direct": 0, "pure_text": 2, "total_text": 1, "interaction": -1},
    "prompt": {"total": 2, "pure_direct": 2, "total_direct": 2, "pure_text": 0, "total_text": 0, "interaction": 0},
    "relay": {"total": 2, "pure_direct": 2, "total_direct": 2, "pure_text": 0, "total_text": 0, "interaction": 0},
    "dormant": dict.fromkeys(("total", "pure_direct", "total_direct", "pure_text", "total_text", "interaction"), 0),
    "none": dict.fromkeys(("total", "pure_direct", "total_direct", "pure_text", "total_text", "interaction"), 0),
}


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_mediation_finds_the_wired_path_and_no_other(circuit, wired):
    items = items_of(circuit)
    cells = mediate(wired(circuit), items)
    unit = -cells.logit_difference[:, 0, 0].mean()
    assert unit > 5
    for name, values in effects_of(cells.logit_difference).items():
        np.testing.assert_allclose(values, EXPECTED[circuit][name] * unit, atol=1e-3, err_msg=name)
    # A wired model treats every item alike; items that differ a little have an interval.
    varied = np.repeat(cells.logit_difference, 5, 0)
    varied += np.random.default_rng(0).normal(0, 1e-4, varied.shape)
    groups = [str(k) for k in range(len(varied))]
    found = decompose(varied, groups, 200, np.random.default_rng(0), "logit_difference")
    if circuit in ("dormant", "none"):
        assert found.shares is None
    else:
        assert found.shares["pure_text"].value == pytest.approx(EXPECTED[circuit]["pure_text"] / 2, abs=1e-3)
        assert found.shares["total_direct"].value == pytest.approx(EXPECTED[circuit]["total_direct"] / 2, abs=1e-3)
    assert cells.probability[:, 0, 0].max() < 0.01
    if circuit in ("direct", "text", "prompt", "relay"):
        assert cells.probability[:, 1, 1].min() > 0.99


def test_cells_equal_a_plain_forward_and_the_sums_hold(tiny):
    """On a random model: each cell against a forward of our own, without padding; both orders add up."""
    loaded, rng = tiny("qwen3"), np.random.default_rng(0)
    ids = lambda n: tuple(int(t) for t in rng.integers(10, 200, n))  # noqa: E731
    options = (20, 21, 22)
    items = [
        MediationItem(
            ids(9 + k), ids(6), tuple(Continuation(ids(4 + j), options) for j in range(2)),
            (Continuation(ids(5), options),), 0, 2, str(k),
        )
        for k in range(3)
    ]  # fmt: skip
    cells = mediate(loaded, items, token_budget=40)
    for k, item in enumerate(items):
        for p, start in enumerate((item.control, item.treated)):
            for t, texts in enumerate((item.control_texts, item.treated_texts)):
                with torch.no_grad():
                    logits = [loaded.model(torch.tensor([start + text.ids])).logits[0, -1] for text in texts]
                difference = np.mean([float(row[20] - row[22]) for row in logits])
                probability = np.mean([float(row.softmax(-1)[20]) for row in logits])
                assert cells.logit_difference[k, p, t] == pytest.approx(difference, abs=1e-4)
                assert cells.probability[k, p, t] == pytest.approx(probability, abs=1e-5)
    effects = effects_of(cells.logit_difference)
    assert np.abs(effects["interaction"]).min() > 1e-3
    np.testing.assert_allclose(effects["total"], effects["pure_direct"] + effects["total_text"], atol=1e-9)
    np.testing.assert_allclose(effects["total"], effects["total_direct"] + effects["pure_text"], atol=1e-9)
    np.testing.assert_allclose(effects["interaction"], effects["total_text"] - effects["pure_text"], atol=1e-9)


def test_without_a_stated_rival_the_runner_up_of_the_control_cell_is_used(wired):
    item = an_item("a", "c", "c", "b")  # the text of the control run says b, so b is the runner-up
    left_open = MediationItem(
        item.treated, item.control, item.treated_texts, item.control_texts, item.target, None, "g"
    )
    stated = MediationItem(item.treated, item.control, item.treated_texts, item.control_texts, item.target, 1, "g")
    loaded = wired("text")
    np.testing.assert_array_equal(
        mediate(loaded, [left_open]).logit_difference, mediate(loaded, [stated]).logit_difference
    )


def test_shares_are_withheld_where_the_total_may_be_zero():
    rng = np.random.default_rng(0)
    cells = rng.normal(0, 1, (40, 2, 2))
    groups = [str(k) for k in range(40)]
    level = decompose(cells - cells.mean(0) + 0.3 * np.eye(2)[1], groups, 500, rng, "logit_difference")
    assert level.shares is None
    assert "holds zero" in level.no_shares
    moved = cells + np.array([[0.0, 1.0], [2.0, 5.0]])
    found = decompose(moved, groups, 500, rng, "logit_difference")
    assert not found.no_shares
    assert found.effects["total"].excludes_zero
    assert found.shares["pure_text"].value == pytest.approx(
        found.effects["pure_text"].value / found.effects["total"].value
    )
    assert found.shares["pure_direct"].value + found.shares["total_text"].value == pytest.approx(1)
    # One group has no spread to judge by.
    alone = decompose(moved, ["g"] * 40, 500, rng, "logit_difference")
    assert alone.shares is None
    assert "1 groups has no interval" in alone.no_shares


@pytest.mark.parametrize(("outcome", "least"), [("probability", 0.05), ("logit_difference", 0.2)])
def test_a_total_that_does_not_matter_is_not_shared_out(outcome, least):
    """Seen on an organism that reads no hint: a total of 2.6e-5 whose interval excluded zero was split into shares."""
    rng, groups = np.random.default_rng(1), [str(k) for k in range(40)]

    def split(total):
        cells = rng.normal(0, abs(total) / 100, (40, 2, 2)) + np.array([[0.0, total / 4], [total / 2, total]])
        found = decompose(cells, groups, 500, rng, outcome)
        assert found.effects["total"].excludes_zero
        return found

    for total in (2.6e-5, 0.9 * least, -0.9 * least):
        small = split(total)
        assert small.shares is None
        assert f"under the least one that is shared out, {least:g}" in small.no_shares
    assert split(1.1 * least).shares["pure_text"].value == pytest.approx(0.25, abs=0.02)


def test_estimates():
    assert not Estimate(1.0, None, None).excludes_zero
    assert not Estimate(1.0, -0.1, 2.0).excludes_zero
    assert Estimate(-1.0, -2.0, -0.1).excludes_zero
    bootstrap = cluster_bootstrap([str(k) for k in range(20)], 200, np.random.default_rng(0))
    found = bootstrap.ratio(np.tile([1.0, 3.0], 10), np.full(20, 2.0))
    assert found.value == 1.0
    assert 0.5 <= found.low < 1.0 < found.high <= 1.5


def test_bad_items_are_refused(wired):
    text = (Continuation(written("a"), LETTERS),)
    with pytest.raises(HintprobeError, match="0 control texts"):
        MediationItem(prompt("a", "b"), prompt("a", None), text, (), 1, 0, "g")
    with pytest.raises(HintprobeError, match="against itself"):
        MediationItem(prompt("a", "b"), prompt("a", None), text, text, 1, 1, "g")
    with pytest.raises(HintprobeError, match="no items"):
        mediate(wired("none"), [])
