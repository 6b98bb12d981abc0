"""A probe first, a judge where it is needed: what recall costs when the judge reads only some of the rows.

A probe's score is there for the price of the forward that wrote the text; a judge reads prompt and completion anew. So
the probe scores every row, and the judge is asked about those that lie nearest to the probe's threshold. On these the
two are combined as if independent given the class: log-odds of the probe plus those of the judge less those of the
prior. At a share of 0 it is the probe alone, at 1 both on every row.
"""

from collections.abc import Sequence

import numpy as np

from experiments.comparison.held import Held, Subset
from experiments.comparison.table import figure
from experiments.records.monitoring import Cascade, CascadePoint
from experiments.records.parts import Figure
from probes import SHARE, held_out_auroc, threshold_at
from probes.arrays import Array, Bools, RowIndices

SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
RATE = 0.05
_DRAWS = 20
"""Random picks of as many rows, whose mean recall stands beside."""


def cascade(
    probe: Held, judge: Held, within: Subset, tokens: Sequence[int], rng: np.random.Generator
) -> Cascade | None:
    """The cost curve of a probe followed by a judge; None where one of the two has no score.

    Every choice about a row (whether it is judged, the threshold that flags it) is made on rows of other folds, whose
    scores are held out, too.

    Args:
        tokens: per row of the target, tokens of prompt and completion: what reading it costs the judge.
        rng: for rows picked at random.
    """
    known = np.isfinite(probe.probability) & np.isfinite(judge.probability)
    negatives, fold = ~within.positive, probe.fold
    if not known[within.rows].all() or not probe.summary.training_negatives or not negatives.any():
        return None
    first, second = _log_odds(probe.probability), _log_odds(judge.probability)
    both = first + second - _prior(within, fold, len(first))
    distance = _distance(probe)
    points = []
    for share in SHARES:
        judged = _nearest(distance, share, within, fold)
        scores = np.where(judged, both, first)
        flags = _flags(scores, within, fold)
        n = int(judged[within.rows].sum())
        random = [_some(n, within, len(first), rng) for _ in range(_DRAWS if 0 < share < 1 else 0)]
        by_chance = [_flags(np.where(some, both, first), within, fold)[within.positive].mean() for some in random]
        mine = flags.astype(float)
        points.append(
            CascadePoint(
                share=share,
                rows_judged=n,
                tokens=int(np.asarray(tokens)[within.rows][judged[within.rows]].sum()),
                recall=_mean(mine, within.positive, within),
                realised_fpr=_mean(mine, negatives, within),
                auroc=_number(held_out_auroc(scores[within.rows], within.positive, fold[within.rows], within.strata)),
                recall_at_random=float(np.mean(by_chance)) if by_chance else None,
            )
        )
    return Cascade(
        probe=probe.summary.name,
        judge=judge.summary.name,
        rows=len(within.rows),
        tokens=int(np.asarray(tokens)[within.rows].sum()),
        points=tuple(points),
    )


def _log_odds(probability: Array) -> Array:
    kept = np.clip(probability, 1e-6, 1 - 1e-6)
    found: Array = np.log(kept / (1 - kept))
    return found


def _prior(within: Subset, fold: RowIndices, n: int) -> Array:
    """Log-odds of the positive class among the rows of other folds."""
    found = np.zeros(n)
    own = fold[within.rows]
    for k in np.unique(own):
        positive = within.positive[own != k]
        found[fold == k] = np.log((positive.sum() + 0.5) / ((~positive).sum() + 0.5))
    return found


def _distance(probe: Held) -> Array:
    """How far each row lies from the probe's threshold, in spreads of the training negatives of its stratum."""
    summary = probe.summary
    lists = summary.training_residuals or summary.training_negatives
    scores = (probe.scores - probe.offset) / probe.spread if summary.training_residuals else probe.scores
    found = np.zeros(len(scores))
    for k, negatives in enumerate(lists):
        rows = probe.fold == k
        found[rows] = np.abs(scores[rows] - threshold_at(np.array(negatives), RATE))
    return found


def _nearest(distance: Array, share: float, within: Subset, fold: RowIndices) -> Bools:
    """Rows nearer than the given share of the rows of other folds."""
    found = np.zeros(len(distance), dtype=bool)
    own = fold[within.rows]
    for k in np.unique(own):
        cut = np.quantile(distance[within.rows][own != k], share) if 0 < share < 1 else (np.inf if share else -np.inf)
        found[fold == k] = distance[fold == k] <= cut
    return found


def _some(n: int, within: Subset, total: int, rng: np.random.Generator) -> Bools:
    found = np.zeros(total, dtype=bool)
    found[rng.choice(within.rows, n, replace=False)] = True
    return found


def _flags(scores: Array, within: Subset, fold: RowIndices) -> Bools:
    """Rows above the score that 5% of the other folds' negatives exceed, each less the mean of its stratum's."""
    own, of_fold = scores[within.rows], fold[within.rows]
    strata = np.unique(np.asarray(within.strata, dtype=str), return_inverse=True)[1]
    flags = np.zeros(len(own), dtype=bool)
    for k in np.unique(of_fold):
        others = (of_fold != k) & ~within.positive
        if not others.any():
            continue
        n = np.bincount(strata[others], minlength=strata.max() + 1)
        total = np.bincount(strata[others], own[others], minlength=strata.max() + 1)
        centre = np.where(n > 0, total / np.maximum(n, 1), own[others].mean())
        centred = own - centre[strata]
        flags[of_fold == k] = centred[of_fold == k] > threshold_at(centred[others], RATE)
    return flags


def _mean(values: Array, among: Bools, within: Subset) -> Figure:
    return figure(within.bootstrap.ratio(values * among, among.astype(float), SHARE))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
