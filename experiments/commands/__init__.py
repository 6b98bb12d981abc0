"""Commands beside the stages. Each module adds its own to the app with a function ``register(app)``.

Imports of heavy libraries stay inside the commands, so that ``hintprobe --help`` answers at once.
"""

from collections.abc import Callable

import typer

from experiments.commands import judge, report

REGISTER: tuple[Callable[[typer.Typer], None], ...] = (judge.register, report.register)
"""One entry per module, in the order in which ``hintprobe --help`` lists them."""
