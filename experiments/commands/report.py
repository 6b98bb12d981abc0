"""``hintprobe report``: of a configuration (runs what is missing) or of finished runs, as a page, text or a table."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from activations.errors import HintprobeError
from experiments.commands.running import Settings, aside, run_until
from experiments.run.stopping import stoppable


class Format(StrEnum):
    """What to write."""

    html = "html"
    md = "md"
    json = "json"
    csv = "csv"


class Texts(StrEnum):
    """Whether prompts and completions go into the page."""

    auto = "auto"
    show = "show"
    hide = "hide"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    runs: Annotated[list[Path], typer.Argument(help="One configuration, or folders of one or more runs.")],
    format: Annotated[
        Format, typer.Option(help="html is a page; md, json and csv go to standard output.")
    ] = Format.html,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write, instead of the default.")] = None,
    texts: Annotated[
        Texts,
        typer.Option(
            help="auto leaves out the texts of questions whose authors ask for it (GPQA); hide leaves out all."
        ),
    ] = Texts.auto,
    figures: Annotated[Path | None, typer.Option(help="Folder to write every figure to, as SVG and PNG.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="With a configuration: model to use instead of its models.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="With a configuration: folder to use instead of its cache.")
    ] = None,
    set_: Settings = None,
) -> None:
    """Write the report of a run, or of several runs side by side.

    Example: hintprobe report cache/runs/demo --format md
    """
    if len(runs) == 1 and _is_config(runs[0]):
        _run_first(runs[0], model, cache, set_, format, (out, texts, figures))
        return
    if model is not None or cache is not None or set_:
        raise HintprobeError("--model, --cache and --set are for a configuration; folders of runs hold their own.")
    with stoppable(), aside().busy("writing the report"):
        written = _report(runs, format, out, texts, figures)
    sys.stdout.write(written)


def _is_config(path: Path) -> bool:
    from experiments.config.file import shipped_config

    named = path.suffix in (".yaml", ".yml")
    return named or (path.is_file() and path.suffix != ".json") or shipped_config(path) is not None


def _run_first(
    config: Path,
    model: str | None,
    cache: Path | None,
    settings: list[str] | None,
    format: Format,
    options: tuple[Path | None, Texts, Path | None],
) -> None:
    """The report of a configuration: what is missing is run, and the report is then that of the run's folder."""
    from experiments.config.file import load_config

    plain = format == Format.html and options == (None, Texts.auto, None)
    run_until(config, model, cache, "report" if plain else "compare", False, settings, quiet=not plain)
    if not plain:
        folder = load_config(config, settings or (), cache=cache).run_dir
        sys.stdout.write(_report([folder], format, *options))


def _report(folders: list[Path], format: Format, out: Path | None, texts: Texts, figures: Path | None) -> str:
    """Write what was asked for; returns what is to be printed."""
    from experiments.records.tables import write_atomically
    from experiments.report import PAGE, read_run, write_report
    from experiments.report.export import FORMATS

    if out is not None and out.is_dir():
        raise HintprobeError(f"`--out {out}` is a folder, but the name of a file was expected, such as {out / PAGE}.")
    if out is not None and not out.resolve().parent.is_dir():
        raise HintprobeError(f"The folder of `--out {out}` does not exist, or is a file. Make it, then run again.")
    runs = [read_run(folder) for folder in folders]
    if figures is not None:
        from experiments.report.gallery import write_pictures

        write_pictures(runs, figures)
    if format == Format.html:
        page = out or (runs[0].folder if len(runs) == 1 else Path()) / PAGE
        write_report(runs, page, texts.value)
        return f"{page}\n"
    text = FORMATS[format.value](runs)
    if out is None:
        return text
    write_atomically(out, text)
    return f"{out}\n"
