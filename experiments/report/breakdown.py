"""Results by kind and direction of the hint, and of probes where they had never seen it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from experiments.records.behaviour_figures import Faithfulness
from experiments.records.comparison import Comparison
from experiments.records.comparison import Stratum as StratumRows
from experiments.records.detector_tables import DetectorEntry, KindTransferCell
from experiments.report.evidence import is_side
from experiments.report.figures import Cell, Grid
from experiments.report.terminal import detector_rows
from experiments.report.views import place

EVERY = "all kinds"
FACTORS = ("kind", "direction", "source")


class Stratum(NamedTuple):
    """A line of the table by kind and direction.

    Attributes:
        part: a direction within the kind above.
        reliant, aligned: rows that detectors are compared on; None where that is not counted.
        refused: why the stratum takes part in no AUROC.
    """

    name: str
    part: bool
    paper: Faithfulness
    reliant: int | None
    aligned: int | None
    refused: str | None


class Unseen(NamedTuple):
    """A probe beside itself trained without what it is read on.

    Attributes:
        variants: AUROC by factor that was left out; absent where that factor has one level only.
    """

    name: str
    seen: DetectorEntry
    variants: Mapping[str, DetectorEntry]


def strata(comparison: Comparison) -> list[Stratum]:
    """Every kind, its directions below it, and all of them together last."""
    paper = comparison.faithfulness
    classes = {entry.stratum: entry for entry in comparison.strata or ()}
    crossed = paper.by_kind_direction
    rows: list[Stratum] = []
    for kind, metrics in paper.by_kind.items():
        rows.append(Stratum(kind, False, metrics, *_classes(classes, f"{kind} ")))
        for name, inner in crossed.items():
            if name.rpartition(" ")[0] == kind:
                found = classes.get(name)
                counts = (found.positives, found.negatives, found.refused) if found else (None, None, None)
                rows.append(Stratum(name.rpartition(" ")[2], True, inner, *counts))
    rows.append(Stratum(EVERY, False, paper.all, *_classes(classes, "")))
    rows += [Stratum(name, True, inner, None, None, None) for name, inner in paper.by_direction.items()]
    return rows


def _classes(classes: Mapping[str, StratumRows], start: str) -> tuple[int | None, int | None, None]:
    own = [entry for name, entry in classes.items() if name.startswith(start)]
    if not own:
        return None, None, None
    return sum(entry.positives for entry in own), sum(entry.negatives for entry in own), None


def kind_grid(comparison: Comparison) -> Grid | None:
    """AUROC of the main detectors, for each kind alone."""
    entries = comparison.detectors
    names = [row[0] for row in detector_rows(entries) if not is_side(row[0], entries[row[0]], comparison)]
    return _by_kind(entries, names)


def unseen_grid(comparison: Comparison) -> Grid | None:
    """AUROC of each probe per kind, as trained and with the kind, direction or source of the row left out."""
    found = unseen(comparison)
    names = [name for probe in found for name in (probe.name, *(f"{probe.name}_new_{f}" for f in probe.variants))]
    return _by_kind(comparison.detectors, names)


def _by_kind(entries: Mapping[str, DetectorEntry], names: Sequence[str]) -> Grid | None:
    values: dict[Cell, float | None] = {}
    for name in names:
        values[name, EVERY] = entries[name].auroc.value
        for kind, found in entries[name].by_kind.items():
            values[name, kind] = found.auroc.value if found.auroc else None
    kinds = tuple(sorted({kind for _, kind in values} - {EVERY}))
    if not kinds:
        return None
    return Grid(tuple(reversed(names)), (("each kind alone", kinds), ("together", (EVERY,))), values, 0.5, 1.0)


def refusals(comparison: Comparison) -> dict[str, str]:
    """Kinds that no detector has a figure for, and why."""
    found: dict[str, str] = {}
    for entry in comparison.detectors.values():
        found |= {kind: part.refused or "" for kind, part in entry.by_kind.items() if not part.auroc}
    return found


def unseen(comparison: Comparison) -> list[Unseen]:
    """Probes that were also trained without the row's kind, direction or source."""
    detectors = comparison.detectors
    found = []
    for name, entry in detectors.items():
        variants = {f: detectors[f"{name}_new_{f}"] for f in FACTORS if f"{name}_new_{f}" in detectors}
        if variants:
            found.append(Unseen(name, entry, variants))
    return found


def position_grid(comparison: Comparison) -> Grid | None:
    """AUROC of a probe trained at one position (row) and read at another (column)."""
    cells = comparison.position_transfer or ()
    if not cells:
        return None
    values: dict[Cell, float | None] = {(cell.trained_at, cell.read_at): cell.auroc for cell in cells}
    rows = sorted({trained for trained, _ in values}, key=place, reverse=True)
    columns = tuple(sorted({read for _, read in values}, key=place))
    heading = f"trained at (row), read at (column); {cells[0].site}"
    outlined = frozenset(cell for cell in values if cell[0] == cell[1])
    return Grid(tuple(rows), ((heading, columns),), values, 0.5, 1.0, outlined)


def kind_transfer_grids(comparison: Comparison) -> dict[str, Grid]:
    """Per probe, AUROC when it is trained on one kind alone (row), read on another (column); best probe first."""
    cells = comparison.kind_transfer or ()
    best = comparison.best_probe
    names = sorted({cell.detector for cell in cells}, key=lambda name: (name != best, name))
    return {name: _kinds_crossed(name, [cell for cell in cells if cell.detector == name]) for name in names}


def _kinds_crossed(name: str, cells: Sequence[KindTransferCell]) -> Grid:
    values = {(cell.trained_on, cell.read_on): cell.auroc.value if cell.auroc else None for cell in cells}
    kinds = tuple(sorted({kind for kind, _ in values}))
    outlined = frozenset((kind, kind) for kind in kinds)
    return Grid(kinds[::-1], ((f"trained on (row), read on (column); {name}", kinds),), values, 0.5, 1.0, outlined)


def kind_transfer_refusals(comparison: Comparison) -> list[str]:
    """Why cells of these maps are empty, as sentences."""
    found: dict[tuple[str, str], set[str]] = {}
    for cell in comparison.kind_transfer or ():
        if cell.refused:
            trained = "to train on" in cell.refused
            told = "not trained on" if trained else "not read", cell.refused
            found.setdefault(told, set()).add(cell.trained_on if trained else cell.read_on)
    return [f"{', '.join(sorted(kinds))} {how}: {why}." for (how, why), kinds in sorted(found.items())]
