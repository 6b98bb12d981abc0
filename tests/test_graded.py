"""Probes of a quantity: found where it is planted, not where it is not, and judged by the pairs it ranks right."""

import numpy as np
import pytest

from activations import HintprobeError
from experiments.comparison.graded import graded_table
from experiments.records import GradedScore, GradedSummary, Reliance
from probes import Graded, concordance, graded_cv, stratified_auroc
from probes.graded import group_folds, permuted_values


def planted(rng, signal, n=240, k=4):
    """Activations that hold a chance, and the share of ``k`` rollouts that came out."""
    chance = np.clip(0.4 + 0.3 * rng.normal(size=n), 0, 1)
    x = rng.normal(size=(n, 12))
    x[:, 0] += signal * (chance - 0.4) / 0.3
    groups = tuple(map(str, np.arange(n) // 2))
    target = Graded(rng.binomial(k, chance) / k, groups, tuple(rng.choice(list("ab"), n)))
    return {"noise": rng.normal(size=(n, 12)), "held": x}, target


def test_a_planted_quantity_is_ranked_and_noise_is_not():
    rng = np.random.default_rng(0)
    found = graded_cv(*planted(rng, 2.0), 4, 3, 39, rng)
    assert found.observed > 0.65
    assert found.p_value == pytest.approx(1 / 40)
    assert {cell for cell, _ in found.chosen} == {"held"}
    nothing = graded_cv(*planted(rng, 0.0), 4, 3, 39, rng)
    assert abs(nothing.observed - 0.5) < 0.08
    assert nothing.p_value > 0.05


def test_the_null_keeps_its_level():
    rng = np.random.default_rng(1)
    p = [graded_cv(*planted(rng, 0.0, 80), 3, 2, 19, rng).p_value for _ in range(60)]
    assert np.mean(np.array(p) <= 0.05) <= 0.15
    assert 0.3 < np.mean(p) < 0.7


def test_with_two_values_it_is_the_auroc():
    rng = np.random.default_rng(2)
    values, scores, strata = rng.random(90) < 0.4, rng.normal(size=90).round(1), rng.choice(list("ab"), 90)
    found = concordance(scores, values.astype(float), strata)
    assert found[0] == pytest.approx(stratified_auroc(scores, values, strata))
    weights = rng.integers(0, 3, (2, 90)).astype(float)
    repeated = np.repeat(np.arange(90), weights[1].astype(int))
    by_hand = stratified_auroc(scores[repeated], values[repeated], strata[repeated])
    assert concordance(scores, values.astype(float), strata, weights)[1] == pytest.approx(by_hand)
    assert np.isnan(concordance(scores, np.ones(90), strata)[0])


def test_groups_stay_whole():
    rng = np.random.default_rng(3)
    groups = tuple(map(str, np.arange(60) // 3))
    fold = group_folds(groups, 4, rng)
    assert all(len(set(fold[3 * k : 3 * k + 3])) == 1 for k in range(20))
    values = np.repeat(np.arange(20.0), 3)
    drawn = permuted_values(Graded(values, groups, ("a", "b", "b") * 20), rng)
    assert (drawn.reshape(20, 3) == drawn.reshape(20, 3)[:, :1]).all()
    assert (drawn != values).any()


def test_too_few_groups_are_refused():
    with pytest.raises(HintprobeError, match="Ask more questions"):
        graded_cv({"x": np.zeros((4, 2))}, Graded(np.arange(4.0), ("a", "a", "b", "b"), ("s",) * 4), 4, 3, 0, None)


def item(k, hits, fresh):
    return Reliance(
        item_id=str(k), group=f"g{k}", kind="metadata", direction="correct", target="A", hinted_hits=hits,
        hinted_parsed=4, neutral_hits=0, neutral_parsed=4, probability=hits / 5, deviation=0.1, low=0.0, high=1.0,
        evaluation_hinted_hits=fresh or 0, evaluation_hinted_parsed=0 if fresh is None else 4,
        evaluation_neutral_parsed=0 if fresh is None else 4,
    )  # fmt: skip


@pytest.mark.parametrize("fresh", [False, True])
def test_the_table_says_what_it_is_held_against(fresh):
    rng = np.random.default_rng(4)
    items = {str(k): item(k, k % 5, 4 - k % 5 if fresh else None) for k in range(40)}
    summaries = [GradedSummary(name=name, reads="", chosen=(), p_null=None) for name in ("probe_before_cot", "other")]
    scores = [
        GradedScore(detector=name, item_id=key, fold=0, score=row.hinted_hits if name != "other" else rng.normal())
        for name in ("probe_before_cot", "other")
        for key, row in items.items()
    ]
    found = graded_table(summaries, scores, items, 200, rng)
    probe, other = found.detectors["probe_before_cot"], found.detectors["other"]
    assert found.evaluated_on == ("evaluation rollouts" if fresh else "labelling rollouts")
    assert probe.concordance.value == (0.0 if fresh else 1.0)  # fresh values run the other way here
    assert other.lead.value == pytest.approx(probe.concordance.value - other.concordance.value)
    assert probe.lead is None
    assert graded_table([], [], items, 10, rng) is None
