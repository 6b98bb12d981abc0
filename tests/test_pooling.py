"""Probes of whole texts: each sees what its pooling keeps, and not what it drops."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from activations.errors import HintprobeError
from probes import Contrast, ProbeCard, Search, Sequences, load_probe, nested_cv, save_probe
from probes.estimators import LastTokenProbe, MaxPoolingProbe, MeanPoolingProbe, TrajectoryProbe

D = 12
EVERYONE = {
    "mean": MeanPoolingProbe(C=0.1), "last": LastTokenProbe(C=0.1), "trajectory": TrajectoryProbe(C=0.1),
    "max": MaxPoolingProbe(C=0.1),
}  # fmt: skip


def texts(where, n=400, seed=0, strength=4.0):
    """Noise of 8 to 40 positions, and a direction put in ``where(text, sign, direction)``; the sign is the label."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=D)
    direction *= strength / np.linalg.norm(direction)
    y = rng.random(n) < 0.5
    rows = [rng.normal(size=(rng.integers(8, 41), D)) for _ in range(n)]
    for row, label in zip(rows, y, strict=True):
        where(row, 1 if label else -1, direction)
    return Sequences(rows), y


def held_out(probe, where):
    x, y = texts(where)
    half = np.arange(len(y)) < len(y) // 2
    return roc_auc_score(y[~half], probe.fit(x[half], y[half]).decision_function(x[~half]))


def throughout(row, sign, direction):
    row += sign * direction / 4


def at_the_end(row, sign, direction):
    row[-1] += sign * direction / 2


def comes_and_goes(row, sign, direction):
    """First one way, then the other, and back at the end: mean and last position hold nothing."""
    quarter = len(row) // 4
    row[quarter : 2 * quarter] += sign * direction / 2
    row[2 * quarter : 3 * quarter] -= sign * direction / 2


def nowhere(row, sign, direction):
    pass


@pytest.mark.parametrize(
    ("where", "see", "blind"),
    [
        (throughout, ("mean", "trajectory"), ()),
        (at_the_end, ("last",), ("mean",)),
        (comes_and_goes, ("trajectory",), ("mean", "last")),
        (nowhere, (), tuple(EVERYONE)),
    ],
)
def test_each_pooling_sees_what_it_keeps(where, see, blind):
    for name in see:
        assert held_out(EVERYONE[name], where) > 0.9, name
    for name in blind:
        assert held_out(EVERYONE[name], where) < (0.8 if where is at_the_end else 0.62), name


def test_the_search_and_its_null_read_the_same_pooling():
    """A trajectory is found by the trajectory probe and against its own null; the mean's search finds nothing."""
    x, y = texts(comes_and_goes, n=160)
    contrast = Contrast(y, tuple(f"q{k // 2}" for k in range(160)), ("one",) * 160)
    p = {}
    for estimator in ("trajectory", "mean_pooling"):
        search = Search((0.01, 0.1), 4, 3, permutations=39, estimator=estimator)
        p[estimator] = nested_cv({"cell": x}, contrast, search, 0).null.p_value
    assert p["trajectory"] == 1 / 40
    assert p["mean_pooling"] > 0.1


@pytest.mark.parametrize("probe", [MeanPoolingProbe(), LastTokenProbe(), TrajectoryProbe()], ids=str)
def test_a_saved_one_scores_the_same_and_knows_its_width(probe, tmp_path):
    x, y = texts(throughout, n=60)
    probe.fit(x, y)
    save_probe(tmp_path / "p", probe, ProbeCard(model="m", site="resid_post.1", position="cot_tokens"))
    again = load_probe(tmp_path / "p").probe
    assert again.n_features_in_ == D
    np.testing.assert_array_equal(again.decision_function(x), probe.decision_function(x))
    with pytest.raises(HintprobeError, match="at least one position"):
        probe.decision_function([np.zeros((0, D))])


def test_a_text_shorter_than_its_quarters_is_scored():
    x, y = texts(throughout, n=60)
    probe = TrajectoryProbe().fit(x, y)
    assert np.isfinite(probe.decision_function([x[0][:k] for k in (1, 2, 3)])).all()
