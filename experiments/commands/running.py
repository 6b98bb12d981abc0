"""What the commands that run stages share."""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activations.errors import HintprobeError
from experiments.run.console import PlainConsole as Console

if TYPE_CHECKING:
    from activations import Part
    from experiments.run.progress import Reporter


@contextmanager
def stoppable() -> Iterator[None]:
    """Ctrl-C, and the signal by which a scheduler ends a job (SIGTERM), lose nothing, and say so."""
    ours = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _interrupted) if ours else None
    try:
        yield
    except KeyboardInterrupt as stop:
        raise HintprobeError(
            "Stopped. What was finished is kept; run the same command again to go on from there."
        ) from stop
    finally:
        if ours:
            signal.signal(signal.SIGTERM, before)


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="KEY=VALUE in place of the config's, such as questions.limit=100; may be repeated."),
]


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else.")]
"""What every command with a result takes."""


Wait = Annotated[
    bool,
    typer.Option("--wait", help="Where another process works on this run, wait for it, then go on from what it left."),
]


PartOf = Annotated[
    str | None,
    typer.Option(
        "--part", help="i/n: do part i (from 0) of n of the rows; torchrun's RANK and WORLD_SIZE say the same."
    ),
]
"""What the commands of stages whose rows can be computed apart take."""


Strict = Annotated[
    bool, typer.Option("--strict", help="Exit with status 2 where there are too few rows to train probes on.")
]


Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print every detector and time, not the result in brief alone.")
]


def aside() -> "Reporter":
    """Progress of a command whose result goes to standard output: drawn on standard error, on terminals only."""
    from experiments.run.progress import Reporter

    console = Console(stderr=True)
    return Reporter(console if console.is_terminal else None)


def print_json(result: Any) -> None:
    """One JSON value on standard output."""
    sys.stdout.write(json.dumps(result, allow_nan=False) + "\n")


def run_until(
    config_path: Path,
    model: str | None,
    cache: Path | None,
    until: str,
    as_json: bool = False,
    settings: Sequence[str] | None = None,
    part: "Part | None" = None,
    device: str | None = None,
    quiet: bool = False,
    wait: bool = False,
    strict: bool = False,
    verbose: bool = False,
) -> None:
    """Run the stages of a configuration up to and including ``until``; after the last one, print the summary.

    Args:
        as_json: print the run's summary instead, whatever the last stage.
        quiet: print nothing.
        verbose: print every detector and time, not the result in brief.
    """
    from experiments.config.file import load_config
    from experiments.pipeline import run_pipeline
    from experiments.run.progress import Reporter

    if part is not None and device is None:
        device = _own_gpu()
    overrides: dict[str, Any] = {"cache": cache, "device": device}
    if model is not None:
        overrides.update(models=(model,), limits={})
    config = load_config(config_path, settings or (), **overrides)
    console = Console()
    reporter = Reporter(None if as_json or quiet else console, Console(stderr=True))
    with stoppable():
        summary = run_pipeline(config, reporter, until, part, wait, strict)
    if part is not None:
        if as_json:
            print_json({"part": str(part), "verb": until, "run": str(config.run_dir)})
    elif as_json:
        sys.stdout.write((config.run_dir / "summary.json").read_text(encoding="utf-8"))
    elif summary is not None:
        from experiments.report import PAGE, print_summary

        print_summary(console, summary, config.run_dir / PAGE, verbose)


def part_of(text: str | None) -> "Part | None":
    """The part that ``--part`` or torchrun names.

    Raises:
        HintprobeError: it is no part of a whole.
    """
    from activations.part import Part

    return Part.parse(text) if text is not None else Part.from_environment()


def _own_gpu() -> str | None:
    """The GPU that torchrun gave this process."""
    rank = os.environ.get("LOCAL_RANK")
    if rank is None:
        return None
    import torch

    return f"cuda:{rank}" if torch.cuda.is_available() else None
