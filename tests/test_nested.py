"""Nested cross-validation finds what was planted, and nothing where nothing is left."""

import numpy as np
import pytest

from activations.errors import HintprobeError
from probes import (
    Contrast,
    ExtraSearches,
    Search,
    control_labels,
    cross_cell_aurocs,
    fit_for_use,
    forest_cv,
    grouped_folds,
    nested_cv,
    permute_labels,
    quantile_bins,
    residualise,
    stratified_auroc,
    threshold_at,
)
from probes import held_out_auroc as headline_of

SEARCH = Search((1e-3, 1e-2, 1e-1, 1.0), outer_folds=5, inner_folds=4)


def make(n=300, d=30, signal=0.0, n_cells=4, seed=0, strata_effect=0.0):
    """Cells of noise; the last one holds a direction of the stated strength. Two rows a group."""
    rng = np.random.default_rng(seed)
    groups = tuple(f"g{i // 2}" for i in range(n))
    strata = tuple(rng.choice(["s", "t"], n))
    base = np.where(np.array(strata) == "s", 0.5 + strata_effect, 0.5 - strata_effect)
    labels = rng.random(n) < base
    cells = {f"cell{k}": rng.normal(size=(n, d)) for k in range(n_cells)}
    direction = rng.normal(size=d) / np.sqrt(d)
    cells[f"cell{n_cells - 1}"] += signal * np.outer(labels * 2.0 - 1, direction)
    return cells, Contrast(labels, groups, strata)


def headline(result, contrast):
    return headline_of(result.scores, contrast.labels, result.fold, contrast.strata)


def test_a_planted_signal_is_found_in_its_cell():
    cells, contrast = make(signal=1.2)
    result = nested_cv(cells, contrast, SEARCH, seed=0)
    assert headline(result, contrast) > 0.85
    assert {outcome.chosen.cell for outcome in result.outcomes} == {"cell3"}
    assert max(result.validation, key=result.validation.get) == "cell3"


def test_nothing_is_found_in_noise_although_the_best_cell_looks_good():
    """The layer picked on the test split would look like a find; the nested figure does not."""
    figures, picked = [], []
    search = Search((1e-2, 1e-1), outer_folds=4, inner_folds=3)
    for seed in range(6):
        cells, contrast = make(n=160, d=15, signal=0.0, n_cells=8, seed=seed)
        figures.append(headline(nested_cv(cells, contrast, search, seed=seed), contrast))
        alone = [headline(nested_cv({n: x}, contrast, search, seed=seed), contrast) for n, x in cells.items()]
        picked.append(max(alone))
    assert abs(np.mean(figures) - 0.5) < 0.06
    assert np.mean(picked) > 0.58


def test_what_differs_between_strata_only_counts_for_nothing():
    cells, contrast = make(n=400, strata_effect=0.4)
    cells = {"stratum": np.array([[float(s == "s")] for s in contrast.strata])}
    result = nested_cv(cells, contrast, SEARCH, seed=0)
    assert headline(result, contrast) == pytest.approx(0.5)
    assert stratified_auroc(result.scores, contrast.labels, [str(k) for k in result.fold]) > 0.8


def test_groups_are_never_split():
    _, contrast = make()
    fold = grouped_folds(contrast, 5, 0)
    assert all(len({fold[i] for i in range(len(fold)) if contrast.groups[i] == g}) == 1 for g in set(contrast.groups))


def test_memorising_groups_gives_nothing_away():
    """Features that name the group predict a group's label only where groups leak across folds."""
    rng = np.random.default_rng(3)
    label_of = rng.random(100) < 0.5
    group = np.repeat(np.arange(100), 3)
    codes = rng.normal(size=(100, 300))
    contrast = Contrast(label_of[group], tuple(map(str, group)), ("s",) * 300)
    leaky = Contrast(contrast.labels, tuple(map(str, range(300))), contrast.strata)
    assert abs(headline(nested_cv({"c": codes[group]}, contrast, SEARCH, 0), contrast) - 0.5) < 0.12
    assert headline(nested_cv({"c": codes[group]}, leaky, SEARCH, 0), leaky) > 0.95


