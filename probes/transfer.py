"""From one position to another: a probe trained at one cell reads the states of another cell."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from probes.contrast import Contrast
from probes.linear import Array, moments
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
