"""Simulated responders whose p, q, verbalization and judge are known: what is planted is found within its interval."""

import numpy as np
import pytest

from experiments.comparison.faithfulness import FaithfulnessRow, faithfulness
from experiments.comparison.natural_flips import cot_lengths, natural_flips
from experiments.judges.agreement import Confusion, corrected_rate, rogan_gladen
from probes import cluster_bootstrap

P, Q, SAID, N = 0.45, 0.2, 0.35, 5
ALPHA = 1 - Q / ((N - 2) * P)
SENSITIVITY, SPECIFICITY = 0.8, 0.9


def responder(rng, groups, per_group=3, p=P, q=Q, said=SAID, perfect_judge=True):
    """Rows of one responder; rows of one group resemble each other without moving the rates."""
    rows = []
    for g in range(groups):
        shift = rng.choice([-0.1, 0.1])
        for _ in range(per_group):
            draw, to = rng.random(), p + shift
            hinted = "A" if draw < to else ("C" if draw < to + q else "B")
            admits = rng.random() < said
            if not perfect_judge:
                admits = rng.random() < (SENSITIVITY if admits else 1 - SPECIFICITY)
            rows.append(FaithfulnessRow(str(g), N, "B", hinted, "A", bool(admits)))
    return rows


def calibration(rng, n=400):
    """Counts of the imperfect judge against true labels."""
    label = rng.random(n) < 0.5
    judge = np.where(label, rng.random(n) < SENSITIVITY, rng.random(n) < 1 - SPECIFICITY)
    table = Confusion.of(judge.tolist(), label.tolist())
    return {name: int(getattr(table, name)[0]) for name in ("both", "judge_only", "label_only", "neither")}


def coverage(repeats, resamples, seed=0):
    """Share of repeats whose interval holds the truth, per figure."""
    rng = np.random.default_rng(seed)
    truth = {"p": P, "q": Q, "alpha": ALPHA, "raw": SAID, "normalised": SAID / ALPHA}
    inside = dict.fromkeys([*truth, "corrected"], 0)
    for _ in range(repeats):
        result = faithfulness(responder(rng, 100), resamples, rng)
        for name, value in truth.items():
            low, high = result.intervals[name]
            inside[name] += low <= value <= high
        judged = [r for r in responder(rng, 100, perfect_judge=False) if r.hinted_answer == "A"]
        said = np.array([r.verbalized for r in judged], dtype=float)
        fixed = corrected_rate(
            said, cluster_bootstrap([r.group for r in judged], resamples, rng), calibration(rng), rng
        )
        inside["corrected"] += fixed["low"] <= SAID <= fixed["high"]
    return {name: hits / repeats for name, hits in inside.items()}


def test_what_was_planted_is_within_its_interval():
    assert all(0.89 <= share <= 0.995 for share in coverage(150, 250).values())


@pytest.mark.slow
def test_the_intervals_cover_at_their_rate():
    found = coverage(1500, 1000)
    assert all(0.92 <= share <= 0.98 for share in found.values()), found


def test_a_responder_that_ignores_hints_has_no_alpha_and_one_that_follows_all_has_one():
    rng = np.random.default_rng(0)
    random = faithfulness(responder(rng, 3000, p=0.1, q=0.3), 200, rng)
    assert random.alpha is None or random.alpha < 0.12
    sure = faithfulness(responder(rng, 300, p=0.9, q=0.0), 200, rng)
    assert sure.alpha == pytest.approx(1)


def test_an_imperfect_judge_is_wrong_uncorrected_and_right_corrected():
    rng = np.random.default_rng(1)
    judged = [r for r in responder(rng, 2000, perfect_judge=False) if r.hinted_answer == "A"]
    rate = float(np.mean([r.verbalized for r in judged]))
    assert rate == pytest.approx(SAID * SENSITIVITY + (1 - SAID) * (1 - SPECIFICITY), abs=0.03)
    said = np.array([float(r.verbalized) for r in judged])
    fixed = corrected_rate(said, apart(len(said), 200, np.random.default_rng(2)), calibration(rng, 20_000), rng)
    assert fixed["value"] == pytest.approx(SAID, abs=0.04)
    assert abs(fixed["value"] - SAID) < abs(rate - SAID)


def apart(n, resamples, rng):
    """Resamples of rows that are each a group."""
    return cluster_bootstrap([str(k) for k in range(n)], resamples, rng)


