"""Shares and their differences between kinds of hint, with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest, chi2_contingency

from probes import SHARE, Contrast, StratifiedPairs, bounds_of, cluster_bootstrap

Share = dict[str, Any]


def share(values: Sequence[bool]) -> Share:
    """Share of rows, their number, and Wilson's 95% interval (Wilson 1927); None where there is no row."""
    n = len(values)
    if not n:
        return {"value": None, "low": None, "high": None, "n": 0}
    ends = binomtest(int(sum(values)), n).proportion_ci(method="wilson")
    return {"value": float(np.mean(values)), "low": float(ends.low), "high": float(ends.high), "n": n}


def spread(by_kind: Mapping[str, Sequence[bool]], n_resamples: int, rng: np.random.Generator) -> Share:
    """Largest share less the smallest over kinds that have rows, with a bootstrap interval within kinds."""
    known = [np.array(values, dtype=float) for values in by_kind.values() if len(values)]
    if len(known) < 2:
        return {"value": None, "low": None, "high": None, "n": 0}
    drawn = np.stack([rng.binomial(len(v), v.mean(), n_resamples) / len(v) for v in known])
    means = [float(v.mean()) for v in known]
    low, high = bounds_of(drawn.max(0) - drawn.min(0), min(len(v) for v in known), SHARE) or (None, None)
    return {"value": max(means) - min(means), "low": low, "high": high, "n": sum(len(v) for v in known)}


def differ_p(by_kind: Mapping[str, Sequence[bool]]) -> float | None:
    """p-value that a share is the same under all kinds (chi-squared); None where no two kinds can be compared."""
    table = np.array([[sum(v), len(v) - sum(v)] for v in by_kind.values() if len(v)], dtype=float)
    if len(table) < 2 or not table.sum(0).all():
        return None
    return float(chi2_contingency(table).pvalue)


def mean_difference(differences: Sequence[float], groups: Sequence[str], n: int, rng: np.random.Generator) -> Share:
    """Mean of paired differences with a cluster-bootstrap interval of ``n`` resamples."""
    values = np.array(differences, dtype=float)
    if not len(values):
        return {"value": None, "low": None, "high": None, "n": 0}
    found = cluster_bootstrap(groups, n, rng).mean(values)
    return {"value": found.value, "low": found.low, "high": found.high, "n": len(values)}


def auroc_figure(scores: Sequence[float] | np.ndarray[Any, Any], contrast: Contrast, strata: Sequence[str], n: int,
                 rng: np.random.Generator) -> Share:  # fmt: skip
    """AUROC within strata with a cluster-bootstrap interval of ``n`` resamples."""
    pairs = StratifiedPairs.of(contrast.labels, strata)
    values, bootstrap = np.asarray(scores, dtype=float), cluster_bootstrap(contrast.groups, n, rng)
    rarer = contrast.labels == (contrast.groups_of(True) <= contrast.groups_of(False))
    point = float(pairs.auroc(values)[0])
    bounds = bootstrap.bounds(pairs.auroc(values, bootstrap.weights), rarer, SHARE) if np.isfinite(point) else None
    low, high = bounds or (None, None)
    value = point if np.isfinite(point) else None
    return {"value": value, "low": low, "high": high, "n": len(values), "n_positive": int(contrast.labels.sum())}
