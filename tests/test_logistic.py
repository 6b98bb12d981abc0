"""The batched solver against scikit-learn, and what it refuses."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from activations.errors import HintprobeError
from probes import solve_logistic

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)


def _data(n, d, seed=0):
    rng = np.random.default_rng(seed)
    w = rng.normal(size=d)
    x = rng.normal(size=(n, d))
    y = (x @ w / np.sqrt(d) + 0.7 * rng.normal(size=n)) > 0.3
    return (x - x.mean(0)) / x.std(0), y


@pytest.mark.parametrize(("n", "d"), [(300, 40), (120, 400)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_penalty_and_mask_equals_scikit_learn(n, d, dtype):
    x, y = _data(n, d)
    rng = np.random.default_rng(1)
    masks = np.stack([np.ones(n, bool), rng.random(n) < 0.8], axis=1)
    flipped = ~y
    solution = solve_logistic(
        torch.from_numpy(x).to(dtype),
        torch.from_numpy(np.stack([y, flipped], axis=1)),
        torch.from_numpy(masks),
        PENALTIES,
    )
    assert bool(solution.converged.all())
    assert int(solution.steps.max()) < 60  # retired as soon as converged
    for c, penalty in enumerate(PENALTIES):
        for m in range(2):
            for column, target in enumerate((y, flipped)):
                reference = LogisticRegression(C=penalty, tol=1e-8, max_iter=10_000).fit(
                    x[masks[:, m]], target[masks[:, m]]
                )
                a, b = reference.coef_[0], solution.coef[c, m, column].numpy()
                assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.9999
                assert np.linalg.norm(b) == pytest.approx(np.linalg.norm(a), rel=2e-2)
                ours = x @ b + float(solution.intercept[c, m, column])
                theirs = reference.decision_function(x)
                assert abs(roc_auc_score(target, ours) - roc_auc_score(target, theirs)) <= 0.002


@pytest.mark.parametrize("small", [0, 10**6], ids=["warm starts", "all penalties at once"])
def test_many_label_vectors_of_few_rows_all_arrive(small, monkeypatch):
    """60 rows of 200 features are rotated into 60 dimensions first."""
    monkeypatch.setattr("probes.logistic._SMALL", small)
    x, y = _data(60, 200)
    rng = np.random.default_rng(3)
    labels = np.stack([y, *(rng.permutation(y) for _ in range(39))], axis=1)
    mask = np.ones((60, 1), bool)
    penalties = (1.0, 1e-3, 1e-1)  # in no order
    solution = solve_logistic(
        torch.from_numpy(x), torch.from_numpy(labels), torch.from_numpy(mask), penalties, tolerance=1e-9
    )
    assert bool(solution.converged.all())
    for c, penalty in enumerate(penalties):
        for column in (0, 17, 39):
            reference = LogisticRegression(C=penalty, tol=1e-10, max_iter=10_000).fit(x, labels[:, column])
            np.testing.assert_allclose(solution.coef[c, 0, column].numpy(), reference.coef_[0], atol=1e-6)
            assert float(solution.intercept[c, 0, column]) == pytest.approx(reference.intercept_[0], abs=1e-5)


def test_features_far_from_zero_and_of_unequal_scale_converge():
    """Residual streams have a few features hundreds of times larger than the rest, and far from zero."""
    x, y = _data(400, 300)
    x = x * np.where(np.arange(300) < 3, 100.0, 1.0) + 50
    solution = solve_logistic(
        torch.from_numpy(x),
        torch.from_numpy(y)[:, None],
        torch.ones(400, 1, dtype=torch.bool),
        [1e-4, 1e-2],
        tolerance=1e-7,
    )
    assert bool(solution.converged.all())
    for c, penalty in enumerate((1e-4, 1e-2)):
        centred = x - x.mean(0)
        reference = LogisticRegression(C=penalty, solver="newton-cholesky", tol=1e-10).fit(centred, y)
        a, b = reference.coef_[0], solution.coef[c, 0, 0].numpy()
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= 0.99999
        ours = x @ b + float(solution.intercept[c, 0, 0])
        np.testing.assert_allclose(ours, reference.decision_function(centred), atol=1e-2)


def test_a_tolerance_below_rounding_is_reported_and_harms_nothing():
    x, y = _data(300, 40)
    arguments = (torch.from_numpy(y)[:, None], torch.ones(300, 1, dtype=torch.bool), [0.1])
    good = solve_logistic(torch.from_numpy(x), *arguments, tolerance=1e-9)
    rounded = solve_logistic(torch.from_numpy(x).float(), *arguments, tolerance=1e-12)
    assert bool(good.converged.all())
    assert not bool(rounded.converged.any())
    torch.testing.assert_close(rounded.coef.double(), good.coef, atol=1e-4, rtol=1e-3)


def test_what_cannot_be_solved_is_refused_by_name():
    x, y = _data(30, 5)
    good = torch.from_numpy(x)
    labels, masks = torch.from_numpy(np.stack([y, y], axis=1)), torch.ones(30, 2, dtype=torch.bool)
    labels[masks[:, 1], 1] = True
    with pytest.raises(HintprobeError, match="mask 0 have one class only under label vector 1"):
        solve_logistic(good, labels, masks, [1.0])
    broken = good.clone()
    broken[7, 2] = float("nan")
    with pytest.raises(HintprobeError, match="1 of 30 rows of features"):
        solve_logistic(broken, labels[:, :1], masks, [1.0])
    with pytest.raises(HintprobeError, match="30 rows of features, 29 of labels"):
        solve_logistic(good, labels[:29, :1], masks, [1.0])
    with pytest.raises(HintprobeError, match="must be positive"):
        solve_logistic(good, labels[:, :1], masks, [0.0])
