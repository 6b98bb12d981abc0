"""``hintprobe judges``: how far a judge can be trusted."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from activations.errors import HintprobeError
from experiments.commands.running import AsJson, aside, print_json
from experiments.run.console import PlainConsole as Console
from experiments.run.stopping import stoppable

SHOWN = ("raw_agreement", "kappa", "ac1", "prevalence", "judged_prevalence", "sensitivity", "specificity", "precision")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    judges = typer.Typer(help="Label transcripts; calibrate and train judges on the labels.")
    judges.command("calibrate")(calibrate)
    judges.command("label")(label)
    judges.command("train")(train)
    app.add_typer(judges, name="judges")


def calibrate(
    verdicts: Annotated[Path, typer.Argument(help="Verdicts, as `hintprobe judge` writes them.")],
    labels: Annotated[Path, typer.Argument(help="Labels: JSON lines with id, mentions, relies, kind, group.")],
    as_json: AsJson = False,
    bootstrap: Annotated[int, typer.Option("--bootstrap", help="Cluster-bootstrap resamples.", min=100)] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the resamples.")] = 0,
) -> None:
    """Print the agreement of judges with labels.

    Raw agreement, kappa, AC1, prevalence, sensitivity and specificity, by kind of hint, with intervals.

    Example: hintprobe judges calibrate verdicts.jsonl labels.jsonl
    """
    from experiments.judges.calibration import agreement_with_labels as compare
    from experiments.judges.calibration import read_labels, read_verdicts
    from experiments.records.seeds import stream

    with stoppable(), aside().busy("agreement"):
        result = compare(read_verdicts(verdicts), read_labels(labels), bootstrap, stream(seed, "calibrate"))
    if as_json:
        print_json(result)
        return
    console = Console()
    for judge, found in result.items():
        for field in ("mentions", "relies", "verbalized"):
            console.print(_table(f"{judge}: {field}", found[field]))
            for kind, entry in {"all": found[field]["all"], **found[field]["by_kind"]}.items():
                if entry["cannot_be_scored"]:
                    said = f"{judge}: {field} ({kind}) cannot be scored: {entry['cannot_be_scored']}."
                    console.print(said, markup=False)
        console.print(f"{judge}: {found['unscored']} of {found['labelled']} labelled verdicts unscored", markup=False)


def _table(title: str, found: dict[str, Any]) -> Table:
    table = Table("kind", "n", *(name.replace("_", " ") for name in SHOWN), title=title)
    for name, entry in {"all": found["all"], **found["by_kind"]}.items():
        table.add_row(name, str(entry["n"]), *(_cell(entry[figure]) for figure in SHOWN))
    return table


def _cell(entry: dict[str, float | None] | None) -> str:
    if entry is None or entry["value"] is None:
        return "undefined"
    if entry["low"] is None:
        return f"{entry['value']:.2f}"
    return f"{entry['value']:.2f} ({entry['low']:.2f}-{entry['high']:.2f})"


def label(
    transcripts: Annotated[Path, typer.Argument(help="The transcripts to label.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file of labels; existing labels are kept.")],
    limit: Annotated[
        int | None, typer.Option("--limit", help="Label this many transcripts, in random order.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the order.")] = 0,
) -> None:
    """Label transcripts by hand, blind to every judge.

    Quit with q, and resume later with the same command.

    Example: hintprobe judges label transcripts.jsonl -o labels.jsonl --limit 100
    """
    from experiments.judges.labelling import label_session
    from experiments.transcripts import read_transcripts

    console = Console()

    def show(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    def ask(question: str) -> str:
        return console.input(question, markup=False)

    with stoppable():
        total = label_session(read_transcripts(transcripts), out, ask, show, seed, limit)
    console.print(f"{out} holds {total} labels", markup=False)


def train(
    transcripts: Annotated[Path, typer.Argument(help="The transcripts that were labelled.")],
    labels: Annotated[Path, typer.Argument(help="Labels, or the verdicts of a language model (with --judge).")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The judge's file to write (.json).")],
    judge: Annotated[str | None, typer.Option("--judge", help="The judge whose verdicts are the labels.")] = None,
    embeddings: Annotated[
        str | None, typer.Option("--embeddings", help="Folder of a transformers model for sentence embeddings.")
    ] = None,
    bootstrap: Annotated[int, typer.Option("--bootstrap", help="Cluster-bootstrap resamples.", min=100)] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of folds and resamples.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Train a judge on labels of your own run.

    About 250 labels suffice. The judge is cross-validated by question and calibrated, and its accuracy is reported. Use
    it as `hintprobe judge TRANSCRIPTS --judge FILE.json`, or under `judge.trained` in a run's config.

    Example: hintprobe judges train transcripts.jsonl labels.jsonl -o mine.json
    """
    import json

    from experiments.judges.calibration import read_labels
    from experiments.judges.training import train_fields
    from experiments.records.seeds import stream
    from experiments.records.tables import write_atomically
    from experiments.transcripts import read_transcripts

    if not out.resolve().parent.is_dir():
        raise HintprobeError(f"The folder of {out} does not exist. Make it, then run again.")
    with stoppable(), aside().busy("training"):
        read = read_labels(labels, judge)
        fields, untrained = train_fields(
            read_transcripts(transcripts), read, stream(seed, "train judge"), embeddings, bootstrap
        )
    write_atomically(out, json.dumps({name: field.model_dump(mode="json") for name, field in fields.items()}) + "\n")
    reports = {name: field.report for name, field in fields.items()}
    if as_json:
        print_json({"trained": reports, "not_trained": untrained})
        return
    console = Console()
    for name, report in reports.items():
        console.print(_table(f"{name}, cross-validated by question", report))
        console.print(f"Brier score {report['brier']:.3f}, of the prevalence alone {report['brier_of_prevalence']:.3f}")
    for name, reason in untrained.items():
        console.print(f"{name}: taken from the lexical judge. {reason}", markup=False)
    console.print(f"wrote {out}", markup=False)