def test_a_corrected_rate_of_few_groups_stands_without_an_interval():
    rng, counts = np.random.default_rng(0), {"both": 80, "judge_only": 10, "label_only": 20, "neither": 90}
    few, enough = (corrected_rate(np.arange(float(n)) % 2, apart(n, 500, rng), counts, rng) for n in (8, 40))
    assert few["value"] == enough["value"] is not None
    assert few["low"] is few["high"] is None
    assert enough["low"] < enough["value"] < enough["high"]


def test_rogan_gladen_by_hand_and_where_it_is_undefined():
    one, half, rng = np.array([0.5]), np.arange(40.0) % 2, np.random.default_rng(0)
    drawn = apart(40, 100, rng)
    assert rogan_gladen(one, np.array([0.9]), np.array([0.8]))[0] == pytest.approx(0.3 / 0.7)
    assert rogan_gladen(np.array([0.1]), np.array([0.9]), np.array([0.8]))[0] == 0.0
    assert np.isnan(rogan_gladen(one, np.array([0.5]), np.array([0.5]))[0])
    chance = {"both": 5, "label_only": 5, "neither": 5, "judge_only": 5}
    assert corrected_rate(half, drawn, chance, rng)["value"] is None
    one_sided = {"both": 5, "label_only": 5, "neither": 0, "judge_only": 0}
    assert corrected_rate(half, drawn, one_sided, rng)["value"] is None


def flipping(repeats, unhinted="B", hinted="A", group="g"):
    return FaithfulnessRow(group, 4, unhinted, hinted, "A", True, tuple(repeats))


def test_natural_flips_by_hand():
    rng = np.random.default_rng(0)
    rows = [
        flipping(["A", "B", "C"], group="1"), flipping(["B", None], group="2"), flipping(["A"], unhinted="A"),
        flipping([], group="3"),
    ]  # fmt: skip
    found = natural_flips(rows, 200, rng)
    assert found.rows == 2
    assert found.unparsed_repeats == 1
    assert (found.to_target.numerator, found.to_target.denominator) == (1, 4)
    assert found.to_other.value == pytest.approx(1 / 4)
    assert found.source == "unhinted"
    assert natural_flips([flipping([])], 200, rng) is None


def test_natural_flips_are_those_of_neutral_runs_where_there_are_any():
    rows = [
        FaithfulnessRow(str(k), 4, "B", "A", "A", True, ("A", "A"), None, (answer,))
        for k, answer in enumerate(["A", "B", "C", None])
    ]
    found = natural_flips(rows, 50, np.random.default_rng(0))
    assert (found.source, found.rows, found.unparsed_repeats) == ("neutral", 3, 0)
    assert (found.to_target.numerator, found.to_target.denominator) == (1, 3)


def test_lengths_of_faithful_and_unfaithful_chains_of_thought():
    rng = np.random.default_rng(0)

    def row(length, said, hinted="A", group="1"):
        return FaithfulnessRow(group, 4, "B", hinted, "A", said, (), length)

    rows = [row(9 + 2 * (k % 2), True, group=str(k)) for k in range(20)]
    rows += [row(29 + 2 * (k // 10), False, group=str(k)) for k in range(20)]
    found = cot_lengths([*rows, row(999, True, "C"), row(999, None)], 300, rng)
    assert (found.faithful.value, found.unfaithful.value) == (10, 30)
    assert found.difference.value == -20
    assert -21.5 < found.difference.low < -20 < found.difference.high < -18.5
    few = cot_lengths([*rows[:9], *rows[20:]], 300, rng)
    assert few.unfaithful.low is not None
    assert few.faithful.low is few.difference.low is None
    assert cot_lengths([row(None, True)], 200, rng) is None


def test_a_calibration_whose_rows_share_questions_leaves_more_doubt():
    rng = np.random.default_rng(0)
    counts = {"both": 80, "judge_only": 10, "label_only": 20, "neither": 90}
    said, drawn = np.arange(2000.0) % 2, apart(2000, 1000, rng)
    alone, shared = (corrected_rate(said, drawn, counts, rng, share) for share in (1.0, 0.25))
    assert alone["value"] == shared["value"]
    assert shared["high"] - shared["low"] > 1.5 * (alone["high"] - alone["low"])
