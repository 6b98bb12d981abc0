"""What nested cross-validation gives: held-out scores, how they came about, and the AUROC they make."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from probes.arrays import Array, Bools, RowIndices
from probes.auroc import StratifiedPairs, stratified_auroc
from probes.calibration import Platt
from probes.contrast import Contrast, fold_strata
from probes.intervals import AurocEstimate, instability
from probes.null import Null
from probes.search import Chosen, Problem


@dataclass(frozen=True)
class FoldOutcome:
    """What one outer fold gave.

    Attributes:
        chosen: the choice of the inner folds, refitted on all training rows; None for a score that was not trained.
        train: the training rows.
        inner_scores, inner_labels: out-of-fold scores of the training rows under that choice; thresholds and
            calibration come from these.
        calibration: fitted on the same.
        validation: per cell, the best validation AUROC over strengths in this fold.
    """

    chosen: Chosen | None
    train: RowIndices
    inner_scores: Array
    inner_labels: Bools
    calibration: Platt
    validation: Mapping[Hashable, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """Held-out scores of each row by a search that saw no row of its level; NaN where too little was left to train on.

    Attributes:
        probability: the scores calibrated on the rows that the search saw.
    """

    scores: Array
    probability: Array

    def keep(self, problem: Problem, of_level: Bools) -> None:
        """Take in what a search says of the held-out rows of the level that it did not see."""
        best, seen, test = problem.best, problem.allowed, problem.test
        calibration = Platt.fit(best.inner[seen], problem.labels[problem.train][seen])
        own = of_level[test]
        self.scores[test[own]] = best.test[own]
        self.probability[test[own]] = calibration.probability(best.test[own])


class Drawing(NamedTuple):
    """A further drawing of the folds.

    Attributes:
        best: per outer fold, the validation AUROC of what was chosen.
    """

    scores: Array
    fold: RowIndices
    best: tuple[float, ...] = ()


@dataclass(frozen=True)
class NestedResult:
    """Held-out scores of every row, and how they came about.

    Attributes:
        scores: held-out score per row under the first drawing of the folds; comparable within a fold only.
        probability: the same, calibrated on training folds.
        fold: outer fold per row.
        outcomes: per outer fold of the first drawing.
        more: each further drawing.
        validation: per cell, best inner AUROC over strengths, averaged over outer folds. It shows where the signal
            is, and is never the reported figure.
        constant: cells that were left out because no feature of theirs varies.
        control: per draw, the AUROC of the search on a control task.
        left_out: per factor, what a search without the row's level gives.
    """

    scores: Array
    probability: Array
    fold: RowIndices
    outcomes: Sequence[FoldOutcome]
    more: tuple[Drawing, ...] = ()
    validation: dict[Hashable, float] = field(default_factory=dict)
    constant: tuple[Hashable, ...] = ()
    null: Null | None = None
    control: Array = field(default_factory=lambda: np.zeros(0))
    left_out: dict[str, LeftOut] = field(default_factory=dict)

    def estimate(self, contrast: Contrast, trained: bool = True) -> AurocEstimate:
        """The AUROC within fold and stratum, averaged over the drawings, with what its interval is made from."""
        scores = np.stack([self.scores, *(drawing.scores for drawing in self.more)])
        folds = np.stack([self.fold, *(drawing.fold for drawing in self.more)])
        return auroc_estimate(scores, folds, contrast.labels, contrast.strata, trained)


def auroc_estimate(
    scores: Float[np.ndarray, "repeat row"], folds: Any, labels: Bools, strata: Sequence[str], trained: bool = True
) -> AurocEstimate:
    """AUROC over pairs of one outer fold and one stratum, averaged over drawings of the folds.

    Rows without a score (NaN) in some drawing are left out. NaN where no fold holds both classes in a stratum.

    Args:
        folds: outer fold of each row in each drawing, ``[repeat, row]``.
        trained: the score was learnt from rows of the same kind, whose chance then counts.
    """
    known = np.flatnonzero(np.isfinite(scores).all(0))
    values, influence, n_pairs = [], np.zeros((len(scores), len(labels))), 0
    for r, (own, fold) in enumerate(zip(scores, folds, strict=True)):
        within = fold_strata(fold, strata)
        pairs = StratifiedPairs.of(labels[known], [within[i] for i in known])
        value, influence[r, known] = pairs.influence(own[known])
        values.append(value)
        n_pairs += pairs.n_pairs
    spread = float(np.var(values, ddof=1) / len(values)) if trained and len(values) > 1 else 0.0
    noise = instability(scores, folds, labels, strata) if trained else 0.0
    mean = float(np.mean(values))
    return AurocEstimate(mean, influence.mean(0), spread, noise, mean * (1 - mean) / n_pairs if n_pairs else 0.0)


def held_out_auroc(scores: Array, labels: Bools, fold: RowIndices, strata: Sequence[str]) -> float:
    """AUROC over pairs of one outer fold and one stratum, each fold and stratum weighted by its pairs.

    Rows without a score (NaN) are left out. NaN where no fold holds both classes in a stratum.
    """
    known = np.flatnonzero(np.isfinite(scores))
    within = fold_strata(fold, strata)
    return stratified_auroc(scores[known], labels[known], [within[i] for i in known])


def outcome_of(problem: Problem) -> FoldOutcome:
    """What the search of a fold chose, ready to score other rows."""
    best, labels = problem.best, problem.labels[problem.train]
    return FoldOutcome(best.chosen, problem.train, best.inner, labels, Platt.fit(best.inner, labels))
