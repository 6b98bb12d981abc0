"""Detectors that know the item and the unhinted run, and read neither text nor activations."""

from collections.abc import Mapping

import numpy as np

from experiments.detectors.cells import DetectorCells
from experiments.detectors.certainty import features_of, measures, terms_of
from experiments.detectors.context import Context
from experiments.detectors.rows import Rows
from probes.arrays import Array


def directions(rows: Rows) -> Array:
    """1 for correct hints, -1 for incorrect ones; ``[row]``."""
    return np.array([1.0 if label.direction == "correct" else -1.0 for label in rows.labels])


def confound_terms(rows: Rows, forced: Mapping[str, float]) -> Array:
    """Terms of confidence for each direction apart: what is regressed out of scores beside the strata; ``[row, term]``.

    Args:
        forced: entropy of the forced unhinted answer by item.
    """
    terms, correct = terms_of(measures(rows, forced), len(rows)), (directions(rows) > 0)[:, None]
    return np.column_stack([terms * correct, terms * ~correct])


def kind_features(rows: Rows) -> Array:
    """One-hot of kind and of direction; ``[row, kinds + 1]``."""
    kinds = sorted({label.kind for label in rows.labels})
    hot = [[label.kind == kind for kind in kinds] + [label.direction == "correct"] for label in rows.labels]
    return np.array(hot, dtype=float)


def covariate_detectors(context: Context) -> list[DetectorCells]:
    """Direction, confidence, their product, and the kind of hint."""
    return of_covariates(context.rows, context.forced)


def of_covariates(rows: Rows, forced: Mapping[str, float]) -> list[DetectorCells]:
    """The same of any rows.

    Args:
        forced: entropy of the forced unhinted answer by item.
    """
    known = measures(rows, forced)
    said = "; ".join(one.name for one in known) or "unknown: no measure of it is there"
    reads = f"unhinted confidence, blind to h ({said})"
    direction, confidence = directions(rows)[:, None], features_of(known, len(rows))
    product = np.column_stack([direction, confidence, direction * confidence])
    both = {"confidence": product}
    kind = {"kind": kind_features(rows)}
    return [
        DetectorCells("direction", "direction of the hint", {"direction": direction}, per_prompt=True, sees=("item",)),
        DetectorCells("confidence", reads, {"confidence": confidence}, shipped=False, sees=("unhinted run",)),
        DetectorCells(
            "direction_x_confidence", f"direction × {reads}", both, rival=True, shipped=False,
            sees=("item", "unhinted run"),
        ),
        DetectorCells("hint_kind", "kind and direction of the hint", kind, per_prompt=True, sees=("item",)),
    ]  # fmt: skip
