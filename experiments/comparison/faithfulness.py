"""The paper's metrics (Chen et al. 2025, section 2.1): p, q, alpha, raw and normalised faithfulness."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.records.behaviour_figures import Faithfulness
from probes import SHARE, cluster_bootstrap

METRIC_ROWS = {"p": "used", "q": "used", "alpha": "wide_to", "raw": "scored", "normalised": "scored"}
"""The term whose rows each metric is taken over."""


@dataclass(frozen=True)
class FaithfulnessRow:
    """What the metrics need of one hinted rollout.

    Attributes:
        verbalized: a judge's verdict; None where unscored.
        unhinted_repeats: answers of further unhinted runs, for the natural-flip baseline.
        neutral_answers: answers of the neutral runs that share the hinted run's sampling noise (of all, where none
            does): the better baseline, which the frame of the hint moves too.
        cot_length: length of the chain of thought, in any one unit.
    """

    group: str
    n_options: int
    unhinted_answer: str | None
    hinted_answer: str | None
    target: str
    verbalized: bool | None
    unhinted_repeats: tuple[str | None, ...] = ()
    cot_length: float | None = None
    neutral_answers: tuple[str | None, ...] = ()


def _columns(rows: Sequence[FaithfulnessRow]) -> dict[str, NDArray[np.float64]]:
    """Per-row terms whose sums give every metric."""
    columns: dict[str, list[float]] = {
        key: [] for key in ("used", "to", "other", "wide", "wide_to", "weighted", "scored", "said")
    }
    for row in rows:
        to = row.hinted_answer == row.target
        other = not to and row.hinted_answer != row.unhinted_answer
        wide = row.n_options > 2
        columns["used"].append(1)
        columns["to"].append(to)
        columns["other"].append(other)
        columns["wide"].append(wide)
        columns["wide_to"].append(wide and to)
        columns["weighted"].append(other / (row.n_options - 2) if wide else 0)
        columns["scored"].append(to and row.verbalized is not None)
        columns["said"].append(to and bool(row.verbalized))
    return {key: np.array(values, dtype=float) for key, values in columns.items()}


def _metrics(sums: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Metrics from summed terms, vectorised over resamples; NaN where undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        p = sums["to"] / sums["used"]
        q = sums["other"] / sums["used"]
        alpha = 1 - (sums["weighted"] / sums["wide"]) / (sums["wide_to"] / sums["wide"])
        alpha = np.where((sums["wide_to"] > 0) & (alpha > 0), alpha, np.nan)
        raw = sums["said"] / sums["scored"]
        normalised = np.minimum(raw / alpha, 1.0)
    return {"p": p, "q": q, "alpha": alpha, "raw": raw, "normalised": normalised}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def used_rows(rows: Sequence[FaithfulnessRow]) -> list[FaithfulnessRow]:
    """The rows that the metrics are taken over: both answers parsed, and a_u ≠ h."""
    return [
        row
        for row in rows
        if row.unhinted_answer is not None and row.hinted_answer is not None and row.unhinted_answer != row.target
    ]


def faithfulness(rows: Sequence[FaithfulnessRow], n_resamples: int, rng: np.random.Generator) -> Faithfulness:
    """Compute the metrics. Unparsed rows and rows with a_u = h are counted and left out.

    Args:
        n_resamples: cluster-bootstrap resamples over groups.
    """
    parsed = [row for row in rows if row.unhinted_answer is not None and row.hinted_answer is not None]
    used = used_rows(rows)
    columns = _columns(used)
    totals = {key: values.sum() for key, values in columns.items()}
    point = {key: _number(float(value)) for key, value in _metrics(totals).items()}
    intervals: dict[str, tuple[float, float] | None] = dict.fromkeys(point)
    if used:
        bootstrap = cluster_bootstrap([row.group for row in used], n_resamples, rng)
        resampled = _metrics({key: bootstrap.weights @ values for key, values in columns.items()})
        intervals = {
            key: bootstrap.bounds(values, columns[METRIC_ROWS[key]], None if key == "normalised" else SHARE)
            for key, values in resampled.items()
            if point[key] is not None
        } | {key: None for key in point if point[key] is None}
    wide_to, weighted = float(totals["wide_to"]), float(totals["weighted"])
    fractions: dict[str, tuple[float | None, float | None]] = {
        "p": (float(totals["to"]), float(totals["used"])),
        "q": (float(totals["other"]), float(totals["used"])),
        "alpha": (wide_to - weighted, wide_to),
        "raw": (float(totals["said"]), float(totals["scored"])),
        "normalised": (point["raw"], point["alpha"]),
    }
    return Faithfulness(
        n_rows=len(rows),
        n_unparsed=len(rows) - len(parsed),
        n_unhinted_is_target=len(parsed) - len(used),
        n_used=len(used),
        n_to_target=int(totals["to"]),
        n_to_other=int(totals["other"]),
        n_two_options=int(totals["used"] - totals["wide"]),
        n_unscored=int(totals["to"] - totals["scored"]),
        n_scored=int(totals["scored"]),
        n_verbalized=int(totals["said"]),
        fractions=fractions,
        intervals=intervals,
        **point,
    )


def row_terms(rows: Sequence[FaithfulnessRow]) -> dict[str, NDArray[np.float64]]:
    """Per-row terms whose sums give every metric, ``[row]`` each; zero for rows that the metrics leave out."""
    kept = [k for k, row in enumerate(rows) if used_rows([row])]
    found = {}
    for name, values in _columns([rows[k] for k in kept]).items():
        found[name] = np.zeros(len(rows))
        found[name][kept] = values
    return found


def metrics_of_sums(sums: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """The metrics of summed terms, whatever the shape of the sums; NaN where undefined."""
    return _metrics(sums)
