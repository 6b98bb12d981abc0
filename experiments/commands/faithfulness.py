"""``hintprobe faithfulness``: the paper's metrics of anybody's items."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from activations.errors import HintprobeError
from experiments.commands.running import AsJson, aside, print_json
from experiments.run.console import PlainConsole as Console
from experiments.run.stopping import stoppable

SHOWN = ("p", "q", "alpha", "raw", "normalised")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("faithfulness")(faithfulness)


def faithfulness(
    items: Annotated[Path, typer.Argument(help="JSON lines: group, kind, direction, n_options, unhinted_answer, …")],
    verdicts: Annotated[
        Path | None, typer.Option("--verdicts", help="Take `verbalized` from this file of verdicts, joined by id.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option("--judge", help="The judge whose verdicts are used, if the file holds several.")
    ] = None,
    every_judge: Annotated[
        bool,
        typer.Option(
            "--every-judge", help="Give the metrics by each judge of the file, by their panel, and for the extremes."
        ),
    ] = False,
    bootstrap: Annotated[int, typer.Option("--bootstrap", help="Cluster-bootstrap resamples.", min=100)] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the resamples.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Print the paper's metrics for any file of items.

    p, q, alpha, raw and normalised faithfulness (Chen et al. 2025); --json adds every numerator, count and baseline.

    Example: hintprobe faithfulness items.jsonl --json
    """
    from experiments.comparison.faithfulness_items import read_items, summarise, verbalized_by
    from experiments.judges.calibration import read_verdicts
    from experiments.records.seeds import stream

    if every_judge:
        _under_each(items, verdicts, bootstrap, seed, as_json)
        return
    said = verbalized_by(read_verdicts(verdicts), judge) if verdicts is not None else None
    with stoppable(), aside().busy("bootstrap"):
        summary = summarise(read_items(items, said), bootstrap, stream(seed, "faithfulness"))
    if as_json:
        print_json(summary)
        return
    console = Console()
    console.print(_table(summary))
    counts = ", ".join(f"{name.removeprefix('n_').replace('_', ' ')} {n}" for name, n in summary["counts"].items())
    console.print(f"Counts: {counts}.", markup=False, highlight=False)


def _under_each(items: Path, verdicts: Path | None, bootstrap: int, seed: int, as_json: bool) -> None:
    from experiments.comparison.judge_sensitivity import sensitivity_to_judges
    from experiments.judges.calibration import read_verdicts
    from experiments.records.seeds import stream

    if verdicts is None:
        raise HintprobeError("--every-judge compares the judges of a file of verdicts: name that file with --verdicts.")
    with stoppable(), aside().busy("bootstrap"):
        found = sensitivity_to_judges(items, read_verdicts(verdicts), bootstrap, stream(seed, "faithfulness"))
    if as_json:
        print_json(found)
        return
    table = Table(Column("judge", no_wrap=True), "scored", "raw", "normalised")
    for name, figures in found.items():
        table.add_row(name, str(figures["raw"]["denominator"]), _cell(figures["raw"]), _cell(figures["normalised"]))
    Console().print(table)


def _table(summary: dict[str, Any]) -> Table:
    names = Column(no_wrap=True)
    table = Table(
        names, "used", *SHOWN, caption="95% intervals by cluster bootstrap over groups", caption_justify="left"
    )
    for name, entry in {"all": summary, **summary["by_kind_direction"]}.items():
        table.add_row(name, str(entry["counts"]["n_used"]), *(_cell(entry[metric]) for metric in SHOWN))
    return table


def _cell(entry: dict[str, float | None]) -> str:
    if entry["value"] is None:
        return "undefined"
    return f"{entry['value']:.2f}" + (f" [{entry['low']:.2f}, {entry['high']:.2f}]" if entry["low"] is not None else "")
