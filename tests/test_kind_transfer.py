"""Probes trained on one kind of hint alone: a shared direction carries over, one of each kind's own does not."""

import numpy as np
import pytest

from activations.errors import HintprobeError
from experiments.comparison.held import subset
from experiments.comparison.kind_transfer import kind_matrix, kind_scores
from experiments.detectors.cells import DetectorCells
from experiments.detectors.training import Trained
from experiments.records import TargetRow
from probes import Chosen, Contrast, LogisticProbe, Search, nested_cv, scores_by_level

KINDS = ("consistency", "metadata", "sycophancy")
N, D = 900, 12
SIGNAL, X = Chosen("signal@here", "logistic", 1.0, LogisticProbe()), Chosen("x", "logistic", 1.0, LogisticProbe())


def simulate(shared: float = 0.0, own: float = 0.0, seed: int = 0, few: int | None = None):
    """Rows of three kinds whose labels lie along one direction of all kinds, and along one of each kind's own.

    Args:
        few: positives that the first kind keeps.
    """
    rng = np.random.default_rng(seed)
    kind = rng.integers(len(KINDS), size=N)
    positive = rng.random(N) < 0.5
    if few is not None:
        positive[np.flatnonzero((kind == 0) & positive)[few:]] = False
    x = rng.normal(size=(N, D))
    sign = np.where(positive, 1.0, -1.0)
    x[:, 0] += shared * sign
    x[np.arange(N), 1 + kind] += own * sign
    x[:, 6] += 3 * kind  # a kind's offset, which no comparison within kinds may profit from
    direction = rng.choice(["correct", "incorrect"], N)
    kinds = [KINDS[k] for k in kind]
    groups = [f"g{i // 2}" for i in range(N)]
    strata = tuple(f"{k} {d}" for k, d in zip(kinds, direction, strict=True))
    contrast = Contrast(positive, tuple(groups), strata)
    cells = {"noise@here": rng.normal(size=(N, D)), "signal@here": x}
    result = nested_cv(cells, contrast, Search((0.1, 1.0), 3, 2), seed=0)
    detector = DetectorCells("probe", "activations", cells, family="probe")
    trained = Trained(detector, result, contrast, np.arange(N), 0.0)
    target = [
        TargetRow(target="reliant", rollout_id=f"r{i}", group=groups[i], kind=kinds[i], direction=str(direction[i]),
                  positive=bool(positive[i]), fold=int(result.fold[i]))
        for i in range(N)
    ]  # fmt: skip
    return trained, target


def matrix(trained, target, min_per_class=10, min_groups=5):
    records = kind_scores(trained, [row.rollout_id for row in target], [row.kind for row in target], min_per_class)
    within = subset(target, np.ones(N, dtype=bool), 200, np.random.default_rng(1))
    found = kind_matrix(records, target, within, min_per_class, min_groups)
    assert {cell.detector for cell in found} == {"probe"}
    return {(cell.trained_on, cell.read_on): cell for cell in found}


def test_a_shared_direction_carries_over_and_a_kinds_own_does_not():
    together, apart, nothing = (matrix(*simulate(**signal)) for signal in ({"shared": 1.5}, {"own": 1.5}, {}))
    for cells in (together, apart, nothing):
        assert set(cells) == {(a, b) for a in KINDS for b in KINDS}
        assert all(cell.refused is None for cell in cells.values())
        assert all(c.auroc.low <= c.auroc.value <= c.auroc.high for c in cells.values())
    for (trained_on, read_on), cell in together.items():
        assert cell.auroc.low > 0.85, (trained_on, read_on)
    for (trained_on, read_on), cell in apart.items():
        value = cell.auroc.value
        assert value > 0.9 if trained_on == read_on else abs(value - 0.5) < 0.12, (trained_on, read_on)
    assert all(abs(cell.auroc.value - 0.5) < 0.12 for cell in nothing.values())


def test_the_matrix_is_not_symmetric_where_one_kind_holds_both_directions():
    """What is trained on a row reads its column, not the other way round."""
    trained, target = simulate(own=1.5)
    x, sign = trained.detector.cells["signal@here"], np.where(trained.contrast.labels, 1.0, -1.0)
    first = np.array([row.kind == KINDS[0] for row in target])
    x[first, 2] += 3.0 * sign[first]  # the first kind also has, much more strongly, the second kind's direction
    cells = matrix(trained, target)
    there, back = cells[KINDS[1], KINDS[0]].auroc.value, cells[KINDS[0], KINDS[1]].auroc.value
    assert there > back + 0.02
    assert there > 0.95


def test_every_row_is_held_out_by_group():
    """Twins that a group keeps together would be recognised by a probe that had trained on one of them."""
    trained, target = simulate()
    contrast, fold = trained.contrast, trained.result.fold
    rng = np.random.default_rng(2)
    labels = np.repeat(rng.random(N // 2) < 0.5, 2)
    twins = np.repeat(rng.normal(size=(N // 2, 400)), 2, axis=0)
    kinds = [row.kind for row in target]
    grouped = Contrast(labels, contrast.groups, contrast.strata)
    held = scores_by_level({"x": twins}, grouped, kinds, fold, [X] * 3)
    alone = np.arange(N) % 3  # folds that part the twins
    leaked = scores_by_level({"x": twins}, grouped, kinds, alone, [X] * 3)

    def auroc(found):
        return np.mean([np.mean(found[k][labels][:, None] > found[k][~labels][None, :]) for k in KINDS])

    assert abs(auroc(held) - 0.5) < 0.06 < auroc(leaked) - 0.5


def test_cells_with_too_few_rows_are_refused_by_name():
    cells = matrix(*simulate(shared=1.5, few=4))
    few = KINDS[0]
    for kind in KINDS:
        assert cells[few, kind].auroc is None
        assert "probe.min_per_class" in cells[few, kind].refused
        if kind != few:
            assert cells[kind, few].auroc is None
            assert "compare.min_groups" in cells[kind, few].refused
            assert cells[kind, kind].auroc.value > 0.85
    enough = matrix(*simulate(shared=1.5, few=4), min_per_class=2, min_groups=2)
    assert enough[KINDS[1], few].auroc.value > 0.8


def test_features_that_are_not_finite_are_refused():
    trained, target = simulate()
    trained.detector.cells["signal@here"][0, 0] = np.nan
    with pytest.raises(HintprobeError, match="not finite"):
        scores_by_level(
            trained.detector.cells, trained.contrast, [row.kind for row in target], trained.result.fold,
            [SIGNAL] * 3,
        )  # fmt: skip
