"""Train one detector by the shared protocol, and turn what came out into records."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from experiments.detectors.cells import DetectorCells
from experiments.detectors.rows import Rows, one_per_prompt
from experiments.records import DetectorSummary, ScoreRow
from probes import Contrast, Folds, LinearScore, NestedResult, Platt, Riders, Search, forest_cv, nested_cv
from probes.arrays import Array
from probes.nested import FoldOutcome


@dataclass(frozen=True)
class Trained:
    """A detector's held-out scores.

    Attributes:
        contrast: the rows that it was trained on: one per prompt where it reads the prompt alone.
        index: for each row of the target, the row of the contrast that holds its score.
    """

    detector: DetectorCells
    result: NestedResult
    contrast: Contrast
    index: NDArray[np.intp]
    seconds: float

    def renamed(self, suffix: str, reads: str, result: NestedResult) -> "Trained":
        """The same detector with other scores, as a control."""
        detector = replace(
            self.detector, name=f"{self.detector.name}_{suffix}", reads=reads, family="control", shipped=False
        )
        return replace(self, detector=detector, result=result)


def train(
    detector: DetectorCells,
    rows: Rows,
    folds: Folds,
    search: Search,
    seed: int,
    riders: Riders | None = None,
    on_cell: Callable[[], None] | None = None,
) -> Trained:
    """Train, choose and hold out.

    Args:
        folds: shared by all detectors of a target.
        search: its permutations are run for detectors with riders only.
        riders: control tasks and factors to leave out, per row.
    """
    start = time.perf_counter()
    used, index = one_per_prompt(rows) if detector.per_prompt else (rows, list(range(len(rows))))
    first = np.unique(index, return_index=True)[1]
    contrast = used.contrast()
    cells = {name: x[first] for name, x in detector.cells.items()}
    if detector.forest:
        (features,) = cells.values()
        result = forest_cv(features, contrast, folds.outer[first], seed)
    else:
        search = replace(search, scaling=detector.scaling)
        if not detector.riders:
            search, riders = replace(search, permutations=0), None
        elif riders is not None:
            left_out = {name: [levels[i] for i in first] for name, levels in riders.left_out.items()}
            control = None if riders.control is None else riders.control[first]
            riders = Riders(control, left_out)
        result = nested_cv(cells, contrast, search, seed, on_cell, folds.take(first), riders)
    seconds = detector.seconds + time.perf_counter() - start
    return Trained(detector, result, contrast, np.array(index, dtype=np.intp), seconds)


def untrained(detector: DetectorCells, scores: Array, rows: Rows, fold: NDArray[np.intp], seconds: float) -> Trained:
    """A score that needs no training (a verdict, a rating), under the same folds; calibrated on training rows.

    Args:
        scores: higher means more likely positive, ``[row]``.
    """
    contrast = rows.contrast()
    probability = np.zeros(len(scores))
    outcomes = []
    nothing = np.zeros(0)
    for k in range(int(fold.max()) + 1):
        train_rows, test = np.flatnonzero(fold != k), fold == k
        calibration = Platt.fit(scores[train_rows], contrast.labels[train_rows])
        probability[test] = calibration.probability(scores[test])
        probe = LinearScore(detector.name, 0.0, nothing, nothing, nothing, 0.0)
        outcomes.append(FoldOutcome(probe, train_rows, scores[train_rows], contrast.labels[train_rows], calibration))
    result = NestedResult(scores, probability, fold, outcomes)
    return Trained(detector, result, contrast, np.arange(len(rows)), seconds)


def score_rows(trained: Trained, rows: Rows, target: str) -> list[ScoreRow]:
    """The held-out score of every row that has one."""
    result = trained.result
    offset = _offsets(trained)
    return [
        ScoreRow(
            target=target,
            detector=trained.detector.name,
            rollout_id=name,
            fold=int(result.fold[i]),
            score=float(result.scores[i]),
            offset=float(offset[i]),
            probability=float(result.probability[i]),
        )
        for name, i in zip(rows.ids, trained.index, strict=True)
        if np.isfinite(result.scores[i])
    ]


def _offsets(trained: Trained) -> Array:
    """Per row, the mean score of the training negatives of its stratum; of all of them where it has none."""
    result, strata = trained.result, trained.contrast.strata
    offset = np.zeros(len(result.scores))
    for k, outcome in enumerate(result.outcomes):
        means = {stratum: float(np.mean(scores)) for stratum, scores in _negatives(outcome, strata).items()}
        overall = float(outcome.inner_scores[~outcome.inner_labels].mean())
        for i in np.flatnonzero(result.fold == k):
            offset[i] = means.get(strata[i], overall)
    return offset


def _negatives(outcome: FoldOutcome, strata: Sequence[str]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for i, score, positive in zip(outcome.train, outcome.inner_scores, outcome.inner_labels, strict=True):
        if not positive:
            found[strata[i]].append(float(score))
    return found


def _residuals(outcome: FoldOutcome, strata: Sequence[str]) -> tuple[float, ...]:
    """Each training negative less the mean of the others of its stratum (of all others where it is alone)."""
    everyone = outcome.inner_scores[~outcome.inner_labels]
    found: list[float] = []
    for scores in _negatives(outcome, strata).values():
        own = np.array(scores)
        pool = own if len(own) > 1 else everyone
        others = (pool.sum() - own) / max(1, len(pool) - 1)
        found += (own - others).round(5).tolist()
    return tuple(found)


def summary_of(trained: Trained, n_rows: int, target: str) -> DetectorSummary:
    """How it was trained, and what its thresholds are made from."""
    result, detector = trained.result, trained.detector
    null = result.null
    chosen = [outcome.probe for outcome in result.outcomes if len(outcome.probe.coef)]
    return DetectorSummary(
        target=target,
        name=detector.name,
        family=detector.family,
        reads=detector.reads,
        seconds_per_row=trained.seconds / n_rows,
        forwards_per_row=detector.forwards / n_rows,
        chosen=tuple(f"{probe.cell} C={probe.penalty:g}" for probe in chosen),
        validation=result.validation,
        null_aurocs=_finite(null.aurocs) if null else (),
        stratum_only_aurocs=_finite(null.stratum_only) if null else (),
        null_best_validation=_finite(null.best_validation) if null else (),
        control_task_aurocs=_finite(result.control),
        training_negatives=tuple(tuple(o.inner_scores[~o.inner_labels].round(5).tolist()) for o in result.outcomes),
        training_residuals=tuple(_residuals(o, trained.contrast.strata) for o in result.outcomes),
    )


def _finite(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in values if np.isfinite(value))
