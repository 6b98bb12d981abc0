"""The attention probe finds what stands at one position of many, and nothing where nothing stands."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from activations.errors import HintprobeError
from probes import AttentionProbe, LogisticProbe

N, D, MARK, SIGNAL = 400, 12, 0, 1


def ragged(seed=0, planted=True, longest=30):
    """Rows of 5 to ``longest`` noisy positions; one carries a mark, and the label's sign along another feature.

    Everywhere else that feature is noise, so the mean over positions drowns it.
    """
    rng = np.random.default_rng(seed)
    y = rng.random(N) < 0.5
    rows, where = [], []
    for label in y:
        row = rng.normal(size=(rng.integers(5, longest + 1), D))
        at = int(rng.integers(len(row)))
        row[at, MARK] += 8
        if planted:
            row[at, SIGNAL] = (2.0 if label else -2.0) + 0.5 * rng.normal()
        rows.append(3 * row + 1)
        where.append(at)
    return rows, y, where


def test_it_learns_where_to_look_and_what_to_read():
    rows, y, where = ragged()
    half = N // 2
    probe = AttentionProbe(C=10.0).fit(rows[:half], y[:half])
    assert roc_auc_score(y[half:], probe.decision_function(rows[half:])) > 0.97
    attention = probe.attention(rows[half:])
    assert np.mean([np.argmax(a) == at for a, at in zip(attention, where[half:], strict=True)]) > 0.9
    assert all(len(a) == len(row) for a, row in zip(attention, rows[half:], strict=True))
    np.testing.assert_allclose([a.sum() for a in attention], 1)
    assert np.argmax(np.abs(probe.direction_)) == SIGNAL
    means = np.stack([row.mean(0) for row in rows])
    pooled = LogisticProbe(C=0.1).fit(means[:half], y[:half]).decision_function(means[half:])
    assert roc_auc_score(y[half:], pooled) < 0.85


def test_it_finds_nothing_where_nothing_stands():
    rows, y, _ = ragged(planted=False)
    half = N // 2
    probe = AttentionProbe(C=0.1).fit(rows[:half], y[:half])
    assert abs(roc_auc_score(y[half:], probe.decision_function(rows[half:])) - 0.5) < 0.1


def test_a_row_of_one_position_is_a_logistic_probe_s():
    rows, y, _ = ragged(longest=5)
    x = np.stack([row[0] for row in rows])
    alone = AttentionProbe(C=0.1, max_steps=500).fit([row[None] for row in x], y).decision_function(x[:, None])
    np.testing.assert_allclose(alone, LogisticProbe(C=0.1).fit(x, y).decision_function(x), atol=1e-3)


def test_padding_and_company_change_nothing():
    rows, y, _ = ragged()
    probe = AttentionProbe(max_steps=20).fit(rows, y)
    together = probe.decision_function(rows)
    np.testing.assert_allclose(together[:5], [probe.decision_function([row])[0] for row in rows[:5]])
    order = np.random.default_rng(1).permutation(len(rows[0]))
    np.testing.assert_allclose(probe.decision_function([rows[0][order]])[0], together[0])


def test_scores_along_a_row_average_to_its_score():
    rows, y, _ = ragged()
    probe = AttentionProbe(max_steps=20).fit(rows, y)
    along, attention = probe.position_scores(rows[:3]), probe.attention(rows[:3])
    averaged = [float(a @ s) for a, s in zip(attention, along, strict=True)]
    np.testing.assert_allclose(averaged, probe.decision_function(rows[:3]))


def test_the_seed_decides_and_nothing_else():
    rows, y, _ = ragged()
    probe = AttentionProbe(max_steps=20, random_state=3)
    first = probe.fit(rows, y).decision_function(rows)
    np.testing.assert_array_equal(first, clone(probe).fit(rows, y).decision_function(rows))


def test_bad_rows_are_refused():
    rows, y, _ = ragged()
    probe = AttentionProbe(max_steps=2)
    with pytest.raises(HintprobeError, match="399 rows and 400 labels"):
        probe.fit(rows[:-1], y)
    with pytest.raises(HintprobeError, match="one or more positions"):
        probe.fit([*rows[:-1], np.zeros((0, D))], y)
    with pytest.raises(HintprobeError, match="same d"):
        probe.fit([*rows[:-1], np.zeros((2, D + 1))], y)
    with pytest.raises(HintprobeError, match="Row 399"):
        probe.fit([*rows[:-1], np.full((2, D), np.nan)], y)
    with pytest.raises(ValueError, match="1 class"):
        probe.fit(rows, np.ones(N, bool))
    with pytest.raises(HintprobeError, match=f"fitted on {D} features"):
        probe.fit(rows, y).decision_function([np.zeros((2, D + 1))])
