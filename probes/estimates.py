"""A figure with its interval."""

from dataclasses import dataclass
from typing import Literal

Scale = Literal["logit_difference", "probability"]
LEAST_TOTAL: dict[Scale, float] = {"logit_difference": 0.2, "probability": 0.05}
"""Least size of a total effect, or of a mean gap between two runs, of which shares are given: nats, and probability.

Five points of probability, and the logit that moves an even choice by as much. A share of a smaller total divides noise
by noise, however narrow the interval of the total.
"""


@dataclass(frozen=True)
class Estimate:
    """A mean or a ratio of means.

    Attributes:
        low, high: 95% interval over groups; None where none is given (:meth:`probes.bootstrap.Bootstrap.bounds`).
    """

    value: float
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """The interval lies on one side of zero."""
        return self.low is not None and self.high is not None and self.low * self.high > 0
