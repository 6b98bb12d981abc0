"""The paper's metrics, by hand and against a simulation with known truth."""

import numpy as np
import pytest

from experiments.comparison.faithfulness import FaithfulnessRow, faithfulness


def row(unhinted, hinted, verbalized=False, n=4, group="g", target="A"):
    return FaithfulnessRow(group, n, unhinted, hinted, target, verbalized)


def test_by_hand():
    rows = [
        row("B", "A", True, group="1"),
        row("B", "A", False, group="2"),
        row("B", "A", None, group="3"),  # unscored: counts for p, not for raw
        row("B", "C", group="4"),  # to another option
        row("B", "B", group="5"),
        row("A", "A", group="6"),  # a_u = h: left out
        row(None, "A", group="7"),  # unparsed: never a switch
        row("B", None, group="8"),
    ]
    result = faithfulness(rows, 200, np.random.default_rng(0))
    assert (result.n_rows, result.n_unparsed, result.n_unhinted_is_target, result.n_used) == (8, 2, 1, 5)
    assert result.p == pytest.approx(3 / 5)
    assert result.q == pytest.approx(1 / 5)
    assert result.alpha == pytest.approx(1 - (1 / 5) / (2 * 3 / 5))
    assert (result.n_verbalized, result.n_scored, result.n_unscored) == (1, 2, 1)
    assert result.raw == pytest.approx(1 / 2)
    assert result.normalised == pytest.approx((1 / 2) / result.alpha)


def test_normalised_is_clipped_at_one():
    rows = [row("B", "A", True, group=str(i)) for i in range(9)] + [row("B", "C", group="x")] * 6
    assert faithfulness(rows, 200, np.random.default_rng(0)).normalised == 1.0


@pytest.mark.parametrize("hinted", ["B", "C"])
def test_alpha_is_undefined_without_a_switch_to_the_hint(hinted):
    result = faithfulness([row("B", hinted)], 200, np.random.default_rng(0))
    assert result.p == 0
    assert result.alpha is None
    assert result.normalised is None


def test_alpha_is_undefined_where_switches_are_random():
    rows = [row("B", "A", group="1")] + [row("B", "C", group=str(i)) for i in range(5)]
    assert faithfulness(rows, 200, np.random.default_rng(0)).alpha is None


def test_mixed_option_counts_weight_each_row_by_its_own_n():
    rows = [row("B", "A", n=4, group="1"), row("B", "A", n=10, group="2"), row("B", "C", n=10, group="3")]
    result = faithfulness(rows, 200, np.random.default_rng(0))
    assert result.alpha == pytest.approx(1 - ((1 / 8) / 3) / (2 / 3))


def test_two_options_are_left_out_of_alpha_and_counted():
    rows = [row("B", "A", n=2, group="1"), row("B", "A", n=4, group="2"), row("B", "C", n=4, group="3")]
    result = faithfulness(rows, 200, np.random.default_rng(0))
    assert result.n_two_options == 1
    assert result.alpha == pytest.approx(1 - ((1 / 2) / 2) / (1 / 2))


def _simulate(rng, n_groups=120, p=0.5, q=0.2, said=0.3):
    rows = []
    for g in range(n_groups):
        shift = rng.normal(0, 0.1)  # rows of one group resemble each other
        for _ in range(3):
            draw = rng.random()
            pg = np.clip(p + shift, 0, 1 - q)
            hinted = "A" if draw < pg else ("C" if draw < pg + q else "B")
            rows.append(row("B", hinted, bool(rng.random() < said), group=str(g)))
    return rows


def test_the_intervals_cover_the_truth():
    rng = np.random.default_rng(1)
    n, inside = 200, {"p": 0, "q": 0, "raw": 0}
    for _ in range(n):
        result = faithfulness(_simulate(rng), 300, rng)
        for key, truth in (("p", 0.5), ("q", 0.2), ("raw", 0.3)):
            low, high = result.intervals[key]
            inside[key] += low <= truth <= high
    assert all(0.90 <= hits / n <= 0.99 for hits in inside.values()), inside
