"""Every estimator that a run may name in ``probe.estimators``, one line each (`docs/adding_a_probe.md`)."""

from typing import TYPE_CHECKING

from activations.registry import Registry

if TYPE_CHECKING:
    from probes.estimators.base import Probe
    from probes.estimators.fitting import Estimator

ESTIMATORS: Registry["Estimator"] = Registry(
    "estimator",
    {
        "logistic": "probes.estimators.batched:LOGISTIC",
        "mean_difference": "probes.estimators.linear:MEAN_DIFFERENCE",
        "discriminant": "probes.estimators.linear:DISCRIMINANT",
        "ridge": "probes.estimators.linear:RIDGE",
        "mlp": "probes.estimators.mlp:MLP",
        "attention": "probes.estimators.attention:ATTENTION",
        "max_pooling": "probes.estimators.max_pooling:MAX_POOLING",
        "mean_pooling": "probes.estimators.pooling:MEAN_POOLING",
        "last_token": "probes.estimators.pooling:LAST_TOKEN",
        "trajectory": "probes.estimators.pooling:TRAJECTORY",
    },
)


def probe_classes() -> dict[str, type["Probe"]]:
    """The classes whose fits can be saved, by name."""
    return {estimator.probe.__name__: estimator.probe for estimator in ESTIMATORS.values()}
