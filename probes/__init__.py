"""NUMBERS → EVIDENCE. Probes, their controls and metrics, and patching. Knows arrays, labels and groups, no wording.

Names are loaded when first asked for: most of what asks for an error or a record needs no torch.
"""

from typing import TYPE_CHECKING, Any

from activations.lazy import load_name

if TYPE_CHECKING:
    from probes.auroc import Comparison, stratified_auroc
    from probes.bootstrap import cluster_bootstrap, holm, interval, mcnemar, paired_p_value
    from probes.calibration import Platt
    from probes.contrast import (
        Contrast,
        Folds,
        control_labels,
        fold_strata,
        grouped_folds,
        permute_labels,
        permuted_labels,
    )
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
    from probes.linear import LinearScore
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
    from probes.nested import NestedResult, Null, Riders, Search, headline, nested_cv
    from probes.patching.grid import PatchEffects, patch_pairs
    from probes.patching.pairs import PatchPair
    from probes.residual import quantile_bins, residualise
    from probes.saving import ProbeCard, SavedProbe, load_probe, save_probe
    from probes.ship import fit_for_use
    from probes.transfer import cross_cell_aurocs, scores_by_level

__all__ = [
    "AttentionProbe",
    "BinaryProbe",
    "Comparison",
    "Contrast",
    "Folds",
    "LinearProbe",
    "LinearScore",
    "LogisticProbe",
    "LogisticSolution",
    "MLPProbe",
    "MeanDifferenceProbe",
    "NestedResult",
    "Null",
    "OperatingPoint",
    "PatchEffects",
    "PatchPair",
    "Platt",
    "Probe",
    "ProbeCard",
    "Reliability",
    "Riders",
    "RidgeProbe",
    "SavedProbe",
    "Search",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "cluster_bootstrap",
    "control_labels",
    "cross_cell_aurocs",
    "expected_calibration_error",
    "fit_for_use",
    "fold_strata",
    "forest_cv",
    "grouped_folds",
    "headline",
    "holm",
    "interval",
    "load_probe",
    "mcnemar",
    "mean_differences",
    "nested_cv",
    "operating_point",
    "paired_p_value",
    "patch_pairs",
    "permute_labels",
    "permuted_labels",
    "quantile_bins",
    "refuse_degenerate",
    "reliability",
    "residualise",
    "save_probe",
    "scores_by_level",
    "solve_logistic",
    "stratified_auroc",
    "threshold_at",
]


def __getattr__(name: str) -> Any:
    return load_name(__name__, __all__, name)
