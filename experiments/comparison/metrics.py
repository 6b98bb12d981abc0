"""Figures of a detector's calibrated probabilities, one line each (`docs/adding_a_detector.md`)."""

from collections.abc import Callable

from activations.registry import Registry
from probes.arrays import Array, Bools

Metric = Callable[[Array, Bools], float]
"""Probabilities and labels of the rows, to one number of the detector table."""

METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "brier": "probes.metrics:brier",
        "ece": "probes.metrics:expected_calibration_error",
        "ece_null": "probes.metrics:calibration_error_by_chance",
    },
)
