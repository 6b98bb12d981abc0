"""What carries over: a probe trained at one cell reads another, or one trained on a part of the rows reads the rest."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from probes.arrays import Array
from probes.contrast import Contrast
from probes.linear import moments
from probes.logistic import solve_logistic
from probes.nested import check_cells, headline


def cross_cell_aurocs(
    cells: Mapping[str, Array], contrast: Contrast, fold: NDArray[np.intp], penalty: float
) -> dict[tuple[str, str], float]:
    """AUROC of probes trained on the first cell and read at the second, on held-out rows.

    Args:
        cells: matrices ``[row, d]`` of equal width: one site at several positions, say.
        penalty: C of every probe.

    Returns:
        One figure per (trained at, read at); pairs within outer fold and stratum only.

    Raises:
        HintprobeError: features that are not finite or do not match the rows.
    """
    check_cells(cells, len(contrast))
    masks = torch.from_numpy(np.stack([fold != k for k in range(int(fold.max()) + 1)], axis=1))
    labels = torch.from_numpy(contrast.labels)[:, None]
    found = {}
    for trained_at, x in cells.items():
        mean, scale = moments(x)
        # Moments of all rows shift every score of a stratum alike, and labels play no part in them.
        solution = solve_logistic(torch.from_numpy(((x - mean) / scale).astype(np.float32)), labels, masks, [penalty])
        coef = solution.coef[0, :, 0].double().numpy()
        for read_at, other in cells.items():
            scores = ((other - mean) / scale) @ coef.T
            own = scores[np.arange(len(fold)), fold]
            found[trained_at, read_at] = headline(own, contrast.labels, fold, contrast.strata)
    return found


def scores_by_level(
    cells: Mapping[str, Array],
    contrast: Contrast,
    levels: Sequence[str],
    fold: NDArray[np.intp],
    choices: Sequence[tuple[str, float]],
) -> dict[str, Array]:
    """Held-out scores of every row by probes that were trained on the rows of one level alone (one kind of hint, say).

    All levels and the folds of one choice share a solve. Whatever the level, a row is scored by a probe that saw no row
    of its fold, hence none of its group, and at a cell in whose choice the fold had no part.

    Args:
        cells: matrices ``[row, d]``.
        levels: level of each row.
        fold: outer fold of each row.
        choices: per outer fold, the cell to read and the value of C.

    Returns:
        Per level trained on, a score per row, comparable within a fold only; NaN in a fold whose training rows of that
        level are of one class.

    Raises:
        HintprobeError: features that are not finite or do not match the rows.
    """
    check_cells(cells, len(contrast))
    of_level = {name: np.asarray(levels) == name for name in sorted(set(levels))}
    found = {name: np.full(len(contrast), np.nan) for name in of_level}
    for choice in dict.fromkeys(choices):
        folds = [k for k, of_fold in enumerate(choices) if of_fold == choice]
        masks = {(name, k): own & (fold != k) for name, own in of_level.items() for k in folds}
        masks = {key: mask for key, mask in masks.items() if len(set(contrast.labels[mask].tolist())) == 2}
        if not masks:
            continue
        x, labels = cells[choice[0]], torch.from_numpy(contrast.labels)[:, None]
        mean, scale = moments(x)
        z = ((x - mean) / scale).astype(np.float32)
        together = torch.from_numpy(np.stack(list(masks.values()), axis=1))
        coef = solve_logistic(torch.from_numpy(z), labels, together, [choice[1]]).coef[0, :, 0].double().numpy()
        for (name, k), weights in zip(masks, coef, strict=True):
            found[name][fold == k] = z[fold == k] @ weights
    return found
