"""Train one detector by the shared protocol, or take a score that needs no training, under the same folds."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from experiments.detectors.cells import DetectorCells
from experiments.detectors.rows import Rows, one_per_prompt
from probes import (
    Contrast,
    Drawing,
    ExtraSearches,
    FoldOutcome,
    Folds,
    NestedResult,
    Platt,
    Search,
    forest_cv,
    nested_cv,
)
from probes.arrays import Array
from probes.arrays import RowIndices as Index
from probes.cell_view import CellView


@dataclass(frozen=True)
class Trained:
    """A detector's held-out scores.

    Attributes:
        contrast: the rows that it was trained on: one per prompt where it reads the prompt alone.
        index: for each row of the target, the row of the contrast that holds its score.
        learnt: its score was trained on rows of the target.
    """

    detector: DetectorCells
    result: NestedResult
    contrast: Contrast
    index: Index
    seconds: float
    learnt: bool = True

    @property
    def first(self) -> Index:
        """Of the target's rows, the first of each row of the contrast."""
        return np.unique(self.index, return_index=True)[1]

    def renamed(self, suffix: str, reads: str, result: NestedResult) -> "Trained":
        """The same detector with other scores, as a control."""
        name = self.detector.name
        detector = replace(
            self.detector, name=f"{name}_{suffix}", reads=reads, family="control", shipped=False, variant_of=name,
            rival=False,
        )  # fmt: skip
        return replace(self, detector=detector, result=result)


def train(
    detector: DetectorCells,
    rows: Rows,
    folds: Sequence[Folds],
    search: Search,
    seed: int,
    extra_searches: ExtraSearches | None = None,
    on_cell: Callable[[], None] | None = None,
) -> Trained:
    """Train, choose and hold out.

    Args:
        folds: of every drawing, shared by all detectors of a target.
        search: its permutations are run for detectors with extra_searches only.
        extra_searches: control tasks and factors to leave out, per row.
    """
    start = time.perf_counter()
    used, index = one_per_prompt(rows) if detector.per_prompt else (rows, list(range(len(rows))))
    first = np.unique(index, return_index=True)[1]
    contrast = used.contrast()
    cells = CellView(detector.cells, change=lambda x: x[first])
    drawn = [drawing.take(first) for drawing in folds]
    if detector.forest:
        (features,) = cells.values()
        result = forest_cv(np.asarray(features), contrast, drawn, seed)
    else:
        search = replace(search, scaling=detector.scaling, estimator=detector.estimator)
        if not detector.extra_searches:
            search, extra_searches = replace(search, permutations=0), None
        elif extra_searches is not None:
            left_out = {name: [levels[i] for i in first] for name, levels in extra_searches.left_out.items()}
            control = None if extra_searches.control is None else extra_searches.control[first]
            extra_searches = ExtraSearches(control, left_out)
        result = nested_cv(cells, contrast, search, seed, on_cell, drawn, extra_searches)
    seconds = detector.seconds + time.perf_counter() - start
    return Trained(detector, result, contrast, np.array(index, dtype=np.intp), seconds)


def untrained(detector: DetectorCells, scores: Array, rows: Rows, folds: Sequence[Folds], seconds: float) -> Trained:
    """A score that needs no training (a verdict, a rating), under the same folds; calibrated on training rows.

    Args:
        scores: higher means more likely positive, ``[row]``.
    """
    contrast, fold = rows.contrast(), folds[0].outer
    probability = np.zeros(len(scores))
    outcomes = []
    for k in range(int(fold.max()) + 1):
        train_rows, test = np.flatnonzero(fold != k), fold == k
        calibration = Platt.fit(scores[train_rows], contrast.labels[train_rows])
        probability[test] = calibration.probability(scores[test])
        labels = contrast.labels[train_rows]
        outcomes.append(FoldOutcome(None, train_rows, scores[train_rows], labels, calibration))
    more = tuple(Drawing(scores, drawing.outer) for drawing in folds[1:])
    result = NestedResult(scores, probability, fold, outcomes, more)
    return Trained(detector, result, contrast, np.arange(len(rows)), seconds, learnt=False)


def selected(probes: Sequence[Trained], rows: Rows, folds: Sequence[Folds]) -> Trained:
    """Per outer fold, the scores of the probe that validates best on the fold's training rows.

    Which probe is the best is thus decided without the rows that are reported: claims about "the" probe are about this
    one.
    """
    n_folds = len(probes[0].result.outcomes)
    best = [int(np.argmax([_validated(probe, k) for probe in probes])) for k in range(n_folds)]
    fold = folds[0].outer
    pick = np.array([best[k] for k in fold])
    scores, probability = (
        np.choose(pick, [getattr(probe.result, name)[probe.index] for probe in probes])
        for name in ("scores", "probability")
    )
    outcomes = [_of_all_rows(probes[best[k]], k) for k in range(n_folds)]
    more = tuple(_selected_drawing(probes, r, drawing.outer) for r, drawing in enumerate(folds[1:]))
    detector = DetectorCells(
        SELECTED, "per outer fold, the probe that validates best on its training rows", {}, "probe", shipped=False,
        sees=("prompt", "cot", "answer", "activations"),
        variant_of=",".join(dict.fromkeys(probes[i].detector.name for i in best)),
    )  # fmt: skip
    result = NestedResult(scores, probability, fold, outcomes, more)
    seconds = sum(probe.seconds for probe in probes)
    return Trained(detector, result, rows.contrast(), np.arange(len(rows)), seconds)


def _selected_drawing(probes: Sequence[Trained], r: int, fold: Index) -> Drawing:
    best = np.argmax([probe.result.more[r].best for probe in probes], axis=0)
    scores = np.choose(best[fold], [probe.result.more[r].scores[probe.index] for probe in probes])
    return Drawing(scores, fold)


SELECTED = "probe_selected"


def _validated(probe: Trained, k: int) -> float:
    return max(probe.result.outcomes[k].validation.values(), default=0.0)


def _of_all_rows(probe: Trained, k: int) -> FoldOutcome:
    """An outcome over the rows of the target, where the probe may have been trained on one row per prompt."""
    outcome = probe.result.outcomes[k]
    place = np.full(len(probe.contrast), -1)
    place[outcome.train] = np.arange(len(outcome.train))
    rows = np.flatnonzero(place[probe.index] >= 0)
    at = place[probe.index[rows]]
    return replace(outcome, train=rows, inner_scores=outcome.inner_scores[at], inner_labels=outcome.inner_labels[at])
