"""What carries over: a probe trained at one cell reads another, or one trained on a part of the rows reads the rest."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from probes.arrays import Array, Bools, RowIndices
from probes.cell_view import Cells
from probes.contrast import Contrast
from probes.nested import varying_cells
from probes.outcomes import held_out_auroc
from probes.registry import ESTIMATORS
from probes.search import Chosen


def cross_cell_aurocs(
    cells: Sequence[Cells], contrast: Contrast, fold: RowIndices, strengths: Sequence[float]
) -> dict[tuple[Hashable, Hashable], float]:
    """AUROC of logistic probes trained on the first cell and read at the second, on held-out rows.

    Args:
        cells: per outer fold, matrices ``[row, d]`` of equal width under the same names: the site that the fold's
            training rows chose, at several positions, say.
        strengths: C of the probes of each outer fold.

    Returns:
        One figure per (trained at, read at); pairs within outer fold and stratum only.

    Raises:
        HintprobeError: features that are not finite or do not match the rows.
    """
    names = list(cells[0])
    scores = {(a, b): np.full(len(fold), np.nan) for a in names for b in names}
    fitter = ESTIMATORS["logistic"].fitter
    for k, own in enumerate(cells):
        kept, _ = varying_cells(own, len(contrast))
        test = fold == k
        for trained_at, x in kept.items():
            fits = fitter.fit(x, contrast.labels[:, None], (fold != k)[:, None], [strengths[k]], "feature")
            probe = fits.probe(0, 0, 0)
            for read_at, other in own.items():
                scores[trained_at, read_at][test] = probe.decision_function(other[test])
    return {pair: held_out_auroc(own, contrast.labels, fold, contrast.strata) for pair, own in scores.items()}


def scores_by_level(
    cells: Cells, contrast: Contrast, levels: Sequence[str], fold: RowIndices, choices: Sequence[Chosen]
) -> dict[str, Array]:
    """Held-out scores of every row by probes that were trained on the rows of one level alone (one kind of hint, say).

    All levels and the folds of one choice share a solve. Whatever the level, a row is scored by a probe that saw no row
    of its fold, hence none of its group, and at a cell in whose choice the fold had no part.

    Args:
        levels: level of each row.
        fold: outer fold of each row.
        choices: per outer fold, the cell to read and how to fit it.

    Returns:
        Per level trained on, a score per row, comparable within a fold only; NaN in a fold whose training rows of that
        level are of one class.

    Raises:
        HintprobeError: features that are not finite or do not match the rows.
    """
    varying_cells(cells, len(contrast))
    of_level = {name: np.asarray(levels) == name for name in sorted(set(levels))}
    found = {name: np.full(len(contrast), np.nan) for name in of_level}
    ways = [(choice.cell, choice.estimator, choice.strength) for choice in choices]
    for cell, estimator, strength in dict.fromkeys(ways):
        folds = [k for k, way in enumerate(ways) if way == (cell, estimator, strength)]
        masks = _masks_of_both_classes(of_level, folds, fold, contrast.labels)
        if not masks:
            continue
        together = np.stack(list(masks.values()), axis=1)
        fitter = ESTIMATORS[estimator].fitter
        fits = fitter.fit(cells[cell], contrast.labels[:, None], together, [strength], "feature")
        for m, (name, k) in enumerate(masks):
            found[name][fold == k] = fits.scores[fold == k, 0, m, 0]
    return found


def _masks_of_both_classes(
    of_level: Mapping[str, Bools], folds: Sequence[int], fold: RowIndices, labels: Bools
) -> dict[tuple[str, int], Bools]:
    masks = {(name, k): own & (fold != k) for name, own in of_level.items() for k in folds}
    return {key: mask for key, mask in masks.items() if len(set(labels[mask].tolist())) == 2}
