"""Nested cross-validation by group: inner folds choose the cell and the strength, outer folds give the figure.

The outer folds are drawn several times over, so that the figure does not hang on one parting of the rows. In the same
solves ride control tasks, and searches with every level of a factor (a kind of hint, say) left out of training.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from activations.errors import HintprobeError
from probes.arrays import Array, Bools
from probes.cell_view import Cells, CellView
from probes.contrast import Contrast, Folds
from probes.estimators.fitting import Features, Fitter, Sequences
from probes.linear import Scaling
from probes.null import search_null
from probes.outcomes import Drawing, LeftOut, NestedResult, held_out_auroc, outcome_of
from probes.registry import ESTIMATORS
from probes.search import Problem


@dataclass(frozen=True)
class Search:
    """What is searched over, and how.

    Attributes:
        penalties: values of C.
        repeats: how often the outer folds are drawn.
        permutations: repeats of the whole search with whole groups' labels permuted within strata (`probes/null.py`).
        scaling: how features are standardised.
        estimator: what is fitted; a name in :data:`probes.registry.ESTIMATORS`.
        device: of torch's; where it computes.
    """

    penalties: tuple[float, ...]
    outer_folds: int = 5
    inner_folds: int = 4
    repeats: int = 1
    permutations: int = 0
    scaling: Scaling = "feature"
    estimator: str = "logistic"
    device: str = "cpu"

    @property
    def fitter(self) -> Fitter:
        """What fits its estimator on its device."""
        return ESTIMATORS[self.estimator].fitter.on(self.device)

    def folds(self, contrast: Contrast, seed: int) -> tuple[Folds, ...]:
        """The folds of every repeat.

        Raises:
            HintprobeError: a class has fewer groups than folds.
        """
        return tuple(
            Folds.of(contrast, self.outer_folds, self.inner_folds, seed + 101 * r) for r in range(self.repeats)
        )


@dataclass(frozen=True)
class ExtraSearches:
    """Further searches in the same solves.

    Attributes:
        control: label vectors of control tasks, ``[row, draw]``, each held out on its own labels.
        left_out: per factor, the level of each row; the search is repeated without each level.
    """

    control: Bools | None = None
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def check(self, n_rows: int) -> None:
        """Refuse searches whose levels or labels have another length than the rows.

        Raises:
            HintprobeError: the lengths differ.
        """
        lengths = {name: len(levels) for name, levels in self.left_out.items()}
        if self.control is not None:
            lengths["control"] = len(self.control)
        wrong = [name for name, length in lengths.items() if length != n_rows]
        if wrong:
            raise HintprobeError(f"{wrong[0]!r} has {lengths[wrong[0]]} entries for {n_rows} labelled rows.")


def varying_cells(cells: Cells, n_rows: int) -> tuple[CellView, tuple[Hashable, ...]]:
    """The cells that hold anything (the first one where none does), and the names of those in which nothing varies.

    Cells are read one at a time, here and in the search, so that a mapping that reads them from disk is never whole in
    memory.

    Raises:
        HintprobeError: no cell, another number of rows, or values that are not finite.
    """
    if not cells:
        raise HintprobeError("There is no cell to train on. Give at least one feature matrix.")
    kept: list[Hashable] = []
    for name, x in cells.items():
        flat = np.concatenate(x) if isinstance(x, Sequences) else x
        if flat.ndim != 2 or len(x) != n_rows or not np.isfinite(flat).all():
            raise HintprobeError(
                f"Cell {str(name)!r} has shape {flat.shape} for {n_rows} labelled rows, or values that are not finite. "
                "Every row needs finite features."
            )
        if (flat.std(0) > 1e-9 * (1 + np.abs(flat).max(0))).any():
            kept.append(name)
    constant = tuple(name for name in cells if name not in kept)
    # A constant score is a result: an AUROC of one half.
    return CellView(cells, kept or constant[:1]), constant


def nested_cv(
    cells: Cells,
    contrast: Contrast,
    search: Search,
    seed: int,
    on_cell: Callable[[], None] | None = None,
    folds: Sequence[Folds] | None = None,
    extra_searches: ExtraSearches | None = None,
) -> NestedResult:
    """Train, choose and score.

    Args:
        cells: features to choose from, by name: matrices ``[row, d]``, or :class:`Sequences`.
        on_cell: called after each cell.
        folds: outer and inner folds of every drawing, where detectors are to share them; else made from the seed.
        extra_searches: further searches, done in the first drawing of the folds.

    Raises:
        HintprobeError: too few groups of a class, or features that are not finite.
    """
    extra_searches = extra_searches or ExtraSearches()
    kept, constant = varying_cells(cells, len(contrast))
    extra_searches.check(len(contrast))
    drawings = tuple(folds) if folds is not None else search.folds(contrast, seed)
    mains = [_problems(contrast, contrast.labels, drawing) for drawing in drawings]
    without = list(_without_levels(contrast, extra_searches.left_out, mains[0]))
    vectors = extra_searches.control if extra_searches.control is not None else np.zeros((len(contrast), 0), dtype=bool)
    control = {v: _problems(contrast, vectors[:, v], drawings[0]) for v in range(vectors.shape[1])}
    control = {v: problems for v, problems in control.items() if all(p.solvable for p in problems)}
    found: list[dict[Hashable, float]] = [{} for _ in mains[0]]
    together = [*(p for main in mains for p in main), *(problem for _, problem in without)]
    for name, x in kept.items():
        of_fold = _solve(name, x, together, search)
        for k in range(len(mains[0])):
            found[k][name] = of_fold[k]
        _solve_control(name, x, control, search)
        if on_cell:
            on_cell()
    result = _assembled(mains, drawings, found, replace(_EMPTY, constant=constant))
    for (factor, level), problem in without:
        left_out = result.left_out.setdefault(factor, LeftOut(*np.full((2, len(contrast)), np.nan)))
        left_out.keep(problem, np.asarray(extra_searches.left_out[factor]) == level)
    for factor in extra_searches.left_out:
        result.left_out.setdefault(factor, LeftOut(*np.full((2, len(contrast)), np.nan)))
    pool = ESTIMATORS[search.estimator].pool
    read = kept.map(lambda x: pool(x) if pool is not None and isinstance(x, Sequences) else x)
    null = search_null(read, contrast, drawings[0], search, seed) if search.permutations else None
    return replace(result, null=null, control=_control_aurocs(control, vectors, drawings[0], contrast))


_EMPTY = NestedResult(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.intp), ())


def _solve(name: Hashable, x: Features, problems: Sequence[Problem], search: Search) -> list[float]:
    """Fit a cell for every problem of one label vector; the validation AUROC of each."""
    strengths = search.fitter.strengths(search.penalties)
    masks = np.concatenate([problem.masks() for problem in problems], axis=1)
    fits = search.fitter.fit(x, problems[0].labels[:, None], masks, strengths, search.scaling)
    firsts = np.cumsum([0, *(problem.n_inner + 1 for problem in problems)])
    return [
        problem.take_in(fits, int(first), 0, name, search.estimator, strengths)
        for problem, first in zip(problems, firsts, strict=False)
    ]


def _solve_control(name: Hashable, x: Features, control: Mapping[int, Sequence[Problem]], search: Search) -> None:
    """Fit a cell for the control tasks, all label vectors in one solve."""
    if not control:
        return
    strengths = search.fitter.strengths(search.penalties)
    first = next(iter(control.values()))
    masks = np.concatenate([problem.masks() for problem in first], axis=1)
    vectors = np.column_stack([problems[0].labels for problems in control.values()])
    fits = search.fitter.fit(x, vectors, masks, strengths, search.scaling)
    for v, problems in enumerate(control.values()):
        at = 0
        for problem in problems:
            problem.take_in(fits, at, v, name, search.estimator, strengths)
            at += problem.n_inner + 1


def _assembled(
    mains: Sequence[Sequence[Problem]],
    drawings: Sequence[Folds],
    validation: Sequence[Mapping[Hashable, float]],
    empty: NestedResult,
) -> NestedResult:
    """Scores of every drawing; outcomes of the first."""
    scores = [_held(problems) for problems in mains]
    probability = np.zeros(len(scores[0]))
    outcomes = []
    for k, problem in enumerate(mains[0]):
        outcomes.append(replace(outcome_of(problem), validation=dict(validation[k])))
        probability[problem.test] = outcomes[-1].calibration.probability(problem.best.test)
    return replace(
        empty,
        scores=scores[0],
        probability=probability,
        fold=drawings[0].outer,
        outcomes=outcomes,
        more=tuple(
            Drawing(own, drawing.outer, tuple(problem.best.auroc for problem in main))
            for own, drawing, main in zip(scores[1:], drawings[1:], mains[1:], strict=True)
        ),
        validation={name: float(np.mean([of[name] for of in validation])) for name in validation[0]},
        left_out={},
    )


def _held(problems: Sequence[Problem]) -> Array:
    held = np.full(len(problems[0].labels), np.nan)
    for problem in problems:
        held[problem.test] = problem.best.test
    return held


def _control_aurocs(
    control: Mapping[int, Sequence[Problem]], vectors: Bools, folds: Folds, contrast: Contrast
) -> Array:
    """AUROC on each control task, against its own labels."""
    return np.array(
        [held_out_auroc(_held(own), vectors[:, v], folds.outer, contrast.strata) for v, own in control.items()]
    )


def _problems(contrast: Contrast, labels: Bools, folds: Folds) -> list[Problem]:
    """One problem per outer fold."""
    found = []
    for k, inner in enumerate(folds.inner):
        train, test = np.flatnonzero(folds.outer != k), np.flatnonzero(folds.outer == k)
        found.append(Problem(labels, train, test, np.ones(len(train), dtype=bool), inner[train], contrast.strata))
    return found


def _without_levels(
    contrast: Contrast, factors: Mapping[str, Sequence[str]], mains: Sequence[Problem]
) -> Iterator[tuple[tuple[str, str], Problem]]:
    """The true labels without the rows of each level, where enough groups of both classes remain."""
    for factor, levels in factors.items():
        for level in sorted(set(levels)):
            for main in mains:
                allowed = np.array([levels[i] != level for i in main.train], dtype=bool)
                rest = contrast.take(main.train[allowed])
                enough = min(rest.groups_of(True), rest.groups_of(False)) >= main.n_inner
                problem = replace(main, allowed=allowed, best=replace(main.best))
                if enough and problem.solvable:
                    yield (factor, level), problem
