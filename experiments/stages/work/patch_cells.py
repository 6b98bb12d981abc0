"""From the pairs of a grid to its cells: what was found of each pair, kept, and averaged over all."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from activations import Site
from experiments.records import Label
from experiments.records.causal import PatchCell, PatchedCell, PatchRow, PatchSource
from probes import Bootstrap
from probes.estimates import LEAST_TOTAL
from probes.patching import METRICS, Cell, Metric, PatchEffects, PatchPair

Grid = tuple[PatchSource, Literal["noising", "denoising"]]


def row_of(effects: PatchEffects, grid: Grid, label: Label, k: int) -> PatchRow:
    """What was found of one pair."""

    def metrics(found: Mapping[Metric, np.ndarray[Any, Any]]) -> tuple[float, ...]:
        return tuple(float(found[metric][k]) for metric in METRICS)

    cells = tuple(
        PatchedCell(
            site=str(cell.site),
            head=cell.head,
            position=cell.position,
            control=cell.control,
            metrics=None if np.isnan(found["kl"][k]) else metrics(found),
        )
        for cell, found in effects.patched.items()
    )
    base, source = metrics(effects.base), metrics(effects.source)
    return PatchRow(
        comparison=grid[0], direction=grid[1], rollout_id=label.rollout_id, base=base, source=source, cells=cells
    )


def effects_of(rows: Sequence[PatchRow], pairs: Sequence[PatchPair]) -> PatchEffects:
    """The rows of a grid as one array a cell and metric."""

    def arrays(of: Sequence[tuple[float, ...] | None]) -> dict[Metric, np.ndarray[Any, Any]]:
        table = np.array([values or (np.nan,) * len(METRICS) for values in of])
        return {metric: table[:, m] for m, metric in enumerate(METRICS)}

    patched = {
        Cell(Site.parse(cell.site), cell.position, cell.head, cell.control): arrays([r.cells[c].metrics for r in rows])
        for c, cell in enumerate(rows[0].cells)
    }
    unaligned = sum((Counter(pair.aligned.unaligned) for pair in pairs), Counter())
    return PatchEffects(arrays([r.base for r in rows]), arrays([r.source for r in rows]), patched, dict(unaligned))


def cells_of(
    effects: PatchEffects,
    bootstrap: Bootstrap,
    least_gap: float,
    common: Mapping[str, Any],
    distances: Mapping[str, float],
) -> Iterator[PatchCell]:
    """Every cell over all pairs."""
    for cell, found in effects.patched.items():
        own = effects.recovery(cell, bootstrap, least_gap, least_total=LEAST_TOTAL["logit_difference"])
        probability = effects.recovery(cell, metric="probability", least_total=LEAST_TOTAL["probability"])
        yield PatchCell(
            **common,
            site=str(cell.site),
            head=cell.head,
            position=cell.position,
            to_readout=distances.get(cell.position),
            control=cell.control,
            recovery=_number(own.ratio),
            low=own.low,
            high=own.high,
            probability=_number(probability.ratio),
            kl=_mean(found["kl"]),
            flips=_mean(found["flip"]),
            n=own.n,
            small_gap=own.small_gap,
            unpatched=own.unpatched,
        )


def parted(
    effects: PatchEffects, bootstrap: Bootstrap, least_gap: float, common: Mapping[str, Any], letters: Sequence[bool]
) -> Iterator[PatchCell]:
    """The cells, placebos apart, over pairs that part at the answer's letter and over the others, where there are both.

    Where completions part at the letter, all reasoning stands in the text that both runs share, and a recovery says
    where the answer is read off, not where the hint acts.
    """
    if all(letters) or not any(letters):
        return
    named = replace(effects, patched={cell: found for cell, found in effects.patched.items() if cell.control is None})
    for value, name in ((True, "letter"), (False, "other")):
        rows = [k for k, letter in enumerate(letters) if letter == value]
        yield from cells_of(named.take(rows), bootstrap.take(rows), least_gap, {**common, "diverges": name}, {})


def distances(pairs: Sequence[PatchPair]) -> dict[str, float]:
    """Median tokens from each named position to the readout."""
    names = dict.fromkeys(name for pair in pairs for name in pair.positions)
    return {
        name: float(np.median([len(p.base_ids) - 1 - max(p.positions[name]) for p in pairs if name in p.positions]))
        for name in names
    }


def _mean(values: np.ndarray[Any, Any]) -> float | None:
    return float(np.nanmean(values)) if not np.isnan(values).all() else None


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
