"""NUMBERS → EVIDENCE. Probes, their controls and metrics, and patching. Knows arrays, labels and groups, no wording."""

from probes.calibration import Platt
from probes.estimators import BinaryProbe, LinearProbe, LogisticProbe, MeanDifferenceProbe, RidgeProbe
from probes.forest import forest_cv
from probes.logistic import solve_logistic
from probes.metrics import (
    Pairs,
    brier,
    cluster_bootstrap,
    expected_calibration_error,
    interval,
    stratified_auroc,
    threshold_at,
)
from probes.nested import Contrast, FrozenProbe, NestedResult, Search, calibrate, freeze, grouped_folds, nested_cv
from probes.saving import ProbeCard, SavedProbe, load_probe, save_probe

__all__ = [
    "BinaryProbe",
    "Contrast",
    "FrozenProbe",
    "LinearProbe",
    "LogisticProbe",
    "MeanDifferenceProbe",
    "NestedResult",
    "Pairs",
    "Platt",
    "ProbeCard",
    "RidgeProbe",
    "SavedProbe",
    "Search",
    "brier",
    "calibrate",
    "cluster_bootstrap",
    "expected_calibration_error",
    "forest_cv",
    "freeze",
    "grouped_folds",
    "interval",
    "load_probe",
    "nested_cv",
    "save_probe",
    "solve_logistic",
    "stratified_auroc",
    "threshold_at",
]
