"""``hintprobe plan``: what a configuration would run, before it runs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from experiments.commands.running import AsJson, Settings, aside, print_json
from experiments.run.console import PlainConsole as Console
from experiments.run.stopping import stoppable


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan")(plan)


def plan(
    config: Annotated[Path, typer.Argument(help="YAML file (docs/configuration.md), or the name of a shipped one.")],
    card: Annotated[str, typer.Option(help="Card to estimate for: H200, H100, A100, L40S or RTX4090.")] = "H100",
    completion_tokens: Annotated[
        float | None, typer.Option(help="Mean tokens of a completion; by default a quarter of the limit.")
    ] = None,
    accuracy: Annotated[
        float, typer.Option(help="Share of questions answered correctly without the hint.", min=0, max=1)
    ] = 0.7,
    following: Annotated[
        float, typer.Option(help="Share of answers that switch to the hinted option (p).", min=0, max=1)
    ] = 0.25,
    model: Annotated[str | None, typer.Option("--model", help="In place of the config's models.")] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Folder of the store and the runs, instead of the config's.")
    ] = None,
    set_: Settings = None,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Load the model and measure on a few questions, instead of assuming rates."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what a run costs, what is cached, what it could detect.

    Runs nothing and, without --calibrate, loads no weights.

    Example: hintprobe plan demo
    """
    overrides: dict[str, Any] = {"cache": cache}
    if model is not None:
        overrides.update(models=(model,), limits={})
    with offline(), stoppable(), aside().busy("planning"):
        # Imported here, for the hub's library takes note of the environment when it is.
        from experiments.config.file import load_config
        from experiments.planning.plan import Assumptions, plan_run
        from experiments.planning.power import Rates

        loaded = load_config(config, set_ or (), **overrides)
        plans = plan_run(loaded, Assumptions(completion_tokens, card, Rates(accuracy, following), calibrate))
    if as_json:
        print_json({"name": loaded.name, "models": plans})
        return
    console = Console()
    for entry in plans:
        _print(console, entry)


@contextmanager
def offline() -> Iterator[None]:
    """A plan downloads nothing; without this, an unreachable hub would be tried for half a minute."""
    before = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = before


def _print(console: Console, entry: dict[str, Any]) -> None:
    from experiments.planning.words import parameters, size

    power, assumed, measured = entry["power"], entry["assumed"], entry["measured"]
    counted = "counted" if entry["given"] else "expected"
    where = "here" if measured else f"on one {assumed['card']} (assumed)"
    table = Table(title=f"{entry['model']} ({parameters(entry['parameters'])} parameters)", title_justify="left")
    table.add_column("what")
    table.add_column("how much", justify="right")
    fits = "fits" if entry["fits_the_card"] else "does not fit: lower generate.token_budget, or use more cards"
    for what, amount in (
        ("questions", f"{entry['questions']:,}"),
        ("items (question × kind × direction)", f"{entry['items']:,}"),
        ("rollouts to sample", f"{entry['rollouts']:,}"),
        ("tokens, prompts included", f"{entry['tokens']:,}"),
        ("rollouts to capture", f"{entry['captured_rollouts']:,}"),
        ("activations on disk", size(entry["activation_bytes"])),
        ("records on disk", size(entry["record_bytes"])),
        (f"memory on one {assumed['card']}", f"{size(entry['memory_bytes'])} ({fits})"),
        (f"generate {where}", _time(entry, "generate")),
        (f"capture {where}", _time(entry, "capture")),
        ("probe, on a CPU thread", _time(entry, "probe")),
        (f"patch {where}", _time(entry, "patch")),
        (f"mediate {where}", _time(entry, "mediate")),
        (f"directions {where}", _time(entry, "directions")),
        (f"reliant rows {counted}", f"{power['expected_reliant']:.0f}"),
        (f"aligned rows {counted}", f"{power['expected_aligned']:.0f}"),
    ):
        table.add_row(what, amount)
    console.print(table)
    console.print(_cached(entry["cached"]), markup=False)
    for note in entry["notes"]:
        console.print(f"Note: {note}", markup=False)
    console.print(_verdict(power, entry["cached"]["labels"]), markup=False)
    console.print(_basis(assumed, measured, entry["given"]), markup=False)


def _time(entry: dict[str, Any], stage: str) -> str:
    """How long a stage takes as a whole, and the rest of it where a part is there."""
    from experiments.planning.words import duration

    whole, left = entry["seconds"][stage], entry["seconds_left"][stage]
    return duration(whole) if left == whole else f"{duration(whole)}, of which {duration(left)} are left"


def _cached(cached: dict[str, Any]) -> str:
    """What the cache has, in words."""
    from experiments.planning.words import size

    done = [name for name, finished in cached["stages"].items() if finished]
    rollouts, held = cached["rollouts"], cached["activations"]
    if not done and not rollouts["present"]:
        return "In the cache: nothing of this run."
    parts = [f"stages finished: {', '.join(done) or 'none'}"]
    parts.append(f"rollouts: {rollouts['present']:,} there, {rollouts['missing']:,} missing")
    if held["counted"]:
        rows, places, n_bytes = (held[key] for key in ("rows", "positions", "bytes"))
        parts.append(
            f"activations ({held['dtype']}, {held['sites']} sites): {rows['present']:,} of "
            f"{sum(rows.values()):,} rows, {places['present']:,} of {sum(places.values()):,} positions, "
            f"{size(n_bytes['present'])} there, {size(n_bytes['missing'])} missing"
        )
    else:
        parts.append("activations: counted when all rollouts are present")
    return f"In the cache: {'; '.join(parts)}."


def _basis(assumed: dict[str, Any], measured: dict[str, Any] | None, given: bool) -> str:
    rates = assumed["rates"]
    if given:
        return "Times are calculated from the card's data sheet and may be wrong by a factor of three."
    if measured:
        return (
            f"Measured on {measured['questions']} questions: speed, completions of {assumed['completion_tokens']:.0f} "
            f"tokens, {measured['truncated']:.0%} cut at the limit, {rates['parsed']:.0%} with an answer, accuracy "
            f"{rates['accuracy']:.2f}. Assumed: {rates['following']:.2f} switch to the hint."
        )
    return (
        f"Assumed: completions of {assumed['completion_tokens']:.0f} tokens, accuracy {rates['accuracy']:.2f}, "
        f"{rates['following']:.2f} switch to the hint; times are calculated from the card's data sheet and may be "
        "wrong by a factor of three. --calibrate measures instead."
    )


def _verdict(power: dict[str, Any], labels: dict[str, int] | None) -> str:
    """Could it carry the question: as found, where the rows are labelled already, or as expected."""
    if labels:
        needed, few = power["needed_of_each"], min(labels.values()) < power["needed_of_each"]
        return (
            f"Labelled already: {labels['reliant']} reliant and {labels['aligned']} aligned rows; probes need about "
            f"{needed} of each{', so these are too few' if few else ''}."
        )
    if not power["enough_rows"]:
        return (
            f"Too few rows: probes need about {power['needed_of_each']} reliant and aligned rows each. Ask more "
            "questions, or use hints that this model follows."
        )
    detectable = power["smallest_auroc_told_from_chance"]
    if detectable is None:
        return (
            "No AUROC within kind and direction could be distinguished from chance: no kind × direction would have "
            "both classes."
        )
    return (
        f"Enough rows to distinguish an AUROC within kind and direction of {detectable:.2f} or more from 0.5 in four "
        "runs out of five (rows of one question counted as independent)."
    )
