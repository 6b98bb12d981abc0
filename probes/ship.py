"""The probe that is shipped: chosen by cross-validation over all rows, then fitted on all of them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from probes.arrays import Array
from probes.contrast import Contrast, grouped_folds
from probes.linear import LinearScore
from probes.logistic import solve_logistic
from probes.nested import FoldOutcome, Search, check_cells, outcome_of
from probes.search import Problem, solve_cell


def fit_for_use(cells: Mapping[str, Array], contrast: Contrast, search: Search, seed: int) -> FoldOutcome:
    """Choose cell and penalty by the inner folds, then fit on every row. Its out-of-fold scores give thresholds.

    It has seen every row, so no figure of it on these rows is a result.

    Raises:
        HintprobeError: too few groups of a class, or features that are not finite.
    """
    check_cells(cells, len(contrast))
    everyone = np.arange(len(contrast))
    inner = grouped_folds(contrast, search.inner_folds, seed)
    problem = Problem(contrast.labels, np.ones(len(everyone), dtype=bool), inner, contrast.strata)
    for name, x in cells.items():
        solve_cell(name, x, x[:0], [problem], [], search)
    outcome = outcome_of(problem, everyone)
    return replace(outcome, probe=_refitted(outcome, cells, contrast))


def _refitted(outcome: FoldOutcome, cells: Mapping[str, Array], contrast: Contrast) -> LinearScore:
    probe = outcome.probe
    x = (cells[probe.cell] - probe.mean) / probe.scale
    solution = solve_logistic(
        torch.from_numpy(x),
        torch.from_numpy(contrast.labels)[:, None],
        torch.ones(len(x), 1, dtype=torch.bool),
        [probe.penalty],
    )
    return replace(probe, coef=solution.coef[0, 0, 0].numpy(), intercept=float(solution.intercept))
