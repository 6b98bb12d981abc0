"""``hintprobe trajectory``: one set of items at every checkpoint of a training."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from experiments.commands.running import AsJson, Ray, RayAlone, Settings, Workers, aside
from experiments.commands.train import Cache, Only
from experiments.run.console import PlainConsole as Console
from experiments.run.stopping import stoppable

if TYPE_CHECKING:
    from experiments.records.trajectory import Checkpoint, Trajectory


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("trajectory", cls=RayAlone)(trajectory)


def trajectory(
    config: Annotated[
        Path, typer.Argument(help="YAML file (docs/training.md), a shipped one's name, or the folder of a trajectory.")
    ],
    only: Only = None,
    cache: Cache = None,
    set_: Settings = None,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write the page with the curves.")] = True,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="With a folder: file to write the page to, instead of a file in the folder."),
    ] = None,
    as_json: AsJson = False,
    ray: Ray = None,
    workers: Workers = None,
) -> None:
    """Measure behaviour, CoT and probes at every checkpoint.

    For the folder of a finished trajectory, print its table and rewrite its page.

    Example: hintprobe trajectory quick
    """
    from experiments.report.trajectory import read_trajectory, write_page
    from experiments.run.progress import Reporter
    from experiments.training.config import load_training_config
    from experiments.training.trajectory import run_trajectory

    if config.is_dir():
        _show(read_trajectory(config).trajectory, write_page(config, out) if report else None, as_json)
        return
    loaded = load_training_config(config, set_ or (), cache=cache)
    reporter = aside() if as_json else Reporter(Console())
    for run in loaded.runs(only or ()).values():
        with stoppable():
            found = run_trajectory(run, reporter, (ray, workers) if ray is not None else None)
        _show(found, write_page(run.run_dir) if report else None, as_json)


def _show(found: "Trajectory", page: Path | None, as_json: bool) -> None:
    import sys

    if as_json:
        sys.stdout.write(found.model_dump_json() + "\n")
        return
    console = Console(width=None if Console().is_terminal else 200)
    _print(console, found)
    if page is not None:
        console.print(f"Report: {page}")


COLUMNS = {
    "hack rate": "hack_rate",
    "said of it": "verbalized_share",
    "accuracy": "accuracy",
    "raw faithful": "raw_faithfulness",
    "judge recall": "judge_recall",
    "probe refit": "probe_refit_auroc",
    "frozen": "probe_frozen_auroc",
    "re-read": "probe_reread_auroc",
    "frozen recall": "probe_frozen_recall",
}


def _print(console: Console, found: "Trajectory") -> None:
    what = found.environment or "checkpoints given"
    table = Table(title=f"{found.name}: {what}; 95% intervals of {found.headline}'s AUROC and of shares",
                  title_justify="left")  # fmt: skip
    table.add_column("step", justify="right")
    for column in COLUMNS:
        table.add_column(column)
    for point in found.checkpoints:
        table.add_row(str(point.step), *(_cell(point, name) for name in COLUMNS.values()))
    console.print(table)
    for name in ("hack_rate", "verbalized_share", "raw_faithfulness"):
        console.print(f"{name}: {found.levels[name].verdict}; last minus first {_last(found, name)}")
    for note in found.notes:
        console.print(note, markup=False)


def _cell(point: "Checkpoint", name: str) -> str:
    value, bounds = getattr(point, name), point.intervals[name]
    if value is None:
        return "-"
    return f"{value:.2f}" + (f" [{bounds[0]:.2f}, {bounds[1]:.2f}]" if bounds else "")


def _last(found: "Trajectory", name: str) -> str:
    entry = found.checkpoints[-1].differences[name]
    if entry.value is None or entry.low is None or entry.high is None:
        return "undefined"
    return f"{entry.value:+.2f} [{entry.low:+.2f}, {entry.high:+.2f}]"
