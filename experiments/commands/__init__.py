"""Commands beside the stages. Each module adds its own to the app with a function ``register(app)``.

Imports of heavy libraries stay inside the commands, so that ``hintprobe --help`` answers at once.
"""

from importlib import import_module

import typer

MODULES = (
    "capture",
    "join",
    "check",
    "cache",
    "init",
    "plan",
    "train",
    "trajectory",
    "judge",
    "score",
    "faithfulness",
    "judges",
    "importing",
    "report",
    "looking",
    "reproduce",
    "organism",
)
"""One module a line; ``experiments.cli.ORDER`` says how ``hintprobe --help`` lists their commands."""


def register_all(app: typer.Typer) -> None:
    """Add the commands of every module."""
    for name in MODULES:
        import_module(f"experiments.commands.{name}").register(app)
