"""Nested cross-validation by group: inner folds choose the cell and the penalty, outer folds give the figure.

The whole search is repeated, in the same solves, for labels permuted within strata, for control tasks, and with every
level of a factor (a kind of hint, say) left out of training.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from activations.errors import HintprobeError
from probes.arrays import Array, Bools
from probes.auroc import stratified_auroc
from probes.calibration import Platt
from probes.contrast import Contrast, Folds, fold_strata, permuted_labels
from probes.linear import LinearScore, Scaling
from probes.search import Problem, solve_cell


@dataclass(frozen=True)
class Search:
    """What is searched over, and how.

    Attributes:
        penalties: values of C.
        permutations: repeats of the whole search with the labels of all rows permuted within strata.
        scaling: how features are standardised.
    """

    penalties: tuple[float, ...]
    outer_folds: int = 5
    inner_folds: int = 4
    permutations: int = 0
    scaling: Scaling = "feature"


@dataclass(frozen=True)
class FoldOutcome:
    """What one outer fold gave.

    Attributes:
        probe: the choice of the inner folds, refitted on all training rows.
        train: the training rows.
        inner_scores, inner_labels: out-of-fold scores of the training rows under that choice; thresholds and
            calibration come from these.
        calibration: fitted on the same.
    """

    probe: LinearScore
    train: NDArray[np.intp]
    inner_scores: Array
    inner_labels: Bools
    calibration: Platt


@dataclass(frozen=True)
class Null:
    """The search repeated on labels that hold nothing.

    Attributes:
        aurocs: per draw, the headline of a search whose labels were permuted within strata in training *and* held-out
            rows. Under independence of features and labels within strata this is what the headline could have been.
        stratum_only: per draw, the same searches' AUROC on the *true* held-out labels. It may exceed one half: permuted
            training labels keep each stratum's base rate, and a direction that tells strata apart by base rate can rank
            rows within a stratum too.
        best_validation: per draw, the highest validation AUROC over all cells (max statistic).
    """

    aurocs: Array
    stratum_only: Array
    best_validation: Array


@dataclass(frozen=True)
class LeftOut:
    """Held-out scores of each row by a search that saw no row of its level; NaN where too little was left to train on.

    Attributes:
        probability: the scores calibrated on the rows that the search saw.
    """

    scores: Array
    probability: Array

    def keep(self, problem: Problem, test: NDArray[np.intp], of_level: Bools) -> None:
        """Take in what a search says of the held-out rows of the level that it did not see."""
        best, seen = problem.best, problem.allowed
        calibration = Platt.fit(best.inner[seen], problem.labels[seen])
        self.scores[test[of_level]] = best.test[of_level]
        self.probability[test[of_level]] = calibration.probability(best.test[of_level])


@dataclass
class NestedResult:
    """Held-out scores of every row, and how they came about.

    Attributes:
        scores: held-out score per row; comparable within a fold only.
        probability: the same, calibrated on training folds.
        fold: outer fold per row.
        validation: per cell, best inner AUROC over penalties, averaged over outer folds. It shows where the signal
            is, and is never the reported figure.
        control: per draw, the headline of the search on a control task.
        left_out: per factor, what a search without the row's level gives.
    """

    scores: Array
    probability: Array
    fold: NDArray[np.intp]
    outcomes: list[FoldOutcome]
    validation: dict[str, float] = field(default_factory=dict)
    null: Null | None = None
    control: Array = field(default_factory=lambda: np.zeros(0))
    left_out: dict[str, LeftOut] = field(default_factory=dict)


@dataclass(frozen=True)
class Riders:
    """Further searches in the same solves.

    Attributes:
        control: label vectors of control tasks, ``[row, draw]``, each held out on its own labels.
        left_out: per factor, the level of each row; the search is repeated without each level.
    """

    control: Bools | None = None
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def check(self, n_rows: int) -> None:
        """Refuse riders of another length than the rows.

        Raises:
            HintprobeError: the lengths differ.
        """
        lengths = {name: len(levels) for name, levels in self.left_out.items()}
        if self.control is not None:
            lengths["control"] = len(self.control)
        wrong = [name for name, length in lengths.items() if length != n_rows]
        if wrong:
            raise HintprobeError(f"{wrong[0]!r} has {lengths[wrong[0]]} entries for {n_rows} labelled rows.")


def headline(scores: Array, labels: Bools, fold: NDArray[np.intp], strata: Sequence[str]) -> float:
    """AUROC over pairs of one outer fold and one stratum, each fold and stratum weighted by its pairs.

    Rows without a score (NaN) are left out. NaN where no fold holds both classes in a stratum.
    """
    known = np.flatnonzero(np.isfinite(scores))
    within = fold_strata(fold, strata)
    return stratified_auroc(scores[known], labels[known], [within[i] for i in known])


def check_cells(cells: Mapping[str, Array], n_rows: int) -> None:
    """Refuse features that do not match the rows.

    Raises:
        HintprobeError: no cell, another number of rows, or values that are not finite.
    """
    if not cells:
        raise HintprobeError("There is no cell to train on. Give at least one feature matrix.")
    for name, x in cells.items():
        if x.ndim != 2 or x.shape[0] != n_rows or not np.isfinite(x).all():
            raise HintprobeError(
                f"Cell {name!r} has shape {x.shape} for {n_rows} labelled rows, or values that are not finite. Every "
                "row needs finite features."
            )


def nested_cv(
    cells: Mapping[str, Array],
    contrast: Contrast,
    search: Search,
    seed: int,
    on_cell: Callable[[], None] | None = None,
    folds: Folds | None = None,
    riders: Riders | None = None,
) -> NestedResult:
    """Train, choose and score.

    Args:
        cells: feature matrices ``[row, d]`` to choose from, by name.
        on_cell: called after each cell of each outer fold.
        folds: outer and inner folds, where detectors are to share them; made from the seed otherwise.
        riders: searches that ride along.

    Raises:
        HintprobeError: too few groups of a class, or features that are not finite.
    """
    riders = riders or Riders()
    check_cells(cells, len(contrast))
    riders.check(len(contrast))
    if folds is None:
        folds = Folds.of(contrast, search.outer_folds, search.inner_folds, seed)
    fold = folds.outer
    vectors = _label_vectors(contrast, search.permutations, riders.control, np.random.default_rng(seed))
    n_folds = int(fold.max()) + 1
    held = np.full(vectors.shape, np.nan)
    validation = np.full((n_folds, len(cells), vectors.shape[1]), 0.5)
    probability = np.zeros(len(fold))
    left_out = {name: LeftOut(np.full(len(fold), np.nan), np.full(len(fold), np.nan)) for name in riders.left_out}
    outcomes = []
    for k in range(n_folds):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        problems = _problems(contrast, vectors, train, folds.inner[k][train])
        solvable = [v for v, problem in enumerate(problems) if problem.solvable]
        without = _without_levels(contrast, riders.left_out, train, problems[0], search)
        full, partly = [problems[v] for v in solvable], list(without.values())
        for c, (name, x) in enumerate(cells.items()):
            validation[k, c, solvable] = solve_cell(name, x[train], x[test], full, partly, search)
            if on_cell:
                on_cell()
        for v in solvable:
            held[test, v] = problems[v].best.test
        for (factor, level), problem in without.items():
            left_out[factor].keep(problem, test, np.asarray(riders.left_out[factor])[test] == level)
        outcomes.append(outcome_of(problems[0], train))
        probability[test] = outcomes[-1].calibration.probability(held[test, 0])
    null, control = _permuted_and_control(held, vectors, validation.mean(0), contrast, fold, search.permutations)
    return NestedResult(
        held[:, 0],
        probability,
        fold,
        outcomes,
        validation=dict(zip(cells, validation.mean(0)[:, 0].tolist(), strict=True)),
        null=null,
        control=control,
        left_out=left_out,
    )


def _label_vectors(contrast: Contrast, permutations: int, control: Bools | None, rng: np.random.Generator) -> Bools:
    """True labels, then permuted ones, then those of the control task; ``[row, vector]``."""
    riding = np.zeros((len(contrast), 0), dtype=bool) if control is None else control
    vectors: Bools = np.column_stack([contrast.labels, permuted_labels(contrast, permutations, rng), riding])
    return vectors


def _permuted_and_control(
    held: Array, vectors: Bools, validation: Array, contrast: Contrast, fold: NDArray[np.intp], n: int
) -> tuple[Null | None, Array]:
    """What the searches on ``n`` permuted label vectors found, and the headlines of those on the control task."""
    own = np.array([headline(held[:, v], vectors[:, v], fold, contrast.strata) for v in range(vectors.shape[1])])
    if not n:
        return None, own[1:]
    on_true = [headline(scores, contrast.labels, fold, contrast.strata) for scores in held[:, 1 : n + 1].T]
    return Null(own[1 : n + 1], np.array(on_true), validation[:, 1 : n + 1].max(0)), own[n + 1 :]


def _problems(contrast: Contrast, vectors: Bools, train: NDArray[np.intp], inner: NDArray[np.intp]) -> list[Problem]:
    """One problem per label vector, all with the inner folds of the true labels."""
    inside = contrast.take(train)
    everyone = np.ones(len(train), dtype=bool)
    return [Problem(vectors[train, v], everyone, inner, inside.strata) for v in range(vectors.shape[1])]


def _without_levels(
    contrast: Contrast,
    factors: Mapping[str, Sequence[str]],
    train: NDArray[np.intp],
    main: Problem,
    search: Search,
) -> dict[tuple[str, str], Problem]:
    """The true labels without the rows of each level, where enough groups of both classes remain."""
    found = {}
    for factor, levels in factors.items():
        for level in sorted(set(levels)):
            allowed = np.array([levels[i] != level for i in train], dtype=bool)
            rest = contrast.take(train[allowed])
            enough = min(rest.groups_of(True), rest.groups_of(False)) >= search.inner_folds
            problem = Problem(main.labels, allowed, main.inner, main.strata)
            if enough and problem.solvable:
                found[factor, level] = problem
    return found


def outcome_of(problem: Problem, train: NDArray[np.intp]) -> FoldOutcome:
    """What the search of a fold chose, ready to score other rows."""
    best = problem.best
    return FoldOutcome(best.probe(), train, best.inner, problem.labels, Platt.fit(best.inner, problem.labels))
