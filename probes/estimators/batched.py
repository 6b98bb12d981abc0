"""Logistic regression as a fitter: all strengths, masks and label vectors of a matrix in one solve."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from probes.arrays import Array
from probes.estimators.fitting import Estimator, Fits
from probes.estimators.linear import LogisticProbe
from probes.linear import Scaling, moments
from probes.logistic import solve_logistic


@dataclass(frozen=True)
class _Solved:
    scores: Array
    coef: Array
    intercept: Array
    mean: Array
    scale: Array
    strengths: tuple[float, ...]

    def probe(self, strength: int, mask: int, vector: int) -> LogisticProbe:
        fitted = LogisticProbe(C=self.strengths[strength])
        state = {
            "mean_": self.mean,
            "scale_": self.scale,
            "coef_": self.coef[strength, mask, vector][None],
            "intercept_": self.intercept[strength, mask, vector][None],
        }
        return fitted.restore(state, [False, True])


class BatchedLogistic:
    """L2-regularised logistic regression on features standardised by the moments of all rows.

    The moments hold no label, and sharing them lets all folds share a solve. float32 doubles the speed, and a search
    does not need more: the solver's own tolerance is wider.
    """

    def __init__(self, tolerance: float = 1e-4, max_steps: int = 400, device: str = "cpu") -> None:
        self.tolerance = tolerance
        self.max_steps = max_steps
        self.device = device

    def on(self, device: str) -> "BatchedLogistic":
        """The same, solving on a device of torch's."""
        return BatchedLogistic(self.tolerance, self.max_steps, device)

    def strengths(self, penalties: Sequence[float]) -> tuple[float, ...]:
        """The values of C."""
        return tuple(penalties)

    def fit(self, x: Any, labels: Any, masks: Any, strengths: Sequence[float], scaling: Scaling) -> Fits:
        """One solve for all."""
        mean, scale = moments(x, scaling)
        z = torch.from_numpy(((x - mean) / scale).astype(np.float32)).to(self.device)
        solution = solve_logistic(
            z, torch.from_numpy(labels), torch.from_numpy(masks), strengths, self.tolerance, self.max_steps
        )
        flat = z @ solution.coef.reshape(-1, z.shape[1]).T
        coef, intercept = solution.coef.double().cpu().numpy(), solution.intercept.double().cpu().numpy()
        scores = flat.double().cpu().numpy().reshape(len(z), *intercept.shape) + intercept
        return _Solved(scores, coef, intercept, mean, scale, tuple(strengths))


LOGISTIC = Estimator(LogisticProbe, BatchedLogistic())
