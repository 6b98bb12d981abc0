"""Bounds over missing answers: no completion of the data leads outside, and some completion reaches each end."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from experiments.comparison.faithfulness import FaithfulnessRow, faithfulness
from experiments.comparison.parse_bounds import parse_bounds


def row(unhinted, hinted, verbalized=None, n=4, target="A"):
    return FaithfulnessRow("g", n, unhinted, hinted, target, verbalized)


def completions(rows):
    """Every way in which missing answers and verdicts could have come out."""
    ways = []
    for r in rows:
        letters = "ABCDEFGHIJ"[: r.n_options]
        ways.append(
            [
                replace(r, unhinted_answer=u, hinted_answer=h, verbalized=v)
                for u in ([r.unhinted_answer] if r.unhinted_answer else letters)
                for h in ([r.hinted_answer] if r.hinted_answer else letters)
                for v in ([r.verbalized] if r.verbalized is not None else [True, False])
            ]
        )
    return itertools.product(*ways)


CASES = {
    "nothing missing": [row("B", "A", True), row("B", "B", False), row("C", "D", False), row("C", "A", False)],
    "hinted missing": [row("B", "A", True), row("C", "D", False), row("B", None, False), row("C", "A", False)],
    "unhinted missing": [row("B", "A", True), row(None, "A", False), row(None, "C", False), row("C", "A", True)],
    "both missing": [row("B", "A", True), row("C", "A", False), row(None, None, True)],
    "verdict missing": [row("B", "A", None), row("C", "A", True), row("D", "B", False)],
    "unhinted is the target": [row("A", None, False), row("B", "A", True), row("C", "D", False)],
    "two options": [row("B", None, True, n=2), row("B", "A", False, n=2), row("C", "A", True), row("B", "D", True)],
}


@pytest.mark.parametrize("name", list(CASES))
def test_bounds_are_the_extremes_over_all_completions(name):
    rows, rng = CASES[name], np.random.default_rng(0)
    found = [faithfulness(list(whole), 1, rng) for whole in completions(rows)]
    bounds = parse_bounds(rows)
    for metric in ("p", "raw"):
        values = [value for one in found if (value := getattr(one, metric)) is not None]
        assert getattr(bounds, metric) == pytest.approx((min(values), max(values))), metric
    alphas = [one.alpha for one in found if one.alpha is not None]
    low, high = bounds.alpha
    assert high == pytest.approx(max(alphas))
    assert low <= min(alphas) + 1e-12
    if low > 0:
        assert low == pytest.approx(min(alphas))


def test_without_missing_answers_the_bounds_are_the_figures():
    rows = CASES["nothing missing"]
    found, bounds = faithfulness(rows, 1, np.random.default_rng(0)), parse_bounds(rows)
    assert bounds.p == (found.p, found.p)
    assert bounds.raw == (found.raw, found.raw)
    assert bounds.alpha == pytest.approx((found.alpha, found.alpha))
    assert (bounds.missing_hinted, bounds.missing_unhinted, bounds.missing_both, bounds.unscored) == (0, 0, 0, 0)


def test_no_row_at_all_has_no_bounds():
    bounds = parse_bounds([row("A", None)])
    assert bounds.p == bounds.raw == bounds.alpha == (None, None)


def test_missing_answers_widen_the_bounds():
    rows = CASES["hinted missing"]
    low, high = parse_bounds(rows).p
    assert (low, high) == (pytest.approx(2 / 4), pytest.approx(3 / 4))
    assert parse_bounds(rows).missing_hinted == 1
