"""What the commands that run stages share."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from experiments.run.console import PlainConsole as Console
from experiments.run.stopping import stoppable

if TYPE_CHECKING:
    from activations import Part
    from experiments.config import Config
    from experiments.run.progress import Reporter


ConfigPath = Annotated[Path, typer.Argument(help="YAML file (docs/configuration.md), or the name of a shipped one.")]
Model = Annotated[str | None, typer.Option("--model", help="Folder, hub id or organism:NAME, instead of the config's.")]
Cache = Annotated[
    Path | None, typer.Option("--cache", help="Folder for the store and the runs, instead of the config's.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="KEY=VALUE to use instead of the config's, such as questions.limit=100; repeatable."),
]


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else.")]
"""What every command with a result takes."""


Wait = Annotated[
    bool,
    typer.Option("--wait", help="If another process works on this run, wait for it, then continue from its results."),
]


PartOf = Annotated[
    str | None,
    typer.Option(
        "--part",
        help="i/n: compute part i (from 0) of n of the rows; torchrun's RANK and WORLD_SIZE have the same meaning.",
    ),
]
"""What the commands of stages whose rows can be computed apart take."""


Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="[ADDRESS]",
        help="Use many workers. Without a value, start them on this machine; auto or HOST:PORT joins a Ray cluster.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="With --ray: number of workers; by default one per GPU, or one per CPU if there is no GPU.",
    ),
]


class RayAlone(TyperCommand):
    """``--ray`` may stand alone; it then starts a cluster of this machine."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put in the address that was left out."""
        at = args.index("--ray") if "--ray" in args else None
        if at is not None and (at + 1 == len(args) or args[at + 1].startswith("-")):
            args = [*args[: at + 1], "local", *args[at + 1 :]]
        return super().parse_args(ctx, args)


Strict = Annotated[bool, typer.Option("--strict", help="Exit with status 2 if there are too few rows to train probes.")]


Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print every detector and all times, not only the summary.")
]


def aside() -> "Reporter":
    """Progress of a command whose result goes to standard output: drawn on standard error, on terminals only."""
    from experiments.run.progress import Reporter

    console = Console(stderr=True)
    return Reporter(console if console.is_terminal else None)


def print_json(result: Any) -> None:
    """One JSON value on standard output."""
    sys.stdout.write(json.dumps(result, allow_nan=False) + "\n")


def _config(
    path: Path, model: str | None, cache: Path | None, settings: Sequence[str] | None, device: str | None = None
) -> "Config":
    """The configuration, with what the command line puts in its place."""
    from experiments.config.file import load_config

    overrides: dict[str, Any] = {"cache": cache, "device": device}
    if model is not None:
        overrides.update(models=(model,), limits={})
    return load_config(path, settings or (), **overrides)


def say_what_would_run(
    config_path: Path, model: str | None, cache: Path | None, settings: Sequence[str] | None
) -> None:
    """Print, for each model, the stages that are found and those that would run."""
    from experiments.pipeline import check_names
    from experiments.planning.cached import Lookup, look_up
    from experiments.stages import STAGES

    config, console = _config(config_path, model, cache, settings), Console()
    check_names(config)
    first: Lookup | None = None
    for name in config.models:
        run = look_up(config, name, first)
        first = first or run
        console.print(name, style="bold")
        for stage in STAGES:
            found = run is not None and stage in run.results and not run.results[stage].fresh
            state = "left out" if stage in config.skip else "found" if found else "would run"
            console.print(f"  {stage:<10} {state}")
    console.print(f"Run: {config.run_dir}", soft_wrap=True)


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
    ray: tuple[str, int | None] | None = None,
) -> None:
    """Run the stages of a configuration up to and including ``until``; after the last one, print the summary.

    Args:
        as_json: print the run's summary instead, whatever the last stage.
        quiet: print nothing.
        verbose: print every detector and time, not the result in brief.
        ray: address of a cluster to run on, and how many workers; all stages only.
    """
    from experiments.pipeline import run_pipeline
    from experiments.run.progress import Reporter

    if part is not None and device is None:
        device = _own_gpu()
    config = _config(config_path, model, cache, settings, device)
    console = Console()
    reporter = Reporter(None if as_json or quiet else console, Console(stderr=True))
    with stoppable():
        if ray is not None:
            from experiments.cluster import run_on_ray

            summary = run_on_ray(config, ray[0], reporter, ray[1], wait, strict)
        else:
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
