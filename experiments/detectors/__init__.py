"""Detectors score rollouts for reliance: feature cells, all trained and held out by one protocol."""

from experiments.detectors.cells import DetectorCells
from experiments.detectors.context import Context
from experiments.detectors.registry import DETECTORS, build_detectors
from experiments.detectors.rows import Rows, labelled_rows
from experiments.detectors.targets import MAIN, TARGETS, Target

__all__ = [
    "DETECTORS",
    "MAIN",
    "TARGETS",
    "Context",
    "DetectorCells",
    "Rows",
    "Target",
    "build_detectors",
    "labelled_rows",
]
