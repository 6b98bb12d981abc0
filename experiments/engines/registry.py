"""The engines by name. To add one, write its file and its line (`docs/adding_an_engine.md`)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from activations.registry import Registry
from experiments.engines.base import Engine
from experiments.run.model_run import ModelRun

if TYPE_CHECKING:
    from activations import Decoding


@dataclass(frozen=True)
class EngineKind:
    """How an engine is opened.

    Attributes:
        open: for a model of a run, how it samples, and the folder of the stage, in which the engine may keep what it
            spent.
        loads_model: it runs the model of the run in this process, whose forwards are then counted.
    """

    open: "Callable[[ModelRun, Decoding, Path], Engine]"
    loads_model: bool = False


ENGINES: Registry[EngineKind] = Registry(
    "engine",
    {
        "in-process": "experiments.engines.in_process:KIND",
        "server": "experiments.engines.server:KIND",
    },
)
