"""Intervals and tests that treat whole groups as the unit of chance."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import binomtest

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


def mcnemar(
    first: Bool[np.ndarray, "row"],
    second: Bool[np.ndarray, "row"],
    groups: Sequence[str],
    rng: np.random.Generator,
    n_flips: int = 10_000,
) -> float:
    """Two-sided p-value that two detectors are right equally often on the same rows (McNemar 1947).

    Where every group has at most one row on which they disagree, the exact binomial test; else the signs of whole
    groups are flipped at random, since rows of one group are no independent evidence.

    Args:
        first, second: whether each detector is right about each row.
    """
    index = np.unique(np.asarray(groups), return_inverse=True)[1]
    lead = first.astype(int) - second.astype(int)
    per_group = np.bincount(index, lead, minlength=int(index.max()) + 1)
    disagree = np.bincount(index, lead != 0)
    if disagree.sum() == 0:
        return 1.0
    if disagree.max() == 1:
        return float(binomtest(int((lead > 0).sum()), int(disagree.sum())).pvalue)
    moved = per_group[per_group != 0]
    signs = rng.choice([-1, 1], size=(n_flips, len(moved)))
    as_extreme = np.abs(signs @ moved) >= abs(moved.sum())
    return float((as_extreme.sum() + 1) / (n_flips + 1))


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """p-values of one family of tests, adjusted so that the chance of any false find stays at the level (Holm 1979)."""
    ordered = sorted(p_values, key=lambda key: p_values[key])
    adjusted: dict[Key, float] = {}
    floor = 0.0
    for k, key in enumerate(ordered):
        floor = max(floor, min(1.0, (len(ordered) - k) * p_values[key]))
        adjusted[key] = floor
    return {key: adjusted[key] for key in p_values}


def paired_p_value(differences: Float[np.ndarray, "resample"]) -> float:
    """Two-sided bootstrap p-value that a paired difference is zero: twice the smaller tail beyond zero."""
    finite = differences[np.isfinite(differences)]
    tail = min((finite <= 0).sum(), (finite >= 0).sum())
    return float(min(1.0, 2 * (tail + 1) / (len(finite) + 1)))
