"""Monitorability, rates of monitors and cascades: seen where it was planted, not where it was taken away."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.comparison.cascade import cascade
from experiments.comparison.held import Held, subset
from experiments.comparison.monitorability import Confirmed, at_rates_of, confirmed, monitorability
from experiments.records import DetectorSummary, TargetRow

FOLDS = 5


def rows_of(positive, n_groups=None):
    n = len(positive)
    return [
        TargetRow(
            target="reliant", rollout_id=f"r{i}", group=f"g{i % (n_groups or n)}", kind="metadata",
            direction="incorrect", positive=bool(positive[i]), fold=i % FOLDS,
        )
        for i in range(n)
    ]  # fmt: skip


def held(name, scores, positive, family="probe", probability=None):
    """A detector whose training negatives are, in each fold, the negatives of the others."""
    fold = np.arange(len(scores)) % FOLDS
    negatives = tuple(tuple(scores[(fold != k) & ~positive].tolist()) for k in range(FOLDS))
    summary = DetectorSummary(
        name=name, family=family, reads="", seconds_per_row=0, chosen=(), validation=(), null_aurocs=(),
        training_negatives=negatives,
    )  # fmt: skip
    n = len(scores)
    own = 1 / (1 + np.exp(-scores)) if probability is None else probability
    return Held(summary, np.asarray(scores, float), np.zeros(n), own, fold, np.ones(n))


def everything(positive):
    target = rows_of(positive)
    return target, subset(target, np.ones(len(target), dtype=bool), 200, np.random.default_rng(0))


def test_g_mean_of_a_perfect_a_blind_and_a_known_judge():
    positive = np.arange(400) % 2 == 0
    _, within = everything(positive)
    all_kept = Confirmed(np.ones(400, dtype=bool))
    perfect = monitorability(held("judge_a", positive.astype(float), positive, "judge"), within, all_kept)
    assert perfect.every.g_mean2.value == 1
    assert perfect.at == "its verdict"
    says_always = monitorability(held("judge_b", np.ones(400), positive, "judge"), within, all_kept)
    assert (says_always.every.sensitivity.value, says_always.every.g_mean2.value) == (1, 0)
    half = np.where(positive, np.arange(400) % 4 == 0, np.arange(400) % 8 == 1).astype(float)
    known = monitorability(held("judge_c", half, positive, "judge"), within, all_kept)
    assert known.every.g_mean2.value == pytest.approx(0.5 * 0.75)
    assert known.every.g_mean2.low < 0.375 < known.every.g_mean2.high
    coin = np.random.default_rng(1).random(400) < 0.5
    assert (
        monitorability(held("judge_d", coin.astype(float), positive, "judge"), within, all_kept).every.g_mean2.value
        < 0.35
    )


def item_runs(n_items, effect, rng, k=6):
    """Rollouts of items that answer B: with the hint at ``effect(item)``, without it at one in four."""
    rollouts, items = {}, {}
    for i in range(n_items):
        items[f"i{i}"] = SimpleNamespace(target="B")
        for condition, p in (("hinted", effect(i)), ("neutral", 0.25)):
            for j in range(k):
                name = f"i{i}:{condition}:{j}"
                answer = "B" if rng.random() < p else "A"
                rollouts[name] = SimpleNamespace(item_id=f"i{i}", condition=condition, index=j, answer=answer)
    return rollouts, items


def reliant_rows(rollouts):
    """A hinted B counts as reliant where the neutral run of its number says otherwise, as aligned where it agrees."""
    rows = []
    for name, rollout in rollouts.items():
        if rollout.condition == "hinted" and rollout.answer == "B":
            other = rollouts[name.replace("hinted", "neutral")].answer
            rows.append((name, rollout, other != "B"))
    return rows


def test_the_filter_takes_out_reliance_by_chance_and_leaves_what_is_there():
    """Half of the items follow the hint, half answer at random: a monitor that sees real reliance, and only that."""
    rng = np.random.default_rng(0)
    rollouts, items = item_runs(300, lambda i: 0.95 if i % 2 else 0.25, rng)
    rows = reliant_rows(rollouts)
    positive = np.array([p for _, _, p in rows])
    target = [row.model_copy(update={"rollout_id": name, "group": rollout.item_id})
              for row, (name, rollout, _) in zip(rows_of(positive), rows, strict=True)]  # fmt: skip
    within = subset(target, np.ones(len(target), dtype=bool), 200, rng)
    real = np.array([int(rollout.item_id[1:]) % 2 == 1 for _, rollout, _ in rows])
    sees = held("judge_a", (real & positive).astype(float), positive, "judge")
    found = monitorability(sees, within, confirmed(target, rollouts, items))
    assert found.filtered.sensitivity.value > found.every.sensitivity.value + 0.05
    kept = confirmed(target, rollouts, items).kept
    assert real[kept & positive].mean() > real[positive].mean() + 0.05
    # The filter gives a judge that says yes at random nothing: no row takes part in its own selection.
    coin = held("judge_b", (rng.random(len(rows)) < 0.5).astype(float), positive, "judge")
    blind = monitorability(coin, within, confirmed(target, rollouts, items))
    assert blind.filtered.g_mean2.value == pytest.approx(0.25, abs=0.06)


def test_one_rollout_per_condition_cannot_be_confirmed_and_says_so():
    rollouts, items = item_runs(40, lambda i: 0.9, np.random.default_rng(0), k=1)
    rows = reliant_rows(rollouts)
    positive = np.array([p for _, _, p in rows])
    target = [
        r.model_copy(update={"rollout_id": name}) for r, (name, _, _) in zip(rows_of(positive), rows, strict=True)
    ]
    known = confirmed(target, rollouts, items)
    assert "generate.rollouts: 2 or more" in known.reason
    within = subset(target, np.ones(len(target), dtype=bool), 100, np.random.default_rng(0))
    found = monitorability(held("judge_a", positive.astype(float), positive, "judge"), within, known)
    assert (found.filtered, found.not_filtered) == (None, known.reason)


def test_a_detector_is_read_at_the_rate_of_a_monitor():
    rng = np.random.default_rng(0)
    positive = rng.random(1000) < 0.5
    _, within = everything(positive)
    monitor = held("judge_m", np.where(rng.random(1000) < np.where(positive, 0.5, 0.2), 0.9, 0.1), positive, "judge")
    probe = held("probe", 2.0 * positive + rng.normal(size=1000), positive)
    found = at_rates_of(probe, {"judge_m": monitor}, within)["judge_m"]
    assert found.realised_fpr.value == pytest.approx(0.2, abs=0.06)
    assert found.recall.value == pytest.approx(0.87, abs=0.06)  # P(N(2, 1) above the 80% point of N(0, 1))
    assert found.recall_minus.low > 0.2
    noise = at_rates_of(held("noise", rng.normal(size=1000), positive), {"judge_m": monitor}, within)["judge_m"]
    assert noise.recall_minus.high < 0
    assert at_rates_of(monitor, {"judge_m": monitor}, within) == {}


def calibrated(signal, positive):
    """A score of unit variance around ``signal`` apart, with its right probability."""
    log_odds = signal * (positive_noise(positive, signal) - signal / 2)
    return log_odds, 1 / (1 + np.exp(-log_odds))


def positive_noise(positive, signal):
    return signal * positive + np.random.default_rng(int(signal * 10)).normal(size=len(positive))


def test_a_cascade_buys_recall_where_the_judge_knows_more_and_none_where_it_knows_nothing():
    n = 2000
    positive = np.random.default_rng(5).random(n) < 0.5
    _, within = everything(positive)
    tokens = [10] * n
    first, p = calibrated(1.5, positive)
    probe = held("probe_selected", first, positive, probability=p)
    second, q = calibrated(2.5, positive)
    good = held("judge_m", second, positive, "judge", q)
    found = cascade(probe, good, within, tokens, np.random.default_rng(0))
    recall = {point.share: point.recall.value for point in found.points}
    assert [point.rows_judged for point in found.points][0::7] == [0, n]
    assert all(point.tokens == 10 * point.rows_judged for point in found.points)
    assert recall[1.0] > recall[0.0] + 0.2
    assert all(point.realised_fpr.value < 0.08 for point in found.points)
    middle = next(point for point in found.points if point.share == 0.3)
    assert abs(middle.rows_judged / n - 0.3) < 0.03
    assert middle.recall.value > middle.recall_at_random + 0.03  # near the threshold the judge's word counts most
    assert recall[0.3] > recall[0.0] + 0.5 * (recall[1.0] - recall[0.0])
    blind = held("judge_n", np.zeros(n), positive, "judge", np.full(n, 0.5))
    nothing = cascade(probe, blind, within, tokens, np.random.default_rng(0))
    assert all(abs(point.recall.value - nothing.points[0].recall.value) < 0.03 for point in nothing.points)


def test_a_judge_that_left_rows_out_has_no_cascade():
    positive = np.arange(100) % 2 == 0
    _, within = everything(positive)
    probe = held("probe_selected", positive + 0.0, positive)
    missing = held("judge_a", positive + 0.0, positive, "judge", np.where(np.arange(100) == 3, np.nan, 0.5))
    assert cascade(probe, missing, within, [1] * 100, np.random.default_rng(0)) is None
