"""``hintprobe join``: what was done with ``--part`` becomes what one process writes."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.running import AsJson, Cache, Model, Settings, Wait, print_json
from experiments.run.console import PlainConsole as Console
from experiments.run.stopping import stoppable


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("join")(join)


def join(
    config: Annotated[Path, typer.Argument(help="The configuration with which the parts were computed.")],
    model: Model = None,
    cache: Cache = None,
    settings: Settings = None,
    as_json: AsJson = False,
    wait: Wait = False,
) -> None:
    """Join the parts of a stage computed with --part.

    Goes stage by stage, up to the first that is not finished and has no parts. The last part of a stage already joins
    it when it ends; this command does it by hand, and lists missing parts. Loads no weights.

    Example: hintprobe join demo
    """
    from experiments.config.file import load_config
    from experiments.pipeline import join_parts
    from experiments.run.progress import Reporter

    overrides = {"cache": cache} | ({"models": (model,), "limits": {}} if model is not None else {})
    loaded = load_config(config, settings or (), **overrides)
    reporter = Reporter(None if as_json else Console(), Console(stderr=True))
    with stoppable():
        done = join_parts(loaded, reporter, wait)
    if as_json:
        print_json({"run": str(loaded.run_dir), "finished": done})
