"""The probe that is shipped: chosen by cross-validation over all rows, then fitted on all of them."""

from dataclasses import replace

import numpy as np

from probes.cell_view import Cells
from probes.contrast import Contrast, grouped_folds
from probes.nested import Search, varying_cells
from probes.outcomes import FoldOutcome, outcome_of
from probes.search import Problem


def fit_for_use(cells: Cells, contrast: Contrast, search: Search, seed: int) -> FoldOutcome:
    """Choose cell and strength by the inner folds, then fit on every row. Its out-of-fold scores give thresholds.

    It has seen every row, so no figure of it on these rows is a result.

    Raises:
        HintprobeError: too few groups of a class, or features that are not finite.
    """
    kept, _ = varying_cells(cells, len(contrast))
    everyone = np.arange(len(contrast))
    inner = grouped_folds(contrast, search.inner_folds, seed)
    allowed = np.ones(len(everyone), dtype=bool)
    problem = Problem(contrast.labels, everyone, everyone[:0], allowed, inner, contrast.strata)
    strengths = search.fitter.strengths(search.penalties)
    for name, x in kept.items():
        fits = search.fitter.fit(x, contrast.labels[:, None], problem.masks(), strengths, search.scaling)
        problem.take_in(fits, 0, 0, name, search.estimator, strengths)
    return replace(outcome_of(problem), validation={})
