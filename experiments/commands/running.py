"""What the commands that run stages share."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from activations.errors import HintprobeError

if TYPE_CHECKING:
    from activations import Part


@contextmanager
def stoppable() -> Iterator[None]:
    """Ctrl-C loses nothing, and says so."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise HintprobeError(
            "Stopped. What was finished is kept; run the same command again to go on from there."
        ) from stop


Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="KEY=VALUE in place of the config's, such as questions.limit=100; may be repeated."),
]


def run_until(
    config_path: Path,
    model: str | None,
    cache: Path | None,
    until: str,
    as_json: bool = False,
    settings: Sequence[str] | None = None,
    part: "Part | None" = None,
    device: str | None = None,
) -> None:
    """Run the stages of a configuration up to and including ``until``; after the last one, print the summary."""
    from experiments.config_file import load_config
    from experiments.pipeline import run_pipeline
    from experiments.progress import Reporter

    overrides: dict[str, Any] = {"cache": cache, "device": device}
    if model is not None:
        overrides.update(models=(model,), limits={})
    config = load_config(config_path, settings or (), **overrides)
    console = Console()
    with stoppable():
        summary = run_pipeline(config, Reporter(None if as_json else console), until, part)
    if summary is None:
        return
    from experiments.report import PAGE, print_summary

    if as_json:
        sys.stdout.write((config.run_dir / "summary.json").read_text(encoding="utf-8"))
    else:
        print_summary(console, summary, config.run_dir / PAGE)
