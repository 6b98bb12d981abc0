"""``hintprobe score``: a saved probe on new transcripts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activations.errors import HintprobeError
from experiments.commands.running import AsJson, print_json
from experiments.run.console import PlainConsole as Console
from experiments.run.stopping import stoppable

if TYPE_CHECKING:
    from experiments.detectors.streamed import Writing


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


def stream_file(
    model: str,
    probe: Path,
    transcripts: Path,
    out: Path,
    force: bool,
    device: str,
    console: Console | None,
    writing: "Writing",
) -> dict[str, Any]:
    """Follow a file token by token; the probe and the transcripts are read before the model is loaded."""
    from activations import load_model
    from experiments.detectors.scoring import check_use
    from experiments.detectors.streamed import check_streams, stream_transcripts
    from experiments.run.known_models import resolve_model
    from experiments.run.progress import Reporter
    from experiments.transcripts.completed import OpenTranscript, read_completed
    from probes import load_probe

    saved = load_probe(probe)
    check_streams(saved)
    rows = read_completed(transcripts, OpenTranscript)
    loaded = load_model(resolve_model(model), device=device)
    check_use(saved, loaded, force)
    return stream_transcripts(loaded, saved, rows, out, Reporter(console), writing)  # fmt: skip


def score(
    model: Annotated[str, typer.Argument(help="Folder, hub id or organism:NAME of the transcripts' model.")],
    probe: Annotated[Path, typer.Argument(help="Folder of a saved probe: RUN/MODEL/probe-…/probes/TARGET/NAME.")],
    transcripts: Annotated[Path, typer.Argument(help="JSON lines: id, prompt_text or messages, completion.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="File of scores; lines that it already holds are not scored again.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Accept a model on which the probe was not trained.")] = False,
    device: Annotated[str, typer.Option("--device", help="auto: CUDA where there is one, otherwise CPU.")] = "auto",
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Give a score after every token of the chain of thought while it is written."),
    ] = False,
    new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", help="With --stream: for lines without a completion.", min=1)
    ] = 1024,
    temperature: Annotated[
        float, typer.Option("--temperature", help="With --stream: for lines without a completion.", min=0)
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", help="With --stream: seed of the sampling.")] = 0,
    stop: Annotated[
        bool, typer.Option("--stop-at-alarm", help="With --stream: stop a completion at its first alarm.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Score new transcripts with a saved probe.

    One forward pass per transcript, read at the probe's position. With --stream, gives a score after every token of the
    chain of thought, from the text so far; the model writes the completion of lines that have none.

    Example: hintprobe score organism:unfaithful probes/reliant/probe_within_cot rollouts.jsonl -o scores.jsonl
    """
    if stream:
        from activations import Decoding
        from experiments.detectors.streamed import Writing

        writing = Writing(Decoding(max_new_tokens=new_tokens, temperature=temperature), seed, stop)
        with stoppable():
            found = stream_file(model, probe, transcripts, out, force, device, None if as_json else Console(), writing)
        _print_stream(found, as_json)
        return
    if stop:
        raise HintprobeError("--stop-at-alarm stops a completion while it is written: add --stream.")
    with stoppable():
        counts = score_file(model, probe, transcripts, out, force, device, None if as_json else Console())
    if as_json:
        print_json(counts)
        return
    console = Console()
    console.print(f"{counts['probe']}: {counts['target']}", markup=False, highlight=False)
    if counts["other_model"]:
        console.print("The probe was trained on another model: its threshold and calibration may not hold here.")
    console.print(
        f"{counts['scored']} of {counts['transcripts']} transcripts scored, {counts['flagged']} above the threshold "
        f"({counts['threshold']}). wrote {counts['out']}",
        markup=False,
        highlight=False,
    )
    for reason, n in counts["unresolved"].items():
        console.print(f"not scored: {n}, {reason}", markup=False)


def _print_stream(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    alarms = (
        f"{found['alarms']} gave an alarm (threshold {found['threshold']:.3g})"
        if found["threshold"] is not None
        else "no alarms: this probe has no threshold for texts that are scored while they are written"
    )
    Console().print(
        f"{found['probe']}: {found['target']}\n{found['scored']} of {found['transcripts']} transcripts have a chain of "
        f"thought; {alarms}. wrote {found['out']}",
        markup=False,
        highlight=False,
    )
