"""``hintprobe judge``: the judge stage of a run, or a judge on anybody's transcripts."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activations.errors import HintprobeError
from experiments.commands.running import AsJson, PartOf, Settings, Wait, part_of, print_json, run_until
from experiments.run.console import PlainConsole as Console
from experiments.run.stopping import stoppable

if TYPE_CHECKING:
    from experiments.records import Verdict

TRANSCRIPT_SUFFIXES = (".jsonl", ".gz", ".ndjson")


def is_transcripts(path: Path) -> bool:
    """A file of transcripts, and not a config, by its suffix."""
    return path.suffix in TRANSCRIPT_SUFFIXES


def check_mix(path: Path, judges: Sequence[str], out: Path | None) -> None:
    """Refuse options that belong to the other use of the command.

    Raises:
        HintprobeError: a config with ``--judge`` or ``-o``, or transcripts without ``-o``.
    """
    if not is_transcripts(path):
        if judges or out is not None:
            raise HintprobeError(
                f"{path} is read as the config of a run, whose judges are in its `judge` section; --judge, --models, "
                "--panel and -o are for a .jsonl file of transcripts. Give one or the other."
            )
        return
    if out is None:
        raise HintprobeError(f"{path} is a file of transcripts: name the file of verdicts with -o VERDICTS.jsonl.")
    if out.resolve() == path.resolve():
        raise HintprobeError(f"-o names the file of transcripts itself ({path}); verdicts need a file of their own.")


def read_models(path: Path | None) -> dict[str, Any]:
    """Language models that judge, from a YAML mapping of names (or the ``judge.models`` of a run's config).

    Raises:
        HintprobeError: unreadable, or not such a mapping.
    """
    if path is None:
        return {}
    import yaml
    from pydantic import TypeAdapter, ValidationError

    from experiments.config import JudgeModel
    from experiments.records.files import NOT_YAML, why
    from experiments.transcripts.record import first_problem

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, *NOT_YAML) as error:
        raise HintprobeError(f"The file of judges {path} could not be read: {why(error)}.") from error
    if isinstance(data, dict) and isinstance(data.get("judge"), dict):
        data = data["judge"].get("models", {})
    try:
        return TypeAdapter(dict[str, JudgeModel]).validate_python(data)
    except ValidationError as error:
        raise HintprobeError(
            f"The file of judges {path} is not valid: {first_problem(error)}. Expected names, each with provider, role "
            "and endpoint, as under `judge.models` in docs/judges.md."
        ) from error


def judge_file(
    path: Path, names: Sequence[str], out: Path, models: Path | None, panel: bool, cache: Path, console: Console | None
) -> dict[str, Any]:
    """Judge a file of transcripts; verdicts that ``out`` holds already are kept and not asked again."""
    from experiments.judges import build_judges
    from experiments.judges.panel import pairwise_agreement
    from experiments.records import Verdict
    from experiments.records.tables import RecordTable
    from experiments.run.lock import holding
    from experiments.run.progress import Reporter
    from experiments.stages.judge import judged, refuse_unreached
    from experiments.transcripts import read_transcripts

    transcripts = read_transcripts(path)
    known = {transcript.id for transcript in transcripts}
    table = RecordTable(out, Verdict)
    if not out.parent.is_dir():
        raise HintprobeError(f"The folder {out.parent} for verdicts does not exist. Make it, then run again.")
    strangers = sum(verdict.rollout_id not in known for verdict in table.read())
    if strangers:
        raise HintprobeError(
            f"{out} holds {strangers} verdicts on transcripts that are not in {path}. It was left unchanged; name "
            "another file with -o."
        )
    trained = {Path(name).stem: Path(name) for name in names if name.endswith(".json")}
    named = [Path(name).stem if name.endswith(".json") else name for name in names]
    judges = build_judges(named, read_models(models), cache / "judges", trained)
    with holding(out.parent, f".{out.name}.lock"):
        verdicts, spent = judged(table, transcripts, judges, panel, Reporter(console))
    refuse_unreached(judges, len(transcripts))
    agreement = {
        field: {f"{first} ~ {second}": found for (first, second), found in pairwise_agreement(verdicts, field).items()}
        for field in ("mentions", "relies", "verbalized")
    }
    return {"judges": _account(verdicts, spent), "agreement": agreement}


def _account(verdicts: "Sequence[Verdict]", spent: dict[str, dict[str, float]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for judge in sorted({verdict.judge for verdict in verdicts}):
        own = [verdict for verdict in verdicts if verdict.judge == judge]
        result[judge] = {
            "transcripts": len(own),
            "status": dict(sorted(Counter(verdict.status for verdict in own).items())),
            "mentions": sum(bool(verdict.mentions) for verdict in own),
            "relies": sum(bool(verdict.relies) for verdict in own),
            "verbalized": sum(bool(verdict.verbalized) for verdict in own),
            **({"spent": spent[judge]} if judge in spent else {}),
        }
    return result


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("judge")(judge)


def judge(
    file: Annotated[Path, typer.Argument(help="Configuration of a run, or a .jsonl (.gz) file of transcripts.")],
    judges: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            help="Transcripts only: lexical, a name in --models, or a trained judge's .json file; repeatable.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Transcripts only: the file of verdicts.")] = None,
    models: Annotated[
        Path | None, typer.Option("--models", help="Transcripts only: YAML file of language models that judge.")
    ] = None,
    panel: Annotated[bool, typer.Option("--panel", help="Transcripts only: add the verdict of the majority.")] = False,
    as_json: AsJson = False,
    model: Annotated[
        str | None, typer.Option("--model", help="Config only: the model, instead of the config's.")
    ] = None,
    cache: Annotated[Path | None, typer.Option("--cache", help="Folder for runs and for replies of judges.")] = None,
    set_: Settings = None,
    wait: Wait = False,
    part: PartOf = None,
) -> None:
    """Read every chain of thought for an admission of the hint.

    Given a configuration, run this stage; otherwise judge any file of transcripts.

    Example: hintprobe judge transcripts.jsonl --judge lexical -o verdicts.jsonl
    """
    extras = [*(judges or []), *(["--models"] if models else []), *(["--panel"] if panel else [])]
    check_mix(file, extras, out)
    if not is_transcripts(file):
        run_until(file, model, cache, "judge", as_json, set_, part_of(part) if part else None, wait=wait)
        return
    if model is not None or set_ or part is not None:
        raise HintprobeError(
            "--model, --set and --part are for a run's config; for transcripts, choose the judge with --judge."
        )
    assert out is not None
    console = None if as_json else Console()
    with stoppable():
        counts = judge_file(file, judges or ["lexical"], out, models, panel, cache or Path("cache"), console)
    if as_json:
        print_json(counts)
        return
    for name, count in counts["judges"].items():
        Console().print(f"{name}: " + ", ".join(f"{k} {v}" for k, v in count.items()), markup=False)
    for field, pairs in counts["agreement"].items():
        for pair, figures in pairs.items():
            Console().print(f"{pair}, {field}: {figures}", markup=False)
    Console().print(f"wrote {out}", markup=False)
