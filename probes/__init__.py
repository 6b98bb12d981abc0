"""NUMBERS → EVIDENCE. Probes, their controls and metrics, and patching. Knows arrays, labels and groups, no wording."""

from probes.auroc import Comparison, Pairs, stratified_auroc
from probes.bootstrap import cluster_bootstrap, holm, interval, mcnemar, paired_p_value
from probes.calibration import Platt
from probes.estimators import (
    AttentionProbe,
    BinaryProbe,
    LinearProbe,
    LogisticProbe,
    MeanDifferenceProbe,
    MLPProbe,
    Probe,
    RidgeProbe,
)
from probes.forest import forest_cv
from probes.logistic import LogisticSolution, solve_logistic
from probes.means import mean_differences
from probes.metrics import (
    OperatingPoint,
    Reliability,
    average_precision,
    balanced_accuracy,
    brier,
    expected_calibration_error,
    operating_point,
    refuse_degenerate,
    reliability,
    threshold_at,
)
from probes.nested import Contrast, FrozenProbe, NestedResult, Search, calibrate, freeze, grouped_folds, nested_cv
from probes.saving import ProbeCard, SavedProbe, load_probe, save_probe

__all__ = [
    "AttentionProbe",
    "BinaryProbe",
    "Comparison",
    "Contrast",
    "FrozenProbe",
    "LinearProbe",
    "LogisticProbe",
    "LogisticSolution",
    "MLPProbe",
    "MeanDifferenceProbe",
    "NestedResult",
    "OperatingPoint",
    "Pairs",
    "Platt",
    "Probe",
    "ProbeCard",
    "Reliability",
    "RidgeProbe",
    "SavedProbe",
    "Search",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "calibrate",
    "cluster_bootstrap",
    "expected_calibration_error",
    "forest_cv",
    "freeze",
    "grouped_folds",
    "holm",
    "interval",
    "load_probe",
    "mcnemar",
    "mean_differences",
    "nested_cv",
    "operating_point",
    "paired_p_value",
    "refuse_degenerate",
    "reliability",
    "save_probe",
    "solve_logistic",
    "stratified_auroc",
    "threshold_at",
]
