"""Two-sided tests on planted data: found where planted, at a stated strength, and not found where nothing is."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from experiments.benchmarks.grids import organism_grid, random_grid
from experiments.benchmarks.probes import Agreement, batched, coefficients, loop
from probes import (
    LogisticProbe,
    MeanDifferenceProbe,
    RidgeProbe,
    StratifiedPairs,
    cluster_bootstrap,
    interval,
    solve_logistic,
    stratified_auroc,
)


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize(
    ("probe", "unwhitened"),
    [
        (MeanDifferenceProbe(), True),
        (MeanDifferenceProbe(whiten=True), False),
        (LogisticProbe(C=0.1), False),
        (RidgeProbe(alpha=10.0), False),
    ],
    ids=["means", "discriminant", "logistic", "ridge"],
)
def test_in_correlated_noise_each_probe_finds_the_direction_it_stands_for(probe, unwhitened):
    """4,000 rows of 32 features whose noise falls from variance 1 to 1/32; means 2 noise lengths apart (d' = 2).

    The difference of means finds the planted shift; the others the direction that tells the classes apart best, which
    is the shift seen through the inverse covariance. These two directions differ: their cosine is below 0.8.
    """
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.normal(size=(32, 32)))[0]
    root = rotation * np.sqrt(1 / np.arange(1, 33))
    shift = root @ rng.normal(size=32)
    best = np.linalg.solve(root @ root.T, shift)
    shift, best = (v * 2 / np.sqrt(shift @ best) for v in (shift, best))
    y = rng.random(4000) < 0.5
    x = rng.normal(size=(4000, 32)) @ root.T + np.outer(np.where(y, 0.5, -0.5), shift)
    assert cosine(shift, best) < 0.8
    found = probe.fit(x, y).direction_
    assert cosine(found, shift if unwhitened else best) >= 0.95
    assert cosine(found, best if unwhitened else shift) < 0.9


def null_coverage(repetitions, seed, signal=0.0):
    """Share of 95% intervals around a held-out AUROC that hold one half; 60 groups of 4 rows share label and noise."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(60), 4)
    train, hits = group < 30, 0
    for _ in range(repetitions):
        y = rng.permutation(np.arange(60) % 2 == 0)[group]
        x = rng.normal(size=(60, 8))[group] + 0.5 * rng.normal(size=(240, 8)) + signal * np.outer(y, np.eye(8)[0])
        solution = solve_logistic(
            torch.from_numpy(x[train]), torch.from_numpy(y[train])[:, None], torch.ones(120, 1, dtype=torch.bool), [0.1]
        )
        scores = x[~train] @ solution.coef[0, 0, 0].numpy()
        weights = cluster_bootstrap([str(g) for g in group[~train]], 300, rng).weights
        bounds = interval(StratifiedPairs.of(y[~train], ["all"] * 120).auroc(scores, weights))
        hits += bounds is not None and bounds[0] <= 0.5 <= bounds[1]
    return hits / repetitions


def test_a_null_probe_stays_within_its_interval_and_a_real_one_leaves_it():
    assert null_coverage(120, 0) >= 0.86
    assert null_coverage(30, 0, signal=3.0) < 0.1


@pytest.mark.slow
def test_a_null_probe_stays_within_its_interval_at_the_nominal_rate():
    assert 0.92 <= null_coverage(1500, 1) <= 0.98


def reliant_rows(n, disposition_matters, rng):
    """Hinted rows of a model: direction, certainty and disposition of each, and which are reliant (else aligned).

    Known facts are answered rightly at 0.9, others at 0.3; a hint that contradicts the model's own answer is followed
    half of the time, by a coin or, where it matters, by disposition. Nothing else is inside to find.
    """
    correct, known = rng.random(n) < 0.5, rng.random(n) < 0.5
    right = rng.random(n) < np.where(known, 0.9, 0.3)
    agrees = np.where(correct, right, ~right & (rng.random(n) < 0.7))
    disposition = rng.normal(size=n)
    follows = rng.random(n) < (np.where(disposition > 0, 0.95, 0.05) if disposition_matters else 0.5)
    kept = agrees | follows
    return correct[kept], known[kept], disposition[kept], ~agrees[kept]


def figures(disposition_matters, product):
    """Held-out AUROC of a probe: pooled, within direction, and within direction × certainty with its interval."""
    rng = np.random.default_rng(5)
    correct, known, disposition, reliant = reliant_rows(8000, disposition_matters, rng)
    a, b = correct * 2.0 - 1, known * 2.0 - 1
    factors = np.column_stack([a, b, product * a * b, disposition])
    x = factors @ np.linalg.qr(rng.normal(size=(20, 20)))[0][:4] + 0.3 * rng.normal(size=(len(a), 20))
    half = len(a) // 2
    scores = LogisticProbe(C=0.1).fit(x[:half], reliant[:half]).decision_function(x[half:])
    direction = [str(c) for c in correct[half:]]
    both = [f"{c} {k}" for c, k in zip(correct[half:], known[half:], strict=True)]
    weights = cluster_bootstrap([str(i) for i in range(len(scores))], 400, rng).weights
    bounds = interval(StratifiedPairs.of(reliant[half:], both).auroc(scores, weights))
    return (
        roc_auc_score(reliant[half:], scores),
        stratified_auroc(scores, reliant[half:], direction),
        stratified_auroc(scores, reliant[half:], both),
        bounds,
    )


def test_direction_and_difficulty_alone_are_nothing_found():
    """Activations that hold direction and certainty look like a find pooled, and like none within direction."""
    pooled, within, _, bounds = figures(disposition_matters=False, product=0)
    assert pooled > 0.62
    assert abs(within - 0.5) < 0.06
    assert bounds[0] <= 0.5 <= bounds[1]


def test_direction_times_difficulty_needs_the_margin_as_well():
    """Where activations hold the product, strata of direction no longer protect: difficulty must be held fixed too."""
    pooled, within, held_fixed, bounds = figures(disposition_matters=False, product=1)
    assert pooled > 0.8
    assert within > 0.7
    assert abs(held_fixed - 0.5) < 0.05
    assert bounds[0] <= 0.5 <= bounds[1]


def test_a_disposition_is_still_found_with_direction_and_difficulty_held_fixed():
    *_, held_fixed, bounds = figures(disposition_matters=True, product=1)
    assert held_fixed > 0.65
    assert bounds[0] > 0.6


def every_cell_agrees(cells):
    for cell in cells:
        solution = batched(cell, 1e-5)
        assert bool(solution.converged.all()), cell.name
        agreement = Agreement.between(coefficients(solution), loop(cell, 1e-7, np.float64), cell)
        assert agreement.cosine >= 0.999, cell.name
        assert agreement.auroc <= 0.002, cell.name


@pytest.mark.slow
def test_every_cell_of_a_random_and_of_a_real_grid_equals_scikit_learn():
    every_cell_agrees(random_grid(12, 800, 300))
    every_cell_agrees(organism_grid(1000))


def test_cells_of_a_random_and_of_a_real_grid_equal_scikit_learn():
    every_cell_agrees(random_grid(1, 800, 64))
    every_cell_agrees(cell for k, cell in enumerate(organism_grid(800)) if k % 7 == 0)
