"""Stage 5: put the states of the run without this hint into the hinted run, cell by cell, with placebos beside."""

from pathlib import Path

from experiments.records.accounts import PatchAccount
from experiments.records.causal import PatchCell
from experiments.records.stages import redrawn_table
from experiments.records.summary import PatchSummary
from experiments.run.model_run import ModelRun, StageResult
from experiments.run.parts import Work
from experiments.run.sharing import split
from experiments.run.stage import Stage
from probes.patching import Control


def run_patch(run: ModelRun) -> StageResult | None:
    """Patch a model's reliant rows, or find that done."""
    settings = run.config.patch.model_dump(exclude={"token_budget"})
    depends = (
        run.results["judge"].signature, settings, run.config.compare.bootstrap, run.config.seed, run.config.numerics,
    )  # fmt: skip

    def work(folder: Path) -> Work:
        from experiments.stages.work.patch import Patching

        return Patching(run, folder)

    return split(run, PatchAccount, depends, work, uses_model=True)


def patch_summary(run: ModelRun) -> PatchSummary:
    """The first comparison's grid, each placebo at its largest per site; every cell is in the stage's own table."""
    cells = [cell for cell in run.records.patched_cells if cell.recovery is not None and cell.diverges == "all"]
    first = cells[0] if cells else None
    shown = [cell for cell in cells if first and _grid(cell) == _grid(first)]
    named = [cell for cell in shown if cell.control is None]
    largest: dict[tuple[str, Control], PatchCell] = {}
    for cell in sorted(shown, key=_size):
        if cell.control is not None:
            largest[cell.site, cell.control] = cell.model_copy(update={"position": cell.control})
    placebos = sorted(largest.values(), key=_size)
    account = run.account(PatchAccount)
    best = max((c for c in named if c.away_from_readout), key=lambda cell: cell.recovery or 0.0, default=None)
    apart = [cell for cell in run.records.patched_cells if cell.recovery is not None and cell.diverges != "all"]
    return PatchSummary(
        pairs=account.pairs,
        dropped=account.dropped,
        best=best,
        best_by_divergence={cell.diverges: cell for cell in apart if best and _same_cell(cell, best)},
        at_letter=account.at_letter.get(first.comparison) if first else None,
        redrawn=run.records.read("patch", redrawn_table),
        placebo=placebos[-1] if placebos else None,
        cells=(*named, *placebos),
    )


def _same_cell(cell: PatchCell, other: PatchCell) -> bool:
    return (_grid(cell), cell.site, cell.position) == (_grid(other), other.site, other.position)


def _grid(cell: PatchCell) -> tuple[str, str, int | None]:
    return cell.comparison, cell.direction, cell.head


def _size(cell: PatchCell) -> float:
    return abs(cell.recovery or 0.0)


STAGE = Stage(PatchAccount, "patch", ("judge",), lambda run, _: run_patch(run), "patch", patch_summary, parts=True)
