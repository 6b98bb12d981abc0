"""Probes with scikit-learn's estimator API; each carries its own preprocessing."""

from probes.estimators.base import BinaryProbe, LinearProbe
from probes.estimators.linear import LogisticProbe, MeanDifferenceProbe, RidgeProbe

__all__ = ["BinaryProbe", "LinearProbe", "LogisticProbe", "MeanDifferenceProbe", "RidgeProbe"]
