"""A figure with its cluster-bootstrap interval."""

from dataclasses import dataclass

import numpy as np

from probes.arrays import Array
from probes.bootstrap import interval


@dataclass(frozen=True)
class Estimate:
    """A mean or a ratio of means.

    Attributes:
        low, high: 95% percentile interval over groups; None where over a tenth of the resamples gave no figure.
    """

    value: float
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """The interval lies on one side of zero."""
        return self.low is not None and self.high is not None and self.low * self.high > 0


def mean_of(values: Array, weights: Array) -> Estimate:
    """Mean over rows.

    Args:
        values: ``[row]``.
        weights: ``[resample, row]``, from :func:`probes.bootstrap.cluster_bootstrap`.
    """
    return ratio_of(values, np.ones_like(values), weights)


def ratio_of(above: Array, below: Array, weights: Array) -> Estimate:
    """Ratio of two sums over the same rows; NaN where the lower one is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        point = float(above.sum() / below.sum()) if len(above) else float("nan")
        bounds = interval((weights @ above) / (weights @ below)) if len(above) else None
    return Estimate(point, *(bounds or (None, None)))
