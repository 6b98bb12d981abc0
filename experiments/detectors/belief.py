"""The belief-matched control: a probe of reliance, read on rows where the hint was resisted.

Reliant rows are those whose hint contradicts what the model believes, and aligned rows those whose hint agrees with
it. A probe that reads the contradiction alone therefore tells them apart perfectly, without any sign of use. Resisted
rows hold the contradiction too: from them such a probe cannot tell reliant rows, and a probe that reads use can.
"""

from collections.abc import Sequence

import numpy as np

from experiments.detectors.cells import Place, StoredCells, with_positions
from experiments.detectors.context import Context
from experiments.detectors.rows import Rows, labelled_rows
from experiments.detectors.training import Trained
from experiments.records import ScoreRow, TargetRow
from experiments.records.seeds import stable_int
from probes.arrays import RowIndices as Index

BELIEF = "reliant_resisted"
"""Name of the control among the targets in the tables."""


def resisted_rows(context: Context) -> Rows:
    """The rows that the control reads beside the reliant ones."""
    return with_positions(labelled_rows(context.run, ("resisted",)), context.positions)


def folds_of(context: Context, resisted: Rows, fold: Index) -> Index:
    """Outer fold of each resisted row: that of its group, whose probe never saw it; any where the group is new."""
    known = {label.group: int(k) for label, k in zip(context.rows.labels, fold, strict=True)}
    n_folds = int(fold.max()) + 1
    groups = [label.group for label in resisted.labels]
    return np.array([known.get(group, stable_int(group) % n_folds) for group in groups], dtype=np.intp)


def belief_targets(context: Context, resisted: Rows, fold: Index, own: Index) -> list[TargetRow]:
    """The control's rows: reliant ones of the target as positives, resisted ones as negatives."""
    reliant = [i for i, positive in enumerate(context.rows.positive) if positive]
    pairs = [(context.rows, i, True, int(fold[i])) for i in reliant]
    pairs += [(resisted, i, False, int(own[i])) for i in range(len(resisted))]
    return [
        TargetRow(
            target=BELIEF, rollout_id=rows.ids[i], group=rows.labels[i].group, kind=rows.labels[i].kind,
            direction=rows.labels[i].direction, positive=positive, fold=k,
        )
        for rows, i, positive, k in pairs
    ]  # fmt: skip


def belief_scores(context: Context, trained: Trained, resisted: Rows, own: Index) -> list[ScoreRow]:
    """Held-out scores of a probe on the control's rows; none where it read no position that resisted rows share."""
    result, name = trained.result, trained.detector.name
    scores = np.full(len(resisted), np.nan)
    for k, outcome in enumerate(result.outcomes):
        rows = np.flatnonzero(own == k)
        chosen = outcome.chosen
        if chosen is None or not isinstance(chosen.cell, Place) or chosen.cell.position not in context.positions:
            return []
        if len(rows):
            at = [resisted.hinted_at[i] for i in rows]
            (x,) = StoredCells(context.store, at, [chosen.cell.site], [chosen.cell.position]).values()
            scores[rows] = chosen.score(x)
    lines = [
        _line(name, rollout, result.fold[i], result.scores[i], result.probability[i])
        for rollout, i, positive in zip(context.rows.ids, trained.index, context.rows.positive, strict=True)
        if positive
    ]
    return lines + [
        _line(name, rollout, own[i], scores[i], _calibrated(trained, int(own[i]), scores[i]))
        for i, rollout in enumerate(resisted.ids)
    ]


def _calibrated(trained: Trained, k: int, score: float) -> float:
    return float(trained.result.outcomes[k].calibration.probability(np.array([score]))[0])


def _line(name: str, rollout: str, fold: int, score: float, probability: float) -> ScoreRow:
    return ScoreRow(
        target=BELIEF, detector=name, rollout_id=rollout, fold=int(fold), score=float(score),
        probability=float(probability),
    )  # fmt: skip


def wanted(trained: Sequence[Trained]) -> list[Trained]:
    """The probes that the control is for."""
    return [one for one in trained if one.detector.family == "probe" and not one.detector.variant_of]
