"""The command line. The verbs are the stages, in order; ``run`` runs them all."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from activations.errors import HintprobeError
from experiments.commands import register_all
from experiments.commands.running import (
    AsJson,
    Cache,
    ConfigPath,
    Model,
    PartOf,
    Ray,
    RayAlone,
    Settings,
    Strict,
    Verbose,
    Wait,
    Workers,
    part_of,
    run_until,
    say_what_would_run,
)

ORDER = (
    "init", "check", "plan", "run", "generate", "judge", "capture", "probe", "patch", "compare", "report", "join", "ls",
    "show", "train", "trajectory", "score", "faithfulness", "judges", "import", "cache", "reproduce", "organism",
)  # fmt: skip
"""The story in the order in which it is told: prepare, run, stage by stage, then what stands alone."""


class _InOrder(TyperGroup):
    """Lists commands in the order of the work."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(self.commands, key=ORDER.index)


app = typer.Typer(
    cls=_InOrder,
    help="Find out whether a language model used a hint that its chain of thought does not admit to.\n\n"
    "The stages run in this order: generate, judge, capture, probe, patch, compare, report. Each reads the results of "
    "the stages before it, can be stopped at any point, and computes nothing twice. `hintprobe run CONFIG` runs them "
    "all; `init`, `check` and `plan` prepare a run on your own model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("hintprobe"))
        raise typer.Exit


@app.callback()
def _hintprobe(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What stands before every command; the text of ``--help`` is the app's."""


@app.command(cls=RayAlone)
def run(
    config: ConfigPath,
    model: Model = None,
    cache: Cache = None,
    set_: Settings = None,
    json: AsJson = False,
    wait: Wait = False,
    strict: Strict = False,
    verbose: Verbose = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say which stages would run and which are finished, and run none.")
    ] = False,
    ray: Ray = None,
    workers: Workers = None,
) -> None:
    """Run all stages and write the report.

    Example: hintprobe run demo
    """
    if dry_run:
        say_what_would_run(config, model, cache, set_)
        return
    over = (ray, workers) if ray is not None else None
    run_until(config, model, cache, "report", json, set_, wait=wait, strict=strict, verbose=verbose, ray=over)


def _verb(stage: str, help_text: str) -> Callable[..., None]:
    def command(
        config: ConfigPath,
        model: Model = None,
        cache: Cache = None,
        set_: Settings = None,
        as_json: AsJson = False,
        wait: Wait = False,
        strict: Strict = False,
    ) -> None:
        run_until(config, model, cache, stage, as_json, set_, wait=wait, strict=strict)

    def in_parts(
        config: ConfigPath,
        model: Model = None,
        cache: Cache = None,
        set_: Settings = None,
        as_json: AsJson = False,
        wait: Wait = False,
        strict: Strict = False,
        part: PartOf = None,
    ) -> None:
        run_until(config, model, cache, stage, as_json, set_, part_of(part), wait=wait, strict=strict)

    chosen = in_parts if stage in ("generate", "patch") else command
    chosen.__doc__ = f"{help_text}\n\nExample: hintprobe {stage} demo"
    return chosen


for _stage, _help in {
    "generate": "Ask unhinted, hinted, and with a swapped and a neutral hint.",
    "probe": "Train probes and baselines, reliant against aligned.\n\n"
    "Uses nested cross-validation; no group of questions is on both sides of a split.",
    "patch": "Patch states of another run into the hinted run.\n\n"
    "Then split the hint's effect into the part that travels through the chain of thought and the rest, and test the "
    "directions of the probes by editing them.",
    "compare": "Put all detectors side by side on the same held-out rows.",
}.items():
    app.command(_stage)(_verb(_stage, _help))

register_all(app)


def main() -> None:
    """Entry point: bad input, a stop or a full disk gets one paragraph and exit status 2, a bug its traceback."""
    try:
        app(prog_name="hintprobe")  # also where Python was asked to run the module
    except HintprobeError as error:
        _say(str(error))
        raise SystemExit(2) from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # whoever read our output has gone, as `head` does
            raise SystemExit(1) from None
        place = f" {error.filename}" if error.filename else ""
        _say(
            f"The operating system refused{place}: {error.strerror or error}. What was finished is kept. Make room, "
            "or give the right to read and write there, then run the same command again."
        )
        raise SystemExit(2) from error


def _say(text: str) -> None:
    from experiments.run.console import PlainConsole

    PlainConsole(stderr=True, soft_wrap=True).print(f"hintprobe: {text}", highlight=False)
