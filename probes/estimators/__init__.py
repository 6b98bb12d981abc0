"""Probes with scikit-learn's estimator API; each carries its own preprocessing."""

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
