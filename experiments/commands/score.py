"""``hintprobe score``: a saved probe on new transcripts."""

from pathlib import Path
from typing import Annotated, Any

import typer

from experiments.commands.running import AsJson, print_json, stoppable
from experiments.run.console import PlainConsole as Console


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("score")(score)


def score_file(
    model: str, probe: Path, transcripts: Path, out: Path, force: bool, device: str, console: Console | None
) -> dict[str, Any]:
    """Score a file; the probe and the transcripts are read before the model is loaded."""
    from activations import load_model
    from experiments.detectors.scoring import check_use, score_transcripts
    from experiments.run.known_models import resolve_model
    from experiments.run.progress import Reporter
    from experiments.transcripts.completed import read_completed
    from probes import load_probe

    saved = load_probe(probe)
    rows = read_completed(transcripts)
    loaded = load_model(resolve_model(model), device=device)
    check_use(saved, loaded, force)
    return score_transcripts(loaded, saved, rows, out, Reporter(console))


def score(
    model: Annotated[str, typer.Argument(help="Folder, hub id or organism:NAME of the model that wrote them.")],
    probe: Annotated[Path, typer.Argument(help="Folder of a saved probe: RUN/MODEL/probe-…/probes/TARGET/NAME.")],
    transcripts: Annotated[Path, typer.Argument(help="JSON lines: id, prompt_text or messages, completion.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Where the scores go; what it holds is not scored again.")],
    force: Annotated[bool, typer.Option("--force", help="Take a model that the probe was not trained on.")] = False,
    device: Annotated[str, typer.Option("--device", help="auto: CUDA where there is one.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Score new transcripts with a saved probe.

    One forward each, read where the probe reads.

    Example: hintprobe score organism:unfaithful probes/reliant/probe_within_cot rollouts.jsonl -o scores.jsonl
    """
    with stoppable():
        counts = score_file(model, probe, transcripts, out, force, device, None if as_json else Console())
    if as_json:
        print_json(counts)
        return
    console = Console()
    console.print(f"{counts['probe']}: {counts['target']}", markup=False, highlight=False)
    if counts["other_model"]:
        console.print("Another model than the one it was trained on: its threshold and calibration may not hold here.")
    console.print(
        f"{counts['scored']} of {counts['transcripts']} transcripts scored, {counts['flagged']} above the threshold "
        f"({counts['threshold']}). wrote {counts['out']}",
        markup=False,
        highlight=False,
    )
    for reason, n in counts["unresolved"].items():
        console.print(f"not scored: {n}, {reason}", markup=False)
