"""Metrics against independent routes."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from activations.errors import HintprobeError
from probes import (
    Comparison,
    Platt,
    average_precision,
    balanced_accuracy,
    brier,
    expected_calibration_error,
    operating_point,
    refuse_degenerate,
    reliability,
    stratified_auroc,
    threshold_at,
)


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
    weighted = Comparison.of(labels, ["s"] * 40).auroc(scores, weights)[0]
    assert weighted == pytest.approx(roc_auc_score(labels[repeated], scores[repeated]))
    scores = np.round(scores, 1)  # with ties
    assert average_precision(scores, labels, weights)[0] == pytest.approx(
        average_precision_score(labels[repeated], scores[repeated])
    )
    assert balanced_accuracy(scores > 0, labels, weights)[0] == pytest.approx(
        balanced_accuracy_score(labels[repeated], scores[repeated] > 0)
    )


def test_many_scores_at_once_are_each_their_own():
    rng = np.random.default_rng(7)
    labels, strata = rng.random(60) < 0.5, rng.choice(["a", "b", "c"], 60)
    scores, weights = rng.normal(size=(2, 3, 60)), rng.integers(0, 4, (5, 60)).astype(float)
    together = Comparison.of(labels, strata).auroc(scores, weights)
    assert together.shape == (2, 3, 5)
    for i in range(2):
        for j in range(3):
            alone = Comparison.of(labels, strata).auroc(scores[i, j], weights)
            np.testing.assert_allclose(together[i, j], alone)


def test_pairs_are_all_of_one_stratum():
    rng = np.random.default_rng(8)
    labels, strata = rng.random(50) < 0.4, rng.choice(["a", "b", "c"], 50)
    comparison = Comparison.of(labels, strata)
    positive, negative = comparison.pairs()
    expected = {(i, j) for i in range(50) for j in range(50) if labels[i] and not labels[j] and strata[i] == strata[j]}
    assert set(zip(positive.tolist(), negative.tolist(), strict=True)) == expected
    assert len(positive) == comparison.n_pairs == len(expected)


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


def test_the_threshold_comes_from_the_controls():
    rng = np.random.default_rng(11)
    labels = rng.random(4000) < 0.5
    scores = rng.normal(size=4000) + 2 * labels
    point = operating_point(scores, labels, rng.normal(size=2000), 0.05)
    assert point.threshold == pytest.approx(1.645, abs=0.15)
    assert point.realised_fpr == pytest.approx(0.05, abs=0.02)
    assert point.recall == pytest.approx(0.64, abs=0.05)
    elsewhere = operating_point(scores, labels, rng.normal(size=2000) + 1, 0.05)
    assert elsewhere.realised_fpr < 0.02


def test_a_threshold_without_enough_controls_is_refused():
    labels = np.arange(10) < 5
    with pytest.raises(HintprobeError, match=r"needs at least 300 negatives .* there are 299"):
        operating_point(np.arange(10.0), labels, np.arange(299.0), 0.01)
    operating_point(np.arange(10.0), labels, np.arange(300.0), 0.01)


def test_degenerate_cells_are_refused_by_name():
    groups = ["a", "a", "b", "c"]
    refuse_degenerate("visual correct", np.array([True, False, True, False]), groups, 2)
    with pytest.raises(HintprobeError, match="visual correct: the negative class has 0 rows of 0 groups"):
        refuse_degenerate("visual correct", np.ones(4, bool), groups, 1)
    with pytest.raises(HintprobeError, match=r"the positive class has 2 rows of 1 groups, .* at least 2"):
        refuse_degenerate("visual correct", np.array([True, True, False, False]), groups, 2)
