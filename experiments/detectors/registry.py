"""Every builder of detectors and controls, one line each, in the order of the table (`docs/adding_a_detector.md`)."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from activations.registry import Registry

if TYPE_CHECKING:
    from experiments.detectors.cells import DetectorCells
    from experiments.detectors.context import Context

Builder = Callable[["Context"], Iterable["DetectorCells"]]

DETECTORS: Registry[Builder] = Registry(
    "detector",
    {
        "probes": "experiments.detectors.activation:probe_families",
        "unhinted_run": "experiments.detectors.controls:unhinted_run",
        "first_layer": "experiments.detectors.controls:first_layer",
        "random_direction": "experiments.detectors.controls:random_direction",
        "text": "experiments.detectors.text:text_detectors",
        "covariates": "experiments.detectors.covariates:covariate_detectors",
        "early": "experiments.detectors.early:early_detectors",
        "causal": "experiments.detectors.causal:causal_detectors",
    },
)


def build_detectors(context: "Context") -> list["DetectorCells"]:
    """Every detector of a target; a builder yields nothing where it has nothing to say of the target.

    Raises:
        HintprobeError: no position is resolved in enough rows.
    """
    return [detector for build in DETECTORS.values() for detector in build(context)]
