"""Detectors that make the model answer early: at the end of the prompt, and after fractions of the CoT."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from activations import LoadedModel
from experiments.detectors.cells import DetectorCells
from experiments.detectors.context import Context
from experiments.detectors.rows import Rows
from experiments.detectors.targets import MAIN
from experiments.engines.forced import forced_preference
from probes.arrays import Array


def early_detectors(context: Context) -> list[DetectorCells]:
    """The forced-answer log-odds of h at prompt_end (fraction 0), and along the CoT as one trajectory or one cut.

    A fraction that some row cannot be cut at is left out. Of targets other than the main one, those read before the
    chain of thought have the first alone.
    """
    if context.target.name not in (MAIN, "will_follow"):
        return []
    run = context.run
    fractions = [f for f in run.config.probe.early_answering if context.main or f == 0]
    with run.reporter.bar("early answering", len(context.rows)) as tick:
        return forced_answers(run.loaded, context.rows, fractions, run.config.capture.token_budget, tick)


def forced_answers(
    loaded: LoadedModel,
    rows: Rows,
    fractions: Sequence[float],
    token_budget: int,
    on_rows: Callable[[int], None] | None = None,
) -> list[DetectorCells]:
    """The same of any rows."""
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
                forwards=len(rows), seconds=seconds, sees=("prompt", "item", "forwards"),
            )
        )  # fmt: skip
    cuts = {fraction: values for fraction, values in found.items() if fraction > 0}
    if cuts:
        cells: dict[str, Array] = {f"{fraction:g}": values[:, None] for fraction, values in cuts.items()}
        if len(cuts) > 1:
            cells["all cuts"] = np.column_stack(list(cuts.values()))
        reads = f"forced answer after {', '.join(map(str, cells))} of the CoT: log-odds of h".replace(", all cuts", "")
        detectors.append(
            DetectorCells(
                "forced_cot",
                reads,
                cells,
                shipped=False,
                forwards=len(rows),
                seconds=seconds,
                sees=("prompt", "cot", "item", "forwards"),
            )
        )
    return detectors
