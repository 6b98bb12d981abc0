"""``hintprobe ls`` and ``hintprobe show``: what runs there are, and one item of one of them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from activations.errors import HintprobeError
from experiments.commands.running import AsJson, print_json
from experiments.run.console import PlainConsole

RUNS = Path("cache/runs")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("ls")(ls)
    app.command("show")(show)


def ls(
    runs: Annotated[Path, typer.Argument(help="Folder that holds runs.")] = RUNS,
    as_json: AsJson = False,
) -> None:
    """List the runs of a cache and their state.

    Example: hintprobe ls cache/runs
    """
    if not runs.is_dir():
        raise HintprobeError(f"There is no folder {runs}. Give the folder that holds runs, such as cache/runs.")
    found = [_state(folder) for folder in sorted(runs.iterdir()) if folder.is_dir()]
    if as_json:
        print_json(found)
        return
    console = PlainConsole(soft_wrap=True, highlight=False)
    for run in found:
        console.print(run["name"], style="bold")
        for line in run["models"] or [run["state"]]:
            console.print(f"  {line}")
    if not found:
        console.print(f"There is no run in {runs}.")


def _state(folder: Path) -> dict[str, Any]:
    """Name, state and a line per model of one run's folder."""
    from experiments.report.runs import read_run

    try:
        summary = read_run(folder).summary
    except HintprobeError as error:
        begun = (folder / "summary.json").exists()
        return {"name": folder.name, "state": str(error) if begun else "no stage is finished", "models": []}
    lines, missing = [], set()
    for model in summary.models:
        missing |= set(model.missing_stages)
        what = f"missing: {', '.join(model.missing_stages)}" if model.missing_stages else "finished"
        if model.comparison:
            counts = model.comparison.counts
            what += f"; {counts.reliant} of {counts.hinted_rollouts} relied, {counts.hidden} of them hidden"
        lines.append(f"{model.model}: {what}")
    return {"name": summary.name, "state": "unfinished" if missing else "finished", "models": lines}


def show(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or the name of one in cache/runs.")],
    item: Annotated[str | None, typer.Argument(help="Id of an item; by default the first hidden one.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Model of the run; by default the first.")] = None,
    every: Annotated[bool, typer.Option("--list", help="List the items with their behaviour.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print one item of a run in full.

    The question, the hint, every answer, the behaviour, the verdicts and the chain of thought.

    Example: hintprobe show demo
    """
    from experiments.report.item_text import first_hidden, item_records, item_text
    from experiments.report.runs import read_run

    found = read_run(run if run.is_dir() else RUNS / run)
    models = {summary.model: summary for summary in found.summary.models}
    chosen = model or next(iter(models))
    if chosen not in models:
        raise HintprobeError(f"The run has no model {chosen!r}. It has: {', '.join(models)}.")
    records = found.records(models[chosen])
    console = PlainConsole(soft_wrap=True, highlight=False)
    if every:
        labels = list(records.labels.values())
        if as_json:
            print_json([label.model_dump(mode="json") for label in labels])
        else:
            console.print("\n".join(f"{x.item_id}  {x.kind}  {x.direction}  {x.behaviour}" for x in labels))
        return
    name = item or first_hidden(records, models[chosen])
    if as_json:
        print_json(item_records(records, models[chosen], name))
        return
    console.print(item_text(records, models[chosen], name).rstrip())
