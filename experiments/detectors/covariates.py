"""Detectors that know the item and the unhinted run, and read neither text nor activations."""

import numpy as np

from experiments.detectors.cells import DetectorCells
from experiments.detectors.context import Context
from experiments.detectors.rows import Rows
from probes import quantile_bins
from probes.arrays import Array

CONFIDENCE = "unhinted confidence (top-two margin, blind to h)"


def directions(rows: Rows) -> Array:
    """1 for correct hints, -1 for incorrect ones; ``[row]``."""
    return np.array([1.0 if label.direction == "correct" else -1.0 for label in rows.labels])


def margins(rows: Rows) -> Array:
    """Unhinted confidence in nats, 0 where unknown; ``[row]``."""
    return np.array([label.margin if label.margin is not None else 0.0 for label in rows.labels])


def margin_terms(rows: Rows) -> Array:
    """The margin, its rank from -1 to 1, and the rank squared; ``[row, 3]``."""
    margin = margins(rows)
    rank = np.searchsorted(np.sort(margin), margin, side="right") / len(margin) * 2 - 1
    return np.column_stack([margin, rank, rank**2])


def confound_terms(rows: Rows) -> Array:
    """Margin terms for each direction apart: what is regressed out of scores beside the strata; ``[row, 6]``."""
    terms, correct = margin_terms(rows), (directions(rows) > 0)[:, None]
    return np.column_stack([terms * correct, terms * ~correct])


def kind_features(rows: Rows) -> Array:
    """One-hot of kind and of direction; ``[row, kinds + 1]``."""
    kinds = sorted({label.kind for label in rows.labels})
    hot = [[label.kind == kind for kind in kinds] + [label.direction == "correct"] for label in rows.labels]
    return np.array(hot, dtype=float)


def _unknown(rows: Rows) -> str:
    """A server that gives no log-probabilities leaves the confidence unknown, which a reader must be told."""
    n = sum(label.margin is None for label in rows.labels)
    return f", unknown for {n} of {len(rows)} rows" if n else ""


def covariate_detectors(context: Context) -> list[DetectorCells]:
    """Direction, confidence, their product, and the kind of hint."""
    return of_covariates(context.rows)


def of_covariates(rows: Rows) -> list[DetectorCells]:
    """The same of any rows."""
    direction, margin = directions(rows)[:, None], margins(rows)
    fifths, confidence = quantile_bins(margin), CONFIDENCE + _unknown(rows)
    product = np.column_stack([direction, margin, direction[:, 0] * margin, fifths, direction * fifths])
    return [
        DetectorCells("direction", "direction of the hint", {"direction": direction}, per_prompt=True),
        DetectorCells("margin", confidence, {"margin": np.column_stack([margin, fifths])}, shipped=False),
        DetectorCells(
            "direction_x_margin", f"direction × {confidence}", {"margin": product}, rival=True, shipped=False
        ),
        DetectorCells("hint_kind", "kind and direction of the hint", {"kind": kind_features(rows)}, per_prompt=True),
    ]
