"""Controls: what the same search finds without a hint in the run, in the first layer, and along random directions."""

from collections.abc import Iterator

import numpy as np

from experiments.detectors.cells import DetectorCells, Place
from experiments.detectors.context import Context
from experiments.detectors.covariates import directions
from experiments.records.detectors import Source
from probes.arrays import Array
from probes.cell_view import CellView

_ALL: tuple[Source, ...] = ("prompt", "cot", "answer", "activations")


def unhinted_run(context: Context) -> Iterator[DetectorCells]:
    """The unhinted run's activations, alone and with direction and direction × features.

    The second is the rival that a find must beat: whether a hint contradicts what a model believes, and how sure the
    model is, follow from its unhinted run and the direction of the hint, and are no use of the hint.
    """
    if not context.main or not context.unhinted:
        return
    reads = "activations of the unhinted run (control)"
    yield DetectorCells("probe_unhinted_run", reads, context.unhinted, "control", sees=("unhinted run", "activations"))
    sign = directions(context.rows)[:, None]
    crossed = CellView(context.unhinted, change=lambda x: np.column_stack([x, sign * x, sign]))
    yield DetectorCells(
        "probe_unhinted_direction", "activations of the unhinted run, direction, and their product (control)", crossed,
        "control", rival=True, shipped=False, sees=("item", "unhinted run", "activations"),
    )  # fmt: skip


def first_layer(context: Context) -> Iterator[DetectorCells]:
    """Activations around the first block alone."""
    if context.main:
        sites = context.sites[:2]
        cells = CellView(context.hinted, [place for place in context.hinted if place.site in sites])
        reads = "activations entering and leaving the first block (control)"
        yield DetectorCells("probe_first_layer", reads, cells, "control", shipped=False, sees=_ALL)


def random_direction(context: Context) -> Iterator[DetectorCells]:
    """Each cell seen through one random unit vector."""
    if not context.main:
        return
    cells: dict[Place, Array] = {}
    for place, x in context.hinted.items():
        direction = context.rng.normal(size=x.shape[1])
        cells[place] = (x @ (direction / np.linalg.norm(direction)))[:, None]
    reads = "one random direction per site and position"
    yield DetectorCells("random_direction", reads, cells, "reference", shipped=False, sees=_ALL)
