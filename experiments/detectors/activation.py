"""Detectors that read activations: the probes, and the controls that a probe must beat to mean something."""

from collections.abc import Sequence

import numpy as np

from activations import ModelStore, Site
from activations.errors import HintprobeError
from experiments.detectors.cells import RESOLVED_SHARE, Cells, DetectorCells, activation_cells
from experiments.detectors.rows import Rows

BEFORE_COT = ("pointer", "hint_end", "question_end", "prompt_end")
AFTER_COT = ("think_end", "pre_answer")
WITHIN_COT = ("cot", "think_s")


def probe_families(
    store: ModelStore, rows: Rows, sites: Sequence[Site], positions: Sequence[str]
) -> list[DetectorCells]:
    """The probes before, within and after the chain of thought, each choosing among its sites and positions.

    Raises:
        HintprobeError: no position is resolved in enough rows.
    """
    if not positions:
        raise HintprobeError(
            f"None of the positions asked for is resolved in {RESOLVED_SHARE:.0%} of the rows, so no probe can be "
            "trained. The capture stage's account says why they were not resolved."
        )
    families = {
        "probe_before_cot": ("activations up to the end of the prompt", [p for p in positions if p in BEFORE_COT]),
        "probe_within_cot": ("activations inside the CoT", [p for p in positions if p.startswith(WITHIN_COT)]),
        "probe_after_cot": ("activations after the CoT", [p for p in positions if p in AFTER_COT]),
    }
    return [
        DetectorCells(
            name,
            reads,
            activation_cells(store, rows.hinted_at, sites, chosen),
            family="probe",
            riders=True,
            per_prompt=name == "probe_before_cot",
        )
        for name, (reads, chosen) in families.items()
        if chosen
    ]


def activation_controls(
    store: ModelStore,
    rows: Rows,
    sites: Sequence[Site],
    positions: Sequence[str],
    probes: Sequence[DetectorCells],
    rng: np.random.Generator,
) -> list[DetectorCells]:
    """What the same search finds without a hint in the run, in the first layer alone, and along random directions."""
    every = {name: x for probe in probes for name, x in probe.cells.items()}
    first = {str(site) for site in sites[:2]}
    shallow = {name: x for name, x in every.items() if name.partition("@")[0] in first}
    found = [
        DetectorCells(
            "probe_first_layer", "activations entering and leaving the first block (control)", shallow, "control",
            shipped=False,
        ),
        DetectorCells(
            "random_direction", "one random direction per site and position", _projected(every, rng),
            "reference", shipped=False,
        ),
    ]  # fmt: skip
    shared = [p for p in positions if all(p in at.tokens for at in rows.unhinted_at)]
    if shared:
        cells = activation_cells(store, rows.unhinted_at, sites, shared)
        found.insert(
            0, DetectorCells("probe_unhinted_run", "activations of the unhinted run (control)", cells, "control")
        )
    return found


def _projected(cells: Cells, rng: np.random.Generator) -> Cells:
    """Each cell seen through one random unit vector."""
    found = {}
    for name, x in cells.items():
        direction = rng.normal(size=x.shape[1])
        found[name] = (x @ (direction / np.linalg.norm(direction)))[:, None]
    return found


def control_types(rows: Rows) -> list[str]:
    """Types of the control task: wording and target letter, which recur across questions and stand in the prompt."""
    return [f"{item.wording} {label.target}" for item, label in zip(rows.items, rows.labels, strict=True)]
