"""Covariates are regressed out of scores: all of a confound, and next to nothing of a real effect, few rows or many."""

import numpy as np
import pytest

from probes import NestedResult, residualise, stratified_auroc


def left(rng, n, effect, confound, terms=18):
    """AUROC within strata before and after, of scores that hold an effect and a confound that goes with the labels."""
    positive, strata = rng.random(n) < 0.5, tuple(rng.choice(list("abcd"), n))
    covariates = rng.normal(size=(n, terms))
    covariates[:, 0] += positive * (confound > 0)
    scores = rng.normal(size=n) * 0.5 + effect * positive + confound * covariates[:, 0]
    rest = residualise(NestedResult(scores, scores, np.arange(n) % 5, []), strata, covariates)
    return stratified_auroc(scores, positive, strata), stratified_auroc(rest.scores, positive, strata)


@pytest.mark.parametrize("n", [80, 160])
def test_idle_covariates_take_little_of_an_effect_at_few_rows(n):
    rng = np.random.default_rng(0)
    before, after = np.mean([left(rng, n, 0.75, 0.0) for _ in range(25)], axis=0)
    assert before > 0.8
    assert after > before - 0.025


def test_a_confound_is_taken_out():
    rng = np.random.default_rng(1)
    before, after = np.mean([left(rng, 400, 0.0, 2.0) for _ in range(10)], axis=0)
    assert before > 0.7
    assert after < 0.56
