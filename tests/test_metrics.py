"""Metrics against independent routes."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from probes import (
    Platt,
    StratifiedPairs,
    brier,
    expected_calibration_error,
    reliability,
    stratified_auroc,
    threshold_at,
)
from probes.auroc import aurocs_of_vectors, stratum_codes
from probes.metrics import calibration_error_by_chance


def test_one_stratum_is_the_ordinary_auroc():
    rng = np.random.default_rng(0)
    labels = rng.random(200) < 0.4
    scores = np.round(rng.normal(size=200) + labels, 1)  # with ties
    assert stratified_auroc(scores, labels, ["s"] * 200) == pytest.approx(roc_auc_score(labels, scores))


def test_strata_remove_what_only_differs_between_them():
    """Scores that know the stratum alone look good pooled, and are worth nothing within strata."""
    rng = np.random.default_rng(1)
    stratum = rng.random(2000) < 0.5
    labels = rng.random(2000) < np.where(stratum, 0.9, 0.1)
    scores = stratum + 0.01 * rng.normal(size=2000)
    assert roc_auc_score(labels, scores) > 0.85
    assert abs(stratified_auroc(scores, labels, [str(s) for s in stratum]) - 0.5) < 0.05


def test_no_comparable_pair_is_not_a_number():
    assert np.isnan(stratified_auroc(np.arange(4.0), np.array([True, True, False, False]), ["a", "a", "b", "b"]))


def test_weights_equal_repetition():
    rng = np.random.default_rng(2)
    labels, scores = rng.random(40) < 0.5, rng.normal(size=40)
    counts = rng.integers(0, 3, 40)
    repeated = np.repeat(np.arange(40), counts)
    weights = counts[None].astype(float)
    weighted = StratifiedPairs.of(labels, ["s"] * 40).auroc(scores, weights)[0]
    assert weighted == pytest.approx(roc_auc_score(labels[repeated], scores[repeated]))


def test_many_scores_at_once_are_each_their_own():
    rng = np.random.default_rng(7)
    labels, strata = rng.random(60) < 0.5, rng.choice(["a", "b", "c"], 60)
    scores, weights = rng.normal(size=(2, 3, 60)), rng.integers(0, 4, (5, 60)).astype(float)
    together = StratifiedPairs.of(labels, strata).auroc(scores, weights)
    assert together.shape == (2, 3, 5)
    for i in range(2):
        for j in range(3):
            alone = StratifiedPairs.of(labels, strata).auroc(scores[i, j], weights)
            np.testing.assert_allclose(together[i, j], alone)


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 0), (0.05, 5), (0.01, 1), (0.5, 50)])
def test_a_threshold_lets_through_the_stated_share(rate, expected):
    negatives = np.random.default_rng(5).permutation(100).astype(float)
    assert (negatives > threshold_at(negatives, rate)).sum() == expected


def test_a_threshold_with_ties_never_lets_through_more():
    assert (np.zeros(100) > threshold_at(np.zeros(100), 0.05)).sum() == 0


def test_calibration_figures():
    labels = np.array([True, False, True, False])
    assert brier(np.array([1.0, 0, 1, 0]), labels) == 0
    assert brier(np.full(4, 0.5), labels) == 0.25
    assert expected_calibration_error(np.full(4, 0.5), labels) == pytest.approx(0)
    assert expected_calibration_error(np.full(4, 0.9), labels) == pytest.approx(0.4)


def test_the_reliability_curve_is_scikit_learns():
    rng = np.random.default_rng(9)
    probability = rng.random(500)
    labels = rng.random(500) < probability**2
    curve = reliability(probability, labels)
    observed, stated = calibration_curve(labels, probability, n_bins=10)
    np.testing.assert_allclose(curve.observed, observed)
    np.testing.assert_allclose(curve.stated, stated)
    assert curve.n.sum() == 500
    assert expected_calibration_error(probability, labels) > 0.1
    assert expected_calibration_error(probability, rng.random(500) < probability) < 0.06


def test_platt_undoes_a_slope_and_an_offset():
    rng = np.random.default_rng(10)
    odds = rng.normal(size=4000)
    labels = rng.random(4000) < 1 / (1 + np.exp(-odds))
    platt = Platt.fit(5 * odds + 3, labels)
    assert platt.slope == pytest.approx(0.2, rel=0.1)
    assert expected_calibration_error(platt.probability(5 * odds + 3), labels) < 0.03


def test_calibrated_probabilities_have_the_error_of_chance_and_no_more():
    rng = np.random.default_rng(12)
    probability = rng.random(150)
    labels = [rng.random(150) < probability for _ in range(30)]
    by_chance = calibration_error_by_chance(probability, labels[0])
    assert by_chance > 0.04  # few rows: well above zero although the probabilities are right
    errors = [expected_calibration_error(probability, drawn) for drawn in labels]
    assert np.mean(errors) == pytest.approx(by_chance, abs=0.015)
    assert expected_calibration_error(probability, rng.random(150) < probability**3) > by_chance + 0.1


def test_influences_are_the_slope_in_each_rows_weight():
    rng = np.random.default_rng(13)
    labels, strata = rng.random(60) < 0.5, list(rng.choice(["a", "b"], 60))
    scores = np.round(rng.normal(size=60), 1)
    pairs = StratifiedPairs.of(labels, strata)
    value, influence = pairs.influence(scores)
    assert value == pytest.approx(pairs.auroc(scores)[0])
    for row in (0, 17, 40):
        weights = np.ones((1, 60))
        weights[0, row] += 1e-4
        assert influence[row] == pytest.approx((pairs.auroc(scores, weights)[0] - value) / 1e-4, rel=0.02, abs=1e-4)


def test_many_label_vectors_at_once_are_each_their_own():
    rng = np.random.default_rng(14)
    labels, strata = rng.random((50, 7)) < 0.4, rng.choice(["a", "b", "c"], 50)
    scores = np.round(rng.normal(size=(50, 7)), 1)
    together = aurocs_of_vectors(scores, labels, stratum_codes(list(strata)))
    alone = [stratified_auroc(scores[:, v], labels[:, v], list(strata)) for v in range(7)]
    np.testing.assert_allclose(together, alone)
