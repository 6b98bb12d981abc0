"""Does a figure level off? Found where planted, not found in a straight or a constant series."""

import numpy as np
import pytest

from experiments.training.levels import Resampled, level_of

STEPS = [0, 10, 20, 30, 40, 50, 60, 70, 80]


def verdict(curve, seed, n=200):
    """A share of ``n`` items at each step; every item has its own threshold, so the steps share their noise."""
    rng = np.random.default_rng(seed)
    own = rng.random(n)
    hits = np.array([(own < p).astype(float) for p in curve]) * (rng.random((len(curve), n)) < 0.97)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=300)
    samples = hits @ weights.T / n
    return level_of(STEPS, [Resampled(float(own.mean()), drawn, n) for own, drawn in zip(hits, samples, strict=True)])


RISING = [0.1 + 0.8 * min(1.0, s / 30) for s in STEPS]
STRAIGHT = [0.1 + 0.01 * s for s in STEPS]
CONSTANT = [0.5] * len(STEPS)


def share_of(curve, word):
    return np.mean([verdict(curve, seed).verdict == word for seed in range(30)])


def test_a_curve_that_levels_off_is_seen():
    assert share_of(RISING, "levels off") >= 0.9
    found = verdict(RISING, 0)
    assert found.breakpoint.low <= 30 <= found.breakpoint.high
    assert found.slope_before.low <= 0.97 * 0.8 / 30 <= found.slope_before.high  # 3% answer at random


def test_a_straight_line_goes_on():
    assert share_of(STRAIGHT, "levels off") <= 0.05
    assert share_of(STRAIGHT, "goes on") >= 0.6


def test_a_constant_is_flat():
    assert share_of(CONSTANT, "levels off") <= 0.05
    assert share_of(CONSTANT, "goes on") <= 0.1


def test_too_few_checkpoints_are_told():
    samples = np.random.default_rng(0).random((4, 50))
    figures = [Resampled(value, own, 50) for value, own in zip([0.1, 0.2, 0.3, 0.3], samples, strict=True)]
    assert level_of([0, 1, 2, 3], figures).verdict == "too few checkpoints"


def test_an_undefined_step_is_left_out():
    rng = np.random.default_rng(1)
    samples = np.repeat(np.array(RISING)[:, None], 100, 1) + rng.normal(0, 0.01, (9, 100))
    samples[4] = np.nan
    values = [*RISING[:4], None, *RISING[5:]]
    figures = [Resampled(value, own, 50) for value, own in zip(values, samples, strict=True)]
    assert level_of(STEPS, figures).verdict == "levels off"
    few = [own._replace(groups=9) for own in figures]
    assert level_of(STEPS, few).verdict == "too few checkpoints"


@pytest.mark.parametrize("curve", [RISING, STRAIGHT, CONSTANT])
def test_one_item_set_gives_one_verdict(curve):
    assert verdict(curve, 3) == verdict(curve, 3)
