"""``hintprobe capture``: the stage, as a whole or one process's part of it."""

from typing import Annotated

import typer

from experiments.commands.running import AsJson, Cache, ConfigPath, Model, Settings, Wait, part_of, run_until


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("capture")(capture)


def capture(
    config: ConfigPath,
    model: Model = None,
    cache: Cache = None,
    part: Annotated[
        str | None,
        typer.Option(
            "--part",
            "--shard",
            help="i/n: compute part i (from 0) of n of the rows; torchrun's RANK and WORLD_SIZE have the same meaning.",
        ),
    ] = None,
    settings: Settings = None,
    as_json: AsJson = False,
    wait: Wait = False,
) -> None:
    """Cache activations at named positions of every layer.

    With --part, this process is one of several that write to the same store.

    Example: hintprobe capture demo --part 0/2
    """
    run_until(config, model, cache, "capture", as_json, settings, part_of(part), wait=wait)
