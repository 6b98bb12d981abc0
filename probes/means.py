"""Differences of class means for every row mask and label vector of one data matrix: one product in all."""

from jaxtyping import Bool, Float
from torch import Tensor


def mean_differences(
    x: Float[Tensor, "row feature"], labels: Bool[Tensor, "row label"], masks: Bool[Tensor, "row mask"]
) -> Float[Tensor, "mask label feature"]:
    """Mean of the positives minus mean of the negatives within each mask; NaN where a class has no row.

    The direction of a :class:`probes.estimators.MeanDifferenceProbe` for every fold, refit and permuted label vector.
    """
    inside = masks.T[:, None, :]
    positive = (inside & labels.T[None]).to(x.dtype)
    negative = (inside & ~labels.T[None]).to(x.dtype)
    shares = positive / positive.sum(-1, keepdim=True) - negative / negative.sum(-1, keepdim=True)
    result: Tensor = shares @ x
    return result