def test_permuted_labels_find_nothing_and_true_ones_do():
    cells, contrast = make(signal=1.2)
    result = nested_cv(cells, contrast, Search(SEARCH.penalties, 5, 4, permutations=9), seed=0)
    assert result.null.aurocs.shape == result.null.best_validation.shape == (9,)
    assert abs(result.null.aurocs.mean() - 0.5) < 0.07
    assert result.null.p_value == 0.1
    assert result.null.observed > result.null.aurocs.max() + 0.15
    assert result.null.observed_best > result.null.best_validation.max() + 0.05


def gate(seed, n=400, within=1.0, between=2.0):
    """Two kinds with unlike base rates; one direction says how strongly the gate is open.

    Args:
        within: how far the gate moves with the label inside a kind.
        between: how far it moves from kind to kind.
    """
    rng = np.random.default_rng(seed)
    often = rng.random(n) < 0.5
    labels = rng.random(n) < np.where(often, 0.8, 0.2)
    x = rng.normal(size=(n, 12))
    x[:, 0] += within * (labels - np.where(often, 0.8, 0.2)) + between * (often - 0.5)
    return {"gate": x}, Contrast(labels, tuple(map(str, range(n))), tuple(np.where(often, "often", "seldom")))


def nulls(**of):
    search = Search((0.1,), 3, 2, permutations=20)
    found = [nested_cv(cells, contrast, search, 0).null for cells, contrast in (gate(seed, **of) for seed in range(4))]
    return np.mean([null.aurocs for null in found]), np.mean([null.stratum_only for null in found])


def test_training_labels_permuted_within_kinds_still_carry_the_kinds_base_rates():
    """Permuted training labels on true held-out labels are no null: the base rates alone teach a gate's direction.

    It takes both: kinds that differ along the direction, and a direction that ranks rows within kinds.
    """
    exact, stratum_only = nulls(within=1.5, between=2.0)
    assert abs(exact - 0.5) < 0.03
    assert stratum_only > 0.75
    for parts in ({"within": 1.5, "between": 0.0}, {"within": 0.0, "between": 2.0}):
        exact, stratum_only = nulls(**parts)
        assert abs(exact - 0.5) < 0.03
        assert abs(stratum_only - 0.5) < 0.08


def test_the_null_holds_its_level():
    """With nothing inside a kind to find, the share of p-values under 0.2 is about 0.2."""
    search = Search((0.1,), 3, 2, permutations=9)
    below = []
    for seed in range(40):
        cells, contrast = gate(seed, n=120, within=0.0)
        result = nested_cv(cells, contrast, search, seed)
        below.append(result.null.p_value <= 0.2)
    assert 0.05 <= np.mean(below) <= 0.4


def test_the_max_statistic_knows_how_many_cells_were_tried():
    """The best of twelve cells of noise looks better than one, and the null of the best does so too."""
    cells, contrast = make(n=160, n_cells=12, seed=1)
    result = nested_cv(cells, contrast, Search((0.01,), 3, 3, permutations=15), 0)
    assert result.null.observed_best > 0.53
    assert (result.null.best_validation >= result.null.observed_best).sum() >= 2


