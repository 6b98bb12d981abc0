"""Probes with scikit-learn's estimator API; each carries its own preprocessing."""

from typing import TYPE_CHECKING, Any

from activations.lazy import load_name

if TYPE_CHECKING:
    from probes.estimators.attention import AttentionProbe
    from probes.estimators.base import BinaryProbe, LinearProbe, Probe
    from probes.estimators.linear import LogisticProbe, MeanDifferenceProbe, RidgeProbe
    from probes.estimators.max_pooling import MaxPoolingProbe
    from probes.estimators.mlp import MLPProbe
    from probes.estimators.pooling import LastTokenProbe, MeanPoolingProbe, TrajectoryProbe

__all__ = [
    "AttentionProbe",
    "BinaryProbe",
    "LastTokenProbe",
    "LinearProbe",
    "LogisticProbe",
    "MLPProbe",
    "MaxPoolingProbe",
    "MeanDifferenceProbe",
    "MeanPoolingProbe",
    "Probe",
    "RidgeProbe",
    "TrajectoryProbe",
]


def __getattr__(name: str) -> Any:
    return load_name(__name__, __all__, name)
