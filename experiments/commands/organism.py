"""``hintprobe organism``: train organisms, hold them to their promises, read their factors, calibrate with them."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from activations.errors import HintprobeError
from experiments.commands.lora import register as register_lora
from experiments.commands.running import AsJson, aside, print_json
from experiments.run.console import PlainConsole as Console
from experiments.run.stopping import stoppable

if TYPE_CHECKING:
    from experiments.organisms.verify import Verified

organism = typer.Typer(help="Small models whose reliance on hints is known.")
register_lora(organism)
Cache = Annotated[Path, typer.Option(help="Where checkpoints and runs are kept.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(organism, name="organism")


class Format(StrEnum):
    """How a table is printed."""

    csv = "csv"
    jsonl = "jsonl"


@organism.command("train")
def train(
    name: Annotated[str, typer.Argument(help="Name of a recipe in experiments/organisms/recipes.")],
    seed: Annotated[int, typer.Option(help="Seed of the initial weights and of the order of rows.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder to write the model to.")] = None,
    cache: Cache = Path("cache"),
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the organism that training starts from; without it, that organism is trained first."
        ),
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the model first: steps take half the time; needs a C++ compiler.")
    ] = False,
) -> None:
    """Train an organism from scratch.

    A stopped training resumes from its last checkpoint.

    Example: hintprobe organism train unfaithful --seed 0 --out my_unfaithful
    """
    from experiments.organisms.commands import train_command

    with stoppable():
        folder = train_command(name, seed, out, cache, threads, Console(), start, compiled)
    Console().print(f"wrote {folder}")


@organism.command("verify")
def verify(
    name: Annotated[str, typer.Argument(help="Name of a shipped organism, or the folder of a trained one.")],
    questions: Annotated[
        int | None, typer.Option(help="Held-out questions, at least 1000; 240 with --quick.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the questions and targets.")] = 0,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Ask few questions; a promise counts as broken only if an interval excludes it."),
    ] = False,
    named: Annotated[
        str | None,
        typer.Option("--as", help="The organism whose promises are checked, for a folder that does not name it."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write the result to this JSON file.")] = None,
    cache: Cache = Path("cache"),
    as_json: AsJson = False,
) -> None:
    """Check an organism's promises on held-out questions.

    Exit status 2 if a promise is broken. A full check of a shipped organism also writes its measurements and its card.

    Example: hintprobe organism verify unfaithful --questions 1200
    """
    from experiments.organisms.identity import find_organism
    from experiments.organisms.verify import questions_to_ask
    from experiments.organisms.verify import verify as measure_and_check
    from experiments.records.tables import write_json
    from experiments.run.progress import Reporter

    asked = questions_to_ask(questions, quick)
    found = find_organism(name, named)
    with stoppable():
        result = measure_and_check(found, asked, seed, quick, cache, aside() if as_json else Reporter(Console()))
    if out is not None:
        write_json(out, result.as_dict())
    if as_json:
        print_json(result.as_dict())
    else:
        _print(result)
    if result.broken:
        raise result.refusal()


def _print(result: "Verified") -> None:
    from experiments.organisms.verify import promise_lines

    console = Console(width=None if Console().is_terminal else 200)
    figure = Column("figure", overflow="fold")
    table = Table("promise", figure, "measured", "n", "promised", "", title=result.organism.source)
    for line in promise_lines(result.outcomes, result.quick):
        table.add_row(*line)
    console.print(table)


@organism.command("seeds")
def seeds(
    name: Annotated[str, typer.Argument(help="Name of a shipped organism.")],
    folders: Annotated[list[Path], typer.Argument(help="Folders of the same recipe trained from other seeds.")],
    questions: Annotated[int, typer.Option(help="Held-out questions, at least 1000.", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the questions and targets.")] = 0,
    cache: Cache = Path("cache"),
    as_json: AsJson = False,
) -> None:
    """Check an organism's promises on other seeds.

    Reports the spread, also on the organism's card.

    Example: hintprobe organism seeds unfaithful cache/training/unfaithful-1/model cache/training/unfaithful-2/model
    """
    from experiments.organisms.seeds import compare_seeds
    from experiments.organisms.verify import questions_to_ask
    from experiments.run.progress import Reporter

    asked = questions_to_ask(questions, quick=False)
    with stoppable():
        found = compare_seeds(name, folders, asked, seed, cache, aside() if as_json else Reporter(Console()))
    if as_json:
        print_json(found)
        return
    console = Console()
    for trained, entry in found["by_seed"].items():
        kept = entry["promises"] - len(entry["broken"])
        console.print(f"seed {trained}: {kept} of {entry['promises']} promises held {' '.join(entry['broken'])}")


@organism.command("factors")
def factors(
    run: Annotated[str, typer.Argument(help="Folder of a run, or the name of an organism that `verify` has measured.")],
    format: Annotated[Format, typer.Option(help="Format of the table.")] = Format.csv,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write, instead of standard output.")] = None,
    cache: Cache = Path("cache"),
    as_json: AsJson = False,
) -> None:
    """Write the known causes of every hinted row of a finished run.

    Certainty, disposition, whether these cause reliance, the coin toss, and whether the organism would admit it.

    Example: hintprobe organism factors cache/runs/demo -o factors.csv
    """
    from experiments.organisms.factors import organism_factors
    from experiments.records.summary import SUMMARY
    from experiments.records.tables import write_atomically

    left = cache / "runs" / f"verify-{run.removeprefix('organism:')}"
    folder = Path(run)
    if not (folder / SUMMARY).exists() and not folder.is_dir():
        if not (left / SUMMARY).exists():
            raise HintprobeError(
                f"There is no run {run!r}, and no run by `hintprobe organism verify {run}` in {cache / 'runs'}. Give "
                "the folder that `hintprobe run` wrote, or verify the organism first."
            )
        folder = left
    frame = organism_factors(folder)
    if as_json:
        records = frame.astype(object).where(frame.notna(), None).to_dict(orient="records")
        print_json({"run": str(folder), "rows": records})
        return
    lines = frame.to_csv(index=False) if format == Format.csv else frame.to_json(orient="records", lines=True)
    if out is None:
        sys.stdout.write(str(lines))
        return
    write_atomically(out, str(lines))
    Console().print(f"wrote {out}")


@organism.command("calibrate")
def calibrate(
    config: Annotated[str, typer.Argument(help="The run: a configuration file or a shipped one's name.")] = "family",
    organisms: Annotated[
        str | None, typer.Option(help="Names, joined by commas, instead of the configuration's models.")
    ] = None,
    questions: Annotated[
        int | None, typer.Option(help="Questions per organism, instead of the configuration's.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Markdown page whose marked part is rewritten.")] = None,
    cache: Annotated[Path | None, typer.Option(help="In place of the configuration's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the pipeline on organisms; compare detectors with the truth.

    Example: hintprobe organism calibrate --page docs/calibration.md
    """
    from experiments.organisms.calibration import calibrate as run_family
    from experiments.organisms.calibration_page import page_text, write_page
    from experiments.run.progress import Reporter

    with stoppable():
        names = organisms.split(",") if organisms else None
        found = run_family(config, names, questions, cache, aside() if as_json else Reporter(Console()))
    if page is not None:
        write_page(page, found)
    if as_json:
        print_json(found)
    else:
        sys.stdout.write(page_text(found) + "\n")
