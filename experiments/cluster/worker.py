"""One worker of a cluster: holds a model once, and does the parts of stages that it is given.

It is asked and answers in plain values. Bad input is an answer, too: another machine's traceback helps nobody.
"""

import os
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from activations import Part
from activations.errors import HintprobeError
from experiments.config import Config
from experiments.run.model_run import ModelRun
from experiments.run.parts import Share
from experiments.run.progress import Reporter
from experiments.stages import STAGES

LIBRARIES = ("hintprobe", "torch", "transformers", "numpy", "scikit-learn", "h5py", "pydantic")
"""What numbers and records depend on: equal on all machines."""


@dataclass(frozen=True)
class Answer:
    """What a worker says.

    Attributes:
        value: of what was asked.
        error: the message of a :class:`HintprobeError`; empty where there was none.
    """

    value: Any = None
    error: str = ""


def versions() -> dict[str, str]:
    """Versions of the libraries here."""
    return {name: version(name) for name in LIBRARIES}


class Worker:
    """Holds one model at a time, and the records that its stages read.

    Args:
        config: the run's configuration, as JSON values.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = Config.model_validate(config)
        self.runs: dict[str, ModelRun] = {}
        if self.config.threads is not None:
            import torch

            torch.set_num_threads(self.config.threads)

    def about(self, token: str) -> Answer:
        """Where it runs, with which versions, and whether it sees a file in the run's folder."""
        sees = (self.config.run_dir / token).exists()
        return Answer({"host": socket.gethostname(), "pid": os.getpid(), "versions": versions(), "sees": sees})

    def plan(self, model: str, stage: str) -> Answer:
        """Rows of each unit of a stage; none where it is finished."""

        def planned() -> list[int]:
            with tempfile.TemporaryDirectory() as scratch:
                run = self._before(model, stage)
                run.share = Share((stage,), scratch=Path(scratch))
                STAGES[stage].run(run, self.runs[self.config.models[0]])
                return run.share.units

        return _told(planned)

    def part(self, model: str, stage: str, index: int, count: int) -> Answer:
        """Do one part of a stage, from its beginning if it was stopped."""
        return _told(lambda: self._run(model, stage, Share((stage,), Part(index, count), anew=True)))

    def whole(self, model: str, stage: str) -> Answer:
        """Run a stage that has no parts, or join the parts of one that has."""
        return _told(lambda: self._run(model, stage, Share((stage,)) if STAGES[stage].parts else None))

    def _run(self, model: str, stage: str, share: Share | None) -> None:
        run = self._before(model, stage)
        run.share = share
        STAGES[stage].run(run, self.runs[self.config.models[0]])

    def _before(self, model: str, stage: str) -> ModelRun:
        """A model's run, with the stages before looked up; another model's weights are let go."""
        for name in dict.fromkeys((self.config.models[0], model)):
            run = self.runs.setdefault(name, ModelRun(self.config, name, Reporter()))
            if name != model:
                run.__dict__.pop("loaded", None)
            run.share = Share(())
            for earlier in _earlier(stage if name == model else "", self.config):
                if earlier not in run.results:
                    STAGES[earlier].run(run, self.runs[self.config.models[0]])
        return self.runs[model]


def _earlier(stage: str, config: Config) -> list[str]:
    """Stages before one; of a finished model, all."""
    names = list(STAGES)
    before = names[: names.index(stage)] if stage else names
    return [name for name in before if name not in config.skip]


def _told(do: Callable[[], Any]) -> Answer:
    try:
        return Answer(do())
    except HintprobeError as error:
        return Answer(error=str(error))
