"""Standardising features."""

from typing import Literal

import numpy as np
from jaxtyping import Float

from probes.arrays import Array

Scaling = Literal["feature", "block"]
"""``feature``: every feature to unit variance; ``block``: all by one factor, so that their weights to each other (of
TF-IDF, say) are kept."""


def moments(x: Float[np.ndarray, "row d"], scaling: Scaling = "feature") -> tuple[Array, Array]:
    """Mean and scale of each feature, ``[d]``; the scale is 1 where nothing varies."""
    deviation = x.std(0)
    if scaling == "block":
        deviation = np.full(x.shape[1], np.sqrt(np.mean(deviation**2)))
    return x.mean(0), np.where(deviation > 1e-12, deviation, 1.0)
