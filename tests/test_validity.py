"""The rule for a find and the intervals, on simulated experiments whose truth is known."""

import numpy as np
import pytest

from experiments.benchmarks.simulated_hints import found_in
from experiments.benchmarks.validity import Figure, coverage, figures, main
from probes import AurocEstimate, Contrast, Search, nested_cv, permuted_labels
from probes.intervals import instability

FIGURES = {"coverage_050": Figure(0.95, 9, 0.92, 0.98)}


def found(cause, n_class, n, **of):
    rng = np.random.default_rng(7)
    return [found_in(cause, n_class, rng, of.get("reliability", 0.7), of.get("auroc", 0.5)) for _ in range(n)]


def test_use_is_found_and_confounds_are_not():
    assert sum(found("use", 80, 3, auroc=0.9)) >= 2
    assert sum(found("difficulty", 80, 3, reliability=0.0)) <= 1
    assert sum(found("conflict", 80, 3)) <= 1
    assert sum(found("noise", 60, 3)) <= 1


@pytest.mark.slow
def test_every_figure_is_what_it_has_to_be():
    for name, figure in figures(60, 200, 3, lambda _: None).items():
        assert figure.holds, (name, figure)


def test_a_figure_outside_its_bounds_is_said_to_be():
    assert Figure(0.05, 200, 0.0, 0.05).holds
    assert not Figure(0.2, 200, 0.0, 0.05).holds
    assert not Figure(0.82, 500, 0.92, 0.98).holds


def test_an_interval_near_one_has_width_and_few_groups_have_none():
    labels = np.arange(40) % 2 == 0
    sure = AurocEstimate(1.0, np.zeros(40))
    low, high = sure.interval(np.arange(40), labels)
    assert 0.7 < low < 1.0 == high
    assert sure.interval(np.arange(40) // 10, labels) is None
    assert AurocEstimate(float("nan"), np.zeros(40)).interval(np.arange(40), labels) is None


def test_a_probe_of_noise_is_unstable_and_one_of_a_plain_signal_is_not():
    rng = np.random.default_rng(0)
    labels = rng.random(200) < 0.5
    contrast = Contrast(labels, tuple(map(str, range(200))), ("s",) * 200)
    search = Search((0.03,), 5, 3, repeats=3)
    x = rng.normal(size=(200, 10))
    noise = nested_cv({"x": x}, contrast, search, 0).estimate(contrast)
    plain = nested_cv({"x": x + 2 * np.outer(labels, np.eye(10)[0])}, contrast, search, 0).estimate(contrast)
    assert noise.instability > 0.5
    assert plain.instability < 0.3
    same = np.tile(rng.normal(size=200), (2, 1))
    assert instability(same, np.tile(np.arange(200) % 5, (2, 1)), labels, ("s",) * 200) < 0.2


def false_positives(n):
    """How often noise that a question's rows share is significant, where a question has rows in several strata."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(n):
        question = np.repeat(np.arange(50), 4)
        strata = np.concatenate([rng.choice(list("abcdef"), 4, replace=False) for _ in range(50)])
        labels = (rng.random(50)[question] < 0.5) ^ (rng.random(200) < 0.1)
        labels = np.where(rng.random(50)[question] < 0.5, labels, ~labels)
        x = rng.normal(size=(50, 6))[question] + 0.3 * rng.normal(size=(200, 6))
        contrast = Contrast(labels, tuple(map(str, question)), tuple(strata))
        search = Search((0.1,), 3, 2, permutations=19)
        null = nested_cv({"x": x}, contrast, search, int(rng.integers(2**31))).null
        hits += null.p_value <= 0.05
    return hits / n


def test_whole_questions_are_permuted_together():
    rng = np.random.default_rng(2)
    question = np.repeat(np.arange(40), 3)
    strata = np.tile(list("abc"), 40)
    labels = rng.random(40)[question] < 0.5
    drawn = permuted_labels(Contrast(labels, tuple(map(str, question)), tuple(strata)), 20, rng)
    by_question = drawn.reshape(40, 3, 20)
    assert (by_question == by_question[:, :1]).all()
    assert (drawn != labels[:, None]).any()


def test_the_null_keeps_its_level_where_a_questions_rows_hang_together():
    assert false_positives(30) <= 0.2


@pytest.mark.slow
def test_the_null_keeps_its_level_over_many_experiments():
    assert false_positives(300) <= 0.09


def test_the_command_prints_its_figures(monkeypatch, capsys):
    monkeypatch.setattr(
        "experiments.benchmarks.validity.figures", lambda *_: {"coverage_050": Figure(0.95, 9, 0.92, 0.98)}
    )
    assert main(["--json"]) == 0
    assert '"coverage_050": 0.95' in capsys.readouterr().out


def test_intervals_of_a_trained_probe_cover_its_truth():
    assert coverage(0.5, 15, 0, n_rows=100, d=6, n_cells=2) >= 0.8