def test_a_control_task_is_solved_by_reading_its_type_off_and_not_otherwise():
    rng = np.random.default_rng(0)
    types = rng.integers(0, 6, 300)
    labels = rng.random(300) < 0.5
    contrast = Contrast(labels, tuple(map(str, range(300))), ("s",) * 300)
    control = control_labels([str(t) for t in types], 4, rng)
    assert all(len(set(control[types == t, 0])) == 1 for t in range(6))
    readable = np.eye(6)[types] + 0.1 * rng.normal(size=(300, 6))
    search = Search((0.1,), 3, 3)
    assert nested_cv({"x": readable}, contrast, search, 0, extra_searches=ExtraSearches(control)).control.min() > 0.95
    noise = nested_cv(
        {"x": rng.normal(size=(300, 6))}, contrast, search, 0, extra_searches=ExtraSearches(control)
    ).control
    assert abs(noise.mean() - 0.5) < 0.08
    with pytest.raises(HintprobeError, match="two types"):
        control_labels(["a"] * 5, 1, rng)


def test_a_left_out_kind_is_found_by_what_kinds_share_and_not_by_what_they_do_not():
    rng = np.random.default_rng(0)
    n = 400
    kind = rng.choice(["k1", "k2"], n)
    labels = rng.random(n) < 0.5
    contrast = Contrast(labels, tuple(map(str, range(n))), tuple(kind))
    sign = labels * 2.0 - 1
    own = np.where(kind == "k1", 1.0, -1.0)  # each kind's direction is the other's opposite
    search, extra_searches = Search((0.1,), 4, 3), ExtraSearches(left_out={"kind": tuple(kind)})
    for push, low, high in ((1.0, 0.85, 1.0), (own, 0.0, 0.2)):
        x = rng.normal(size=(n, 6))
        x[:, 0] += 1.5 * sign * push
        x[:, 1] += 5 * (kind == "k1")
        x[:, 2] += 1.5 * sign * own * (0 if push is own else 0.3)
        result = nested_cv({"x": x}, contrast, search, 0, extra_searches=extra_searches)
        assert low <= headline_of(result.left_out["kind"].scores, labels, result.fold, contrast.strata) <= high


def test_a_level_that_holds_one_class_alone_leaves_no_score():
    """Without the only kind that has negatives there is nothing to train on: NaN, not a number."""
    cells, contrast = make(n=120)
    kind = np.where(contrast.labels, "a", "b")
    result = nested_cv(
        cells, contrast, Search((0.1,), 3, 3), 0, extra_searches=ExtraSearches(left_out={"kind": tuple(kind)})
    )
    assert np.isnan(result.left_out["kind"].scores).all()


def test_residualised_scores_lose_what_covariates_carry_and_keep_the_rest():
    rng = np.random.default_rng(0)
    n = 600
    margin = rng.normal(size=n)
    strata = tuple(rng.choice(["s", "t"], n))
    hidden = rng.normal(size=n)
    for cause, low, high in ((margin, 0.4, 0.6), (hidden, 0.8, 1.0)):
        labels = cause + 0.5 * rng.normal(size=n) > 0
        contrast = Contrast(labels, tuple(map(str, range(n))), strata)
        result = nested_cv({"x": np.column_stack([cause, rng.normal(size=(n, 4))])}, contrast, SEARCH, 0)
        assert headline(result, contrast) > 0.9
        rest = residualise(result, strata, np.column_stack([margin, quantile_bins(margin)]))
        assert low < headline(rest, contrast) < high


def test_from_position_to_position_only_what_is_shared_is_read():
    cells, contrast = make(signal=1.5, n_cells=2)
    cells["copy"] = cells["cell1"] + 0.1
    fold = grouped_folds(contrast, 4, 0)
    found = cross_cell_aurocs([cells] * 4, contrast, fold, [0.1] * 4)
    assert found["cell1", "copy"] > 0.85
    assert found["cell1", "copy"] == pytest.approx(found["cell1", "cell1"], abs=0.02)
    assert abs(found["cell1", "cell0"] - 0.5) < 0.12


def test_permutation_keeps_strata_and_groups():
    _, contrast = make(strata_effect=0.3)
    permuted = permute_labels(contrast, np.random.default_rng(0))
    for stratum in ("s", "t"):
        rows = [i for i, s in enumerate(contrast.strata) if s == stratum]
        assert permuted[rows].sum() == contrast.labels[rows].sum()
    assert (permuted != contrast.labels).any()


