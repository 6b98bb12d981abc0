"""Which pictures a model's results give; the page shows them, and ``--figures`` writes them as files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.records.comparison import Comparison
from experiments.records.summary import ModelSummary
from experiments.report import breakdown, views
from experiments.report.charts import reliability_chart, roc_chart
from experiments.report.curves import curves_of
from experiments.report.figure_text import show
from experiments.report.figures import Grid, heatmap
from experiments.report.picture import Picture
from experiments.report.runs import Run


def pictures(run: Run, model: ModelSummary) -> Iterator[Picture]:
    """Every picture that the finished stages of a model allow."""
    comparison = model.comparison
    if comparison is not None:
        yield from _validation_maps(comparison)
        yield from _curves(run, model, comparison)
        yield from _transfer_maps(comparison)
    if grid := views.patch_grid(model.patch):
        yield heatmap(grid, "patching", f"Patching: recovery per site and position. {_extent(grid)}", "heat-patch")


def _validation_maps(comparison: Comparison) -> Iterator[Picture]:
    for name, families in (("validation", views.FAMILIES), ("validation-unhinted", views.UNHINTED)):
        if grid := views.validation_grid(comparison, families):
            title = f"Validation AUROC of probes per site and position. {_extent(grid)}"
            yield heatmap(grid, name, title, "heat-probe")


def _transfer_maps(comparison: Comparison) -> Iterator[Picture]:
    drawn = (
        ("kinds", "AUROC of the main detectors for each kind of hint", breakdown.kind_grid),
        ("transfer-unseen", "AUROC of probes on kinds and directions left out of training", breakdown.unseen_grid),
        ("transfer-positions", "AUROC of a probe trained at one position, read at another", breakdown.position_grid),
    )
    for name, title, grid_of in drawn:
        if grid := grid_of(comparison):
            yield heatmap(grid, name, f"{title}. {_extent(grid)}", "heat-probe")
    for name, grid in breakdown.kind_transfer_grids(comparison).items():
        title = f"AUROC of {name} trained on one kind of hint, read on another. {_extent(grid)}"
        yield heatmap(grid, f"transfer-kinds-{name}", title, "heat-probe")


def _curves(run: Run, model: ModelSummary, comparison: Comparison) -> Iterator[Picture]:
    names = views.contestants(comparison)
    found = curves_of(run, model, names)
    if found:
        yield roc_chart(found, {name: show(comparison.detectors[name].auroc) for name in names})
        yield reliability_chart(found)


def _extent(grid: Grid) -> str:
    known = [(value, cell) for cell, value in grid.values.items() if value is not None]
    if not known:
        return "No cell has a value."
    best, (site, position) = max(known)
    return f"Highest: {best:.2f} at {site}, {position}."


def write_pictures(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Write the pictures of every model of every run to ``folder/RUN/MODEL/NAME.svg`` and ``.png``.

    Returns:
        The files written.
    """
    written = []
    for run in runs:
        for model in run.summary.models:
            place = folder / run.summary.name / model.folder
            place.mkdir(parents=True, exist_ok=True)
            for picture in pictures(run, model):
                written += picture.write(place)
    return written
