"""What a trained detector leaves behind: its held-out scores, and how they came about, as records."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from experiments.detectors.cells import place_of
from experiments.detectors.rows import Rows
from experiments.detectors.training import Trained
from experiments.records import CellFigure, Choice, DetectorSummary, ScoreRow
from probes import FoldOutcome
from probes.arrays import Array

_FEW = 8
"""Training negatives of a stratum that its own spread is worth: fewer lean on the spread of all."""


def score_rows(trained: Trained, rows: Rows, target: str) -> list[ScoreRow]:
    """The held-out score of every row that has one."""
    result = trained.result
    offset, spread = _offsets(trained)
    more = [drawing.scores for drawing in result.more]
    return [
        ScoreRow(
            target=target,
            detector=trained.detector.name,
            rollout_id=name,
            fold=int(result.fold[i]),
            score=float(result.scores[i]),
            offset=float(offset[i]),
            spread=float(spread[i]),
            probability=float(result.probability[i]),
            more=tuple(round(float(own[i]), 6) for own in more),
        )
        for name, i in zip(rows.ids, trained.index, strict=True)
        if np.isfinite(result.scores[i])
    ]


def _offsets(trained: Trained) -> tuple[Array, Array]:
    """Per row, mean and spread of the training negatives of its stratum; of all of them where it has none."""
    result, strata = trained.result, trained.contrast.strata
    offset, spread = np.zeros(len(result.scores)), np.ones(len(result.scores))
    for k, outcome in enumerate(result.outcomes):
        everyone = outcome.inner_scores[~outcome.inner_labels]
        known = {
            stratum: (float(np.mean(scores)), _spread(np.array(scores), everyone))
            for stratum, scores in _negatives(outcome, strata).items()
        }
        rest = (float(everyone.mean()), _spread(everyone, everyone))
        for i in np.flatnonzero(result.fold == k):
            offset[i], spread[i] = known.get(strata[i], rest)
    return offset, spread


def _spread(scores: Array, everyone: Array) -> float:
    """Standard deviation within a stratum, drawn towards that of all negatives where it rests on few."""
    overall = float(everyone.var())
    own = float(((scores - scores.mean()) ** 2).sum())
    return float(np.sqrt((own + _FEW * overall) / (len(scores) + _FEW))) or 1.0


def _negatives(outcome: FoldOutcome, strata: Sequence[str]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for i, score, positive in zip(outcome.train, outcome.inner_scores, outcome.inner_labels, strict=True):
        if not positive:
            found[strata[i]].append(float(score))
    return found


def _residuals(outcome: FoldOutcome, strata: Sequence[str]) -> tuple[float, ...]:
    """Each training negative less the mean of the others of its stratum (of all where it is alone), by the spread."""
    everyone = outcome.inner_scores[~outcome.inner_labels]
    found: list[float] = []
    for scores in _negatives(outcome, strata).values():
        own = np.array(scores)
        pool = own if len(own) > 1 else everyone
        others = (pool.sum() - own) / max(1, len(pool) - 1)
        found += ((own - others) / _spread(own, everyone)).round(5).tolist()
    return tuple(found)


def summary_of(trained: Trained, n_rows: int, target: str) -> DetectorSummary:
    """How it was trained, and what its thresholds are made from."""
    result, detector = trained.result, trained.detector
    null = result.null
    return DetectorSummary(
        target=target,
        name=detector.name,
        family=detector.family,
        reads=detector.reads,
        sees=detector.sees,
        labels=detector.labels,
        trained=trained.learnt,
        variant_of=detector.variant_of,
        rival=detector.rival,
        seconds_per_row=trained.seconds / n_rows,
        forwards_per_row=detector.forwards / n_rows,
        chosen=tuple(_choice(outcome) for outcome in result.outcomes if outcome.chosen is not None),
        validation=tuple(
            CellFigure(site=place_of(cell)[0], position=place_of(cell)[1], auroc=auroc)
            for cell, auroc in result.validation.items()
        ),
        constant_cells=tuple(map(str, result.constant)),
        null_statistic=null.observed if null else None,
        null_best_statistic=null.observed_best if null else None,
        null_aurocs=_finite(null.aurocs) if null else (),
        stratum_only_aurocs=_finite(null.stratum_only) if null else (),
        null_best_validation=_finite(null.best_validation) if null else (),
        control_task_aurocs=_finite(result.control),
        training_negatives=tuple(tuple(o.inner_scores[~o.inner_labels].round(5).tolist()) for o in result.outcomes),
        training_residuals=tuple(_residuals(o, trained.contrast.strata) for o in result.outcomes),
    )


def _choice(outcome: FoldOutcome) -> Choice:
    chosen = outcome.chosen
    assert chosen is not None  # the caller has looked
    site, position = place_of(chosen.cell)
    return Choice(site=site, position=position, estimator=chosen.estimator, strength=chosen.strength)


def _finite(values: Array) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values if np.isfinite(value))
