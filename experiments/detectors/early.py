"""Detectors that make the model answer early: at the end of the prompt, and after fractions of the CoT."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from activations import LoadedModel
from experiments.detectors.cells import DetectorCells
from experiments.detectors.rows import Rows
from experiments.engines.forced import forced_preference


def early_detectors(
    loaded: LoadedModel,
    rows: Rows,
    fractions: Sequence[float],
    token_budget: int,
    on_rows: Callable[[int], None] | None = None,
) -> list[DetectorCells]:
    """The forced-answer log-odds of h at prompt_end (fraction 0), and along the CoT as one trajectory or one cut.

    A fraction that some row cannot be cut at is left out.
    """
    targets = [label.target for label in rows.labels]
    n_options = [label.n_options for label in rows.labels]
    start = time.perf_counter()
    found = forced_preference(loaded, rows.hinted, targets, n_options, fractions, token_budget, on_rows)
    seconds = time.perf_counter() - start
    detectors = []
    if 0 in found:
        reads = "forced answer at the end of the prompt: log-odds of h"
        detectors.append(
            DetectorCells(
                "forced_prompt_end", reads, {"log-odds": found[0][:, None]}, per_prompt=True, shipped=False,
                forwards=len(rows), seconds=seconds,
            )
        )  # fmt: skip
    cuts = {fraction: values for fraction, values in found.items() if fraction > 0}
    if cuts:
        cells = {f"{fraction:g}": values[:, None] for fraction, values in cuts.items()}
        if len(cuts) > 1:
            cells["all cuts"] = np.column_stack(list(cuts.values()))
        reads = f"forced answer after {', '.join(cells)} of the CoT: log-odds of h".replace(", all cuts", "")
        detectors.append(DetectorCells("forced_cot", reads, cells, shipped=False, forwards=len(rows), seconds=seconds))
    return detectors