def test_thresholds_hold_their_rate_on_held_out_rows():
    cells, contrast = make(n=1200, signal=0.6, seed=5)
    result = nested_cv(cells, contrast, SEARCH, seed=0)
    over = np.zeros(len(contrast.labels), bool)
    for k, outcome in enumerate(result.outcomes):
        rows = result.fold == k
        over[rows] = result.scores[rows] > threshold_at(outcome.inner_scores[~outcome.inner_labels], 0.05)
    assert 0.02 < over[~contrast.labels].mean() < 0.09


def test_a_probe_fitted_for_use_scores_new_rows_as_it_scored_old_ones():
    cells, contrast = make(n=400, signal=1.2, seed=6)
    half = np.arange(200)
    outcome = fit_for_use({k: x[half] for k, x in cells.items()}, contrast.take(half), SEARCH, 0)
    rest = np.arange(200, 400)
    scores = outcome.chosen.score(cells[outcome.chosen.cell][rest])
    assert stratified_auroc(scores, contrast.labels[rest], ["s"] * 200) > 0.85
    threshold = threshold_at(outcome.inner_scores[~outcome.inner_labels], 0.05)
    assert (scores > threshold)[~contrast.labels[rest]].mean() < 0.12
    assert outcome.calibration.probability(scores)[contrast.labels[rest]].mean() > 0.6


def test_the_forest_sees_what_is_not_linear():
    rng = np.random.default_rng(7)
    bits = rng.integers(0, 2, (400, 6))
    labels = (bits[:, 0] ^ bits[:, 1]).astype(bool)
    contrast = Contrast(labels, tuple(map(str, range(400))), ("s",) * 400)
    forest = forest_cv(bits.astype(float), contrast, SEARCH.folds(contrast, 0), 0)
    linear = nested_cv({"bits": bits.astype(float)}, contrast, SEARCH, 0)
    assert headline(forest, contrast) > 0.95
    assert headline(linear, contrast) < 0.62


def test_bad_input_is_refused():
    cells, contrast = make()
    few = Contrast(np.arange(300) < 4, contrast.groups, contrast.strata)
    with pytest.raises(HintprobeError, match="positive class has rows of 2 groups"):
        nested_cv(cells, few, SEARCH, 0)
    broken = {**cells, "cell0": np.full((300, 3), np.nan)}
    with pytest.raises(HintprobeError, match="not finite"):
        nested_cv(broken, contrast, SEARCH, 0)
    with pytest.raises(HintprobeError, match="shape"):
        nested_cv({"short": np.zeros((3, 2))}, contrast, SEARCH, 0)
    with pytest.raises(HintprobeError, match="no cell"):
        nested_cv({}, contrast, SEARCH, 0)
    with pytest.raises(HintprobeError, match="'kind' has 2 entries"):
        nested_cv(cells, contrast, SEARCH, 0, extra_searches=ExtraSearches(left_out={"kind": ("a", "b")}))


@pytest.mark.parametrize("d", [8, 400])
def test_cells_that_are_constant_or_of_low_rank_stop_nothing_and_are_named(d):
    cells, contrast = make(n=120, d=d, signal=1.5, n_cells=1)
    few = np.random.default_rng(0).normal(size=(120, 2)) @ np.random.default_rng(1).normal(size=(2, d))
    search = Search((0.01, 0.1), 3, 3, permutations=9)
    result = nested_cv({"constant": np.ones((120, d)), "low rank": few, **cells}, contrast, search, 0)
    assert result.constant == ("constant",)
    assert {outcome.chosen.cell for outcome in result.outcomes} == {"cell0"}
    alone = nested_cv({"constant": np.ones((120, d))}, contrast, search, 0)
    assert alone.estimate(contrast).value == pytest.approx(0.5)
    assert alone.null.p_value == 1.0
