"""Intervals keep their promise under clustering, and tests keep their level."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from probes import DIFFERENCE, MIN_GROUPS, SHARE, StratifiedPairs, cluster_bootstrap, holm, interval

GROUPS, ROWS, BETWEEN = 60, 4, 1.5
STRATA = ["sycophancy correct", "metadata incorrect"]


def clustered_scores(separation: float, rng: np.random.Generator):
    """Rows of a group share their label and a random effect; half of the groups are positive, in two strata."""
    group = np.repeat(np.arange(GROUPS), ROWS)
    labels = group % 2 == 0
    strata = [STRATA[(g // 2) % 2] for g in group]
    scores = separation * labels + BETWEEN * rng.normal(size=GROUPS)[group] + rng.normal(size=len(group))
    return scores, labels, strata, [str(g) for g in group]


def true_auroc(separation: float) -> float:
    return float(norm.cdf(separation / np.sqrt(2 * (BETWEEN**2 + 1))))


def coverage(separation: float, cluster: bool, repetitions: int, seed: int) -> float:
    """Share of 95% intervals that hold the true AUROC within strata."""
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(repetitions):
        scores, labels, strata, groups = clustered_scores(separation, rng)
        units = groups if cluster else [str(i) for i in range(len(groups))]
        samples = StratifiedPairs.of(labels, strata).auroc(scores, cluster_bootstrap(units, 400, rng).weights)
        low, high = interval(samples)
        hits += low <= true_auroc(separation) <= high
    return hits / repetitions


@pytest.mark.slow
@pytest.mark.parametrize("separation", [0.0, 1.5], ids=["null", "signal"])
def test_the_cluster_bootstrap_covers_at_its_rate(separation):
    assert 0.92 <= coverage(separation, True, 1500, 0) <= 0.98
    assert coverage(separation, False, 300, 0) < 0.85


@pytest.mark.parametrize("separation", [0.0, 1.5], ids=["null", "signal"])
def test_the_cluster_bootstrap_covers_and_the_naive_one_does_not(separation):
    """The quick version; 1,500 repetitions are behind ``-m slow``."""
    assert coverage(separation, True, 150, 1) >= 0.89
    assert coverage(separation, False, 150, 1) < 0.85


def test_groups_are_drawn_whole():
    weights = cluster_bootstrap(["a", "a", "b", "c"], 50, np.random.default_rng(3)).weights
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, [0, 2, 3]].sum(1) == 3).all()


def test_no_interval_where_too_few_resamples_give_a_figure():
    samples = np.arange(100.0)
    assert interval(samples) == pytest.approx((2.475, 96.525))
    assert interval(np.where(samples < 10, np.nan, samples)) is not None
    assert interval(np.where(samples < 11, np.nan, samples)) is None


def test_below_the_least_number_of_groups_there_is_no_interval():
    """Rows that count decide, not rows that are there: a recall of two positives among forty rows has none."""
    rng = np.random.default_rng(5)
    for n, given in ((1, False), (MIN_GROUPS - 1, False), (MIN_GROUPS, True), (40, True)):
        values = rng.normal(size=4 * n)
        found = cluster_bootstrap([str(k // 4) for k in range(4 * n)], 200, rng).mean(values)
        assert found.value == pytest.approx(values.mean())
        assert (found.low is not None) == given
    bootstrap, hit = cluster_bootstrap([str(k) for k in range(40)], 200, rng), np.arange(40.0) % 2
    for n in (1, MIN_GROUPS - 1, MIN_GROUPS, 40):
        found = bootstrap.ratio(hit * (np.arange(40) < n), (np.arange(40) < n).astype(float), SHARE)
        assert (found.low is not None) == (n >= MIN_GROUPS)
    nothing = bootstrap.ratio(np.zeros(40), np.zeros(40), SHARE)
    assert np.isnan(nothing.value)
    assert nothing.low is None


@pytest.mark.parametrize("n", [10, 30, 300])
def test_a_share_of_all_or_none_is_no_certainty(n):
    """The interval is the exact binomial one over groups, as scipy has it; without limits there is none."""
    bootstrap = cluster_bootstrap([str(k // 2) for k in range(2 * n)], 100, np.random.default_rng(6))
    for value in (0.0, 1.0):
        found = bootstrap.mean(np.full(2 * n, value), SHARE)
        exact = binomtest(round(value * n), n).proportion_ci(method="exact")
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
        assert bootstrap.mean(np.full(2 * n, value)).low is None
    level = bootstrap.mean(np.zeros(2 * n), DIFFERENCE)
    assert level.low == -level.high < 0


def test_paired_differences_are_narrower_than_unpaired_ones():
    """Two detectors that share their noise: on the same resamples their small difference is plain to see."""
    rng = np.random.default_rng(4)
    scores, labels, strata, groups = clustered_scores(1.5, rng)
    other = scores - 0.8 * labels + 0.1 * rng.normal(size=len(scores))
    comparison = StratifiedPairs.of(labels, strata)
    a, b = comparison.auroc(np.stack([scores, other]), cluster_bootstrap(groups, 1000, rng).weights)
    apart = comparison.auroc(other, cluster_bootstrap(groups, 1000, rng).weights)[0:1000]
    low, high = interval(a - b)
    wide_low, wide_high = interval(a - apart)
    assert low > 0
    assert (high - low) < 0.6 * (wide_high - wide_low)


def test_holm_against_worked_figures():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_holm_holds_the_family_to_its_level():
    rng = np.random.default_rng(8)
    p = rng.random((2000, 10))
    raw = (p.min(1) < 0.05).mean()
    held = np.mean([min(holm(dict(enumerate(row))).values()) < 0.05 for row in p])
    assert raw > 0.3
    assert 0.03 < held < 0.07
