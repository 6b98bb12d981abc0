"""``hintprobe capture``: the stage, as a whole or one process's part of it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.running import AsJson, Settings, Wait, run_until


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("capture")(capture)


def capture(
    config: Annotated[Path, typer.Argument(help="YAML file (docs/configuration.md), or the name of a shipped one.")],
    model: Annotated[
        str | None, typer.Option("--model", help="Folder, hub id or organism:NAME, in place of the config's.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Folder for the store and the runs, in place of the config's.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(help="i/n: capture part i (from 0) of n; torchrun's RANK and WORLD_SIZE say the same."),
    ] = None,
    settings: Settings = None,
    as_json: AsJson = False,
    wait: Wait = False,
) -> None:
    """Cache activations at named positions of every layer.

    With --shard, as one of several processes that write into one store.

    Example: hintprobe capture demo --shard 0/2
    """
    from activations.part import Part

    part = Part.parse(shard) if shard is not None else Part.from_environment()
    run_until(config, model, cache, "capture", as_json, settings, part, _own_gpu(), wait=wait)


def _own_gpu() -> str | None:
    """The GPU that torchrun gave this process."""
    rank = os.environ.get("LOCAL_RANK")
    if rank is None:
        return None
    import torch

    return f"cuda:{rank}" if torch.cuda.is_available() else None
