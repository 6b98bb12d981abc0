"""Activation patching: pairs and their alignment, the grid, its metrics and placebos, attribution as a screen."""

from typing import TYPE_CHECKING, Any

from activations.lazy import load_name

if TYPE_CHECKING:
    from probes.names import CONTROLS, Control
    from probes.patching.attribution import Screening, attribute, screen
    from probes.patching.engine import Account, Patch, run_patches
    from probes.patching.grid import Cell, PatchEffects, n_cells, patch_pairs
    from probes.patching.metrics import METRICS, Metric, Recovery, Reference, measure, recovery
    from probes.patching.on_policy import regenerate
    from probes.patching.pairs import Alignment, PatchPair, first_divergence

__all__ = [
    "CONTROLS",
    "METRICS",
    "Account",
    "Alignment",
    "Cell",
    "Control",
    "Metric",
    "Patch",
    "PatchEffects",
    "PatchPair",
    "Recovery",
    "Reference",
    "Screening",
    "attribute",
    "first_divergence",
    "measure",
    "n_cells",
    "patch_pairs",
    "recovery",
    "regenerate",
    "run_patches",
    "screen",
]


def __getattr__(name: str) -> Any:
    return load_name(__name__, __all__, name)
