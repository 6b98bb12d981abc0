"""Every probe on two-dimensional features: scikit-learn's own checks, closed forms, planted directions."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from probes import LogisticProbe, MeanDifferenceProbe, MLPProbe, RidgeProbe, mean_differences

LINEAR = [LogisticProbe(C=0.01), MeanDifferenceProbe(), MeanDifferenceProbe(whiten=True), RidgeProbe(alpha=100.0)]


@parametrize_with_checks(
    [LogisticProbe(), MeanDifferenceProbe(), MeanDifferenceProbe(whiten=True), RidgeProbe(), MLPProbe()]
)
def test_scikit_learn_estimator_checks(estimator, check):
    check(estimator)


def planted(n=2000, d=64, strength=1.5, seed=2):
    """White noise, and a direction along which the class means lie ``2 * strength`` standard deviations apart."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=d)
    direction /= np.linalg.norm(direction)
    y = rng.random(n) < 0.5
    return rng.normal(size=(n, d)) + np.outer(np.where(y, strength, -strength), direction), y, direction


@pytest.mark.parametrize("probe", LINEAR, ids=str)
def test_a_planted_direction_is_found_and_a_removed_one_is_not(probe):
    x, y, direction = planted()
    found = probe.fit(x, y).direction_
    assert found @ direction / np.linalg.norm(found) >= 0.95
    removed = x - np.outer(x @ direction, direction)
    probe.fit(removed[:1000], y[:1000])
    assert abs(roc_auc_score(y[1000:], probe.decision_function(removed[1000:])) - 0.5) < 0.06


@pytest.mark.parametrize("probe", LINEAR, ids=str)
def test_the_direction_is_the_gradient_of_the_score(probe):
    x, y, _ = planted(n=300, d=10)
    x = x * np.geomspace(0.1, 10, 10) + 3  # directions in activation space must undo the preprocessing
    probe.fit(x, y)
    step = np.random.default_rng(0).normal(size=10)
    change = probe.decision_function(x + step) - probe.decision_function(x)
    np.testing.assert_allclose(change, probe.direction_ @ step)


def test_the_logistic_probe_is_scikit_learns():
    x, y, _ = planted(n=200, d=30)
    z = (x - x.mean(0)) / x.std(0)
    reference = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(z, y)
    np.testing.assert_allclose(
        LogisticProbe(C=0.5).fit(x, y).decision_function(x), reference.decision_function(z), atol=1e-5
    )


@pytest.mark.parametrize(("n", "d"), [(300, 10), (40, 60)])
def test_whitening_is_scikit_learns_discriminant_analysis(n, d):
    x, y, _ = planted(n=n, d=d)
    x = x @ np.random.default_rng(1).normal(size=(d, d))
    centred = np.where(y[:, None], x - x[y].mean(0), x - x[~y].mean(0))
    from sklearn.covariance import ledoit_wolf_shrinkage

    reference = LinearDiscriminantAnalysis(
        solver="lsqr", shrinkage=float(ledoit_wolf_shrinkage(centred, assume_centered=True))
    ).fit(x, y)
    ours = MeanDifferenceProbe(whiten=True).fit(x, y)
    a, b = reference.coef_[0], ours.direction_
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.999
    np.testing.assert_allclose(ours.decision_function(x), reference.decision_function(x), rtol=0.05, atol=0.1)


def test_whitening_sees_past_correlated_noise():
    """Where noise is strong along one direction, the plain difference of means is dragged into it."""
    rng = np.random.default_rng(3)
    x, y, direction = planted(n=2000, d=20, strength=0.5)
    other = np.eye(20)[0] - direction[0] * direction
    other /= np.linalg.norm(other)
    x = x + np.outer(8 * rng.normal(size=2000), other + 0.5 * direction)
    plain, white = MeanDifferenceProbe(), MeanDifferenceProbe(whiten=True)
    half = slice(0, 1000)
    rest = slice(1000, 2000)
    scores = [roc_auc_score(y[rest], p.fit(x[half], y[half]).decision_function(x[rest])) for p in (plain, white)]
    assert scores[1] > scores[0] + 0.1


def test_more_than_two_classes_are_refused():
    with pytest.raises(ValueError, match="Only binary classification"):
        LogisticProbe().fit(np.eye(6), [0, 1, 2, 0, 1, 2])


def test_the_nonlinear_probe_sees_what_no_line_separates():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(800, 6))
    y = (x[:, 0] > 0) ^ (x[:, 1] > 0)
    half, rest = slice(0, 400), slice(400, 800)
    linear = LogisticProbe(C=0.1).fit(x[half], y[half]).decision_function(x[rest])
    bent = MLPProbe(hidden=16).fit(x[half], y[half]).decision_function(x[rest])
    assert abs(roc_auc_score(y[rest], linear) - 0.5) < 0.08
    assert roc_auc_score(y[rest], bent) > 0.9
    shuffled = MLPProbe(hidden=16).fit(x[half], rng.permutation(y[half])).decision_function(x[rest])
    assert abs(roc_auc_score(y[rest], shuffled) - 0.5) < 0.1


def test_mean_differences_of_all_folds_are_the_probes():
    x, y, _ = planted(n=60, d=8)
    labels = np.stack([y, ~y], axis=1)
    masks = np.stack([np.arange(60) % 3 != k for k in range(3)], axis=1)
    together = mean_differences(torch.from_numpy(x), torch.from_numpy(labels), torch.from_numpy(masks))
    for m in range(3):
        for column in range(2):
            alone = MeanDifferenceProbe().fit(x[masks[:, m]], labels[masks[:, m], column]).direction_
            np.testing.assert_allclose(together[m, column].numpy(), alone)
