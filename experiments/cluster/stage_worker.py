"""A worker that holds one model at a time, and does the parts of stages that it is given."""

import tempfile
from pathlib import Path
from typing import Any

from activations import Part
from experiments.cluster.worker import Answer, Worker, told
from experiments.config import Config
from experiments.run.model_run import ModelRun
from experiments.run.parts import Share
from experiments.run.progress import Reporter
from experiments.stages import STAGES


class StageWorker(Worker):
    """Holds one model at a time, and the records that its stages read.

    Args:
        config: the run's configuration, as JSON values.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = Config.model_validate(config)
        self.runs: dict[str, ModelRun] = {}
        super().__init__(self.config.threads)

    def plan(self, model: str, stage: str) -> Answer:
        """Rows of each unit of a stage; none where it is finished."""
        return told(lambda: planned(self._before(model, stage), self._first, stage))

    def part(self, model: str, stage: str, index: int, count: int) -> Answer:
        """Do one part of a stage, from its beginning if it was stopped; False where it was there."""
        return told(lambda: one_part(self._before(model, stage), self._first, stage, Part(index, count)))

    def whole(self, model: str, stage: str) -> Answer:
        """Run a stage that has no parts, or join the parts of one that has; what it took and counted."""
        return told(lambda: self._whole(model, stage))

    def _whole(self, model: str, stage: str) -> dict[str, Any]:
        run = self._before(model, stage)
        run.share = Share((stage,)) if STAGES[stage].parts else None
        STAGES[stage].run(run, self._first)
        done = run.results[stage]
        return {
            "fresh": done.fresh,
            "seconds": done.seconds,
            "counted": done.account.brief(3) if done.account else "",
        }

    @property
    def _first(self) -> ModelRun:
        return self.runs[self.config.models[0]]

    def _before(self, model: str, stage: str) -> ModelRun:
        """A model's run, with the stages before looked up; another model's weights are let go."""
        for name in dict.fromkeys((self.config.models[0], model)):
            run = self.runs.setdefault(name, ModelRun(self.config, name, Reporter()))
            if name != model:
                run.__dict__.pop("loaded", None)
            run.share = Share(())
            for earlier in _earlier(stage if name == model else "", self.config):
                if earlier not in run.results:
                    STAGES[earlier].run(run, self._first)
        return self.runs[model]


def _earlier(stage: str, config: Config) -> list[str]:
    """Stages before one; of a finished model, all."""
    names = list(STAGES)
    before = names[: names.index(stage)] if stage else names
    return [name for name in before if name not in config.skip]


def planned(run: ModelRun, first: ModelRun, stage: str) -> list[int]:
    """Rows of each unit of a stage; none where it is finished."""
    with tempfile.TemporaryDirectory() as scratch:
        run.share = Share((stage,), scratch=Path(scratch))
        STAGES[stage].run(run, first)
        return run.share.units


def one_part(run: ModelRun, first: ModelRun, stage: str, part: Part) -> bool:
    """Do one part of a stage, from its beginning if it was stopped; False where it was there."""
    run.share = Share((stage,), part, anew=True)
    STAGES[stage].run(run, first)
    return bool(run.share.made)


def in_units(run: ModelRun, stage: str) -> None:
    """A stage unit by unit, then joined: as one process makes it, and after a kill only the unit at work is lost."""
    count = len(planned(run, run, stage))
    for index in range(count):
        one_part(run, run, stage, Part(index, count))
    run.share = Share((stage,))
    STAGES[stage].run(run, run)
