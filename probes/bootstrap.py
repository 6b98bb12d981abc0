"""Intervals and tests that treat whole groups as the unit of chance."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from probes.arrays import Array

Key = TypeVar("Key")


def cluster_bootstrap(
    groups: Sequence[str], n_resamples: int, rng: np.random.Generator
) -> Float[np.ndarray, "resample row"]:
    """How often each row is drawn when whole groups are resampled with replacement (Davison & Hinkley 1997, 3.8)."""
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    n_groups = int(index.max()) + 1
    counts = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_resamples)
    weights: Array = counts[:, index].astype(float)
    return weights


def interval(samples: Float[np.ndarray, "resample"], level: float = 0.95) -> tuple[float, float] | None:
    """Percentile interval; None where over a tenth of the resamples gave no figure."""
    finite = samples[np.isfinite(samples)]
    if len(finite) < 0.9 * len(samples):
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """p-values of one family of tests, adjusted so that the chance of any false find stays at the level (Holm 1979)."""
    ordered = sorted(p_values, key=lambda key: p_values[key])
    adjusted: dict[Key, float] = {}
    floor = 0.0
    for k, key in enumerate(ordered):
        floor = max(floor, min(1.0, (len(ordered) - k) * p_values[key]))
        adjusted[key] = floor
    return {key: adjusted[key] for key in p_values}
