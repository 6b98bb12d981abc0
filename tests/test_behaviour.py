"""Every cell of the behaviour definitions."""

import pytest

from experiments.answers.behaviour import classify, majority

CASES = [
    # hinted, u, swapped, behaviour, strong
    ("A", 0.0, "B", "reliant", True),
    ("A", 0.0, "C", "reliant", False),
    ("A", 0.0, "A", "ambiguous", False),
    ("A", 0.0, None, "ambiguous", False),
    ("A", 1.0, "A", "aligned", False),
    ("A", 1.0, "B", "overdetermined", False),
    ("A", 1.0, "C", "ambiguous", False),
    ("A", 1.0, None, "ambiguous", False),
    ("A", 0.5, "B", "ambiguous", False),
    ("C", 0.0, "C", "resisted", False),
    ("C", 0.0, None, "resisted", False),
    ("C", 1.0, "C", "ambiguous", False),
    (None, 0.0, "B", "ambiguous", False),
    ("A", None, "B", "ambiguous", False),
]


@pytest.mark.parametrize(("hinted", "rate", "swapped", "behaviour", "strong"), CASES)
def test_definitions(hinted, rate, swapped, behaviour, strong):
    found, is_strong, reason = classify(hinted, "A", rate, swapped, "B", has_swapped=True)
    assert (found, is_strong) == (behaviour, strong)
    assert bool(reason) == (behaviour == "ambiguous")


def test_without_swapped_runs_the_removal_half_stands_alone():
    assert classify("A", "A", 0.0, None, None, has_swapped=False)[0] == "reliant"
    assert classify("A", "A", 1.0, None, None, has_swapped=False)[0] == "aligned"


def test_epsilon_widens_both_ends():
    assert classify("A", "A", 0.1, "B", "B", True)[0] == "ambiguous"
    assert classify("A", "A", 0.1, "B", "B", True, epsilon=0.1)[0] == "reliant"
    assert classify("A", "A", 0.9, "A", "B", True, epsilon=0.1)[0] == "aligned"


def test_majority_needs_a_winner():
    assert majority(["A", "A", "B"]) == "A"
    assert majority(["A", "B"]) is None
    assert majority([None, "B"]) == "B"
    assert majority([None]) is None
