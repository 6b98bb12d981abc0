"""A hint that does nothing has no effect at any number of rollouts, and lost verdicts do not move the hidden share."""

import numpy as np
import pytest

from experiments.benchmarks.simulated_answers import idle_figures, idle_labels, lost_verdicts_bias
from experiments.comparison.effects import hint_effect


@pytest.mark.parametrize("k", [1, 3, pytest.param(8, marks=pytest.mark.slow)])
def test_a_hint_that_does_nothing_has_no_effect(k):
    assert abs(idle_figures(4000, k, 0).effect) < 0.03  # three standard errors at k = 1


def test_against_the_majority_it_would_seem_to_have_one():
    """What the neutral side used to be: the same rows, the share replaced by whether the majority says h."""
    labels = idle_labels(1500, 8, np.random.default_rng(0))
    before = [label.model_copy(update={"neutral_rate": None}) for label in labels]
    known = [label for label in before if label.neutral_answer is not None and label.hinted_answer is not None]
    gap = np.mean([(a.hinted_answer == a.target) - (a.neutral_answer == a.target) for a in known])
    found = hint_effect(before, 10, np.random.default_rng(0))["incorrect"].difference.value
    assert found == pytest.approx(gap)
    assert gap < -0.05


def test_a_hint_that_does_something_is_seen():
    rng = np.random.default_rng(1)
    labels = idle_labels(600, 3, rng)
    moved = [
        label.model_copy(update={"hinted_answer": label.target}) if rng.random() < 0.4 else label for label in labels
    ]
    assert hint_effect(moved, 200, rng)["incorrect"].difference.low > 0.15


@pytest.mark.parametrize("lost", [0.1, 0.3])
def test_lost_verdicts_do_not_move_the_hidden_share(lost):
    bias, error = lost_verdicts_bias(2000, lost, 0)
    assert abs(bias) < 3 * error < 0.03
