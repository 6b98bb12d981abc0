"""NUMBERS → EVIDENCE. Probes, their controls and metrics, and patching. Knows arrays, labels and groups, no wording.

Names are loaded when first asked for: most of what asks for an error or a record needs no torch.
"""

from typing import TYPE_CHECKING, Any

from activations.lazy import load_name

if TYPE_CHECKING:
    from probes.auroc import StratifiedPairs, stratified_auroc
    from probes.bootstrap import (
        DIFFERENCE,
        MIN_GROUPS,
        MIN_GROUPS_PER_CLASS,
        SHARE,
        Bootstrap,
        Limits,
        bounds_of,
        cluster_bootstrap,
        holm,
        interval,
    )
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
    from probes.cross_reading import cross_cell_aurocs, scores_by_level
    from probes.estimates import Estimate
    from probes.estimators import (
        AttentionProbe,
        BinaryProbe,
        LastTokenProbe,
        LinearProbe,
        LogisticProbe,
        MaxPoolingProbe,
        MeanDifferenceProbe,
        MeanPoolingProbe,
        MLPProbe,
        Probe,
        RidgeProbe,
        TrajectoryProbe,
    )
    from probes.estimators.fitting import Estimator, Fits, Fitter, Sequences, each
    from probes.forest import forest_cv
    from probes.graded import Graded, GradedResult, concordance, graded_cv
    from probes.intervals import AurocEstimate, difference, plain_interval
    from probes.logistic import LogisticSolution, solve_logistic
    from probes.means import mean_differences
    from probes.metrics import (
        Reliability,
        brier,
        expected_calibration_error,
        reliability,
        threshold_at,
    )
    from probes.nested import ExtraSearches, Search, nested_cv
    from probes.null import Null, search_null
    from probes.outcomes import Drawing, FoldOutcome, NestedResult, auroc_estimate, held_out_auroc
    from probes.patching.grid import PatchEffects, patch_pairs
    from probes.patching.pairs import PatchPair
    from probes.registry import ESTIMATORS
    from probes.residual import quantile_bins, residualise
    from probes.saving import ProbeCard, SavedProbe, load_probe, save_probe
    from probes.search import Chosen
    from probes.ship import fit_for_use

__all__ = [
    "DIFFERENCE",
    "ESTIMATORS",
    "MIN_GROUPS",
    "MIN_GROUPS_PER_CLASS",
    "SHARE",
    "AttentionProbe",
    "AurocEstimate",
    "BinaryProbe",
    "Bootstrap",
    "Chosen",
    "Contrast",
    "Drawing",
    "Estimate",
    "Estimator",
    "ExtraSearches",
    "Fits",
    "Fitter",
    "FoldOutcome",
    "Folds",
    "Graded",
    "GradedResult",
    "LastTokenProbe",
    "Limits",
    "LinearProbe",
    "LogisticProbe",
    "LogisticSolution",
    "MLPProbe",
    "MaxPoolingProbe",
    "MeanDifferenceProbe",
    "MeanPoolingProbe",
    "NestedResult",
    "Null",
    "PatchEffects",
    "PatchPair",
    "Platt",
    "Probe",
    "ProbeCard",
    "Reliability",
    "RidgeProbe",
    "SavedProbe",
    "Search",
    "Sequences",
    "StratifiedPairs",
    "TrajectoryProbe",
    "auroc_estimate",
    "bounds_of",
    "brier",
    "cluster_bootstrap",
    "concordance",
    "control_labels",
    "cross_cell_aurocs",
    "difference",
    "each",
    "expected_calibration_error",
    "fit_for_use",
    "fold_strata",
    "forest_cv",
    "graded_cv",
    "grouped_folds",
    "held_out_auroc",
    "holm",
    "interval",
    "load_probe",
    "mean_differences",
    "nested_cv",
    "patch_pairs",
    "permute_labels",
    "permuted_labels",
    "plain_interval",
    "quantile_bins",
    "reliability",
    "residualise",
    "save_probe",
    "scores_by_level",
    "search_null",
    "solve_logistic",
    "stratified_auroc",
    "threshold_at",
]


def __getattr__(name: str) -> Any:
    return load_name(__name__, __all__, name)
