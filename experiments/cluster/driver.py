"""A run on a Ray cluster: the driver deals parts of stages to workers, and joins them when all are there.

Parts, tables and markers are those of ``--part`` and ``hintprobe join``; a part is one unit. So whatever dies, what was
finished is there: a dead worker's part is done again by another, a dead driver's run is gone on from by the next.
"""

import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from activations.errors import HintprobeError
from experiments.cluster.ray_cluster import (
    answer_of,
    connected,
    first_answer,
    let_go,
    new_worker,
    workers_there,
)
from experiments.cluster.worker import Answer, Worker, versions
from experiments.config import Config
from experiments.pipeline import prepared, run_models
from experiments.records.summary import Summary
from experiments.run.lock import LOCK
from experiments.run.progress import Reporter
from experiments.stages import STAGES

_START_SECONDS = 300.0
_MOST_DEATHS = 3


def run_on_ray(
    config: Config,
    address: str = "local",
    reporter: Reporter | None = None,
    workers: int | None = None,
    wait: bool = False,
    strict: bool = False,
) -> Summary | None:
    """Run all stages on a cluster; the result is the one of a single process.

    Args:
        address: ``local`` starts a cluster of this machine, ``auto`` joins one that runs here, else ``HOST:PORT``.
        workers: how many hold a model; by default one a GPU, and where there are none, one a CPU.

    Raises:
        HintprobeError: no cluster, workers of other versions or that do not see the run's folder, or bad input.
    """
    reporter = reporter or Reporter()
    absolute = config.model_copy(update={"cache": config.cache.resolve()})
    with prepared(absolute, LOCK, wait, reporter), connected(address, workers):
        crew = _Crew(absolute, reporter, workers)
        try:
            crew.start()
            for model in absolute.models:
                reporter.say(model, style="bold")
                for stage in STAGES:
                    if stage not in absolute.skip:
                        crew.run(model, stage)
        finally:
            crew.end()
        return run_models(config, Reporter(None, reporter.aside), strict)  # all is found; summary and page are written


@dataclass
class _Crew:
    """The workers of a run."""

    config: Config
    reporter: Reporter
    wanted: int | None
    idle: "deque[Any]" = field(default_factory=deque)

    def start(self) -> None:
        """Start the workers, and refuse those that cannot make what this machine would.

        Raises:
            HintprobeError: other versions, or a run's folder that they do not see.
        """
        there, self.on_gpu = workers_there()
        n = min(there, self.wanted or there)
        token = f".seen-{uuid.uuid4().hex}"
        (self.config.run_dir / token).touch()
        try:
            self.idle.extend(self._new() for _ in range(n))
            asked = [worker.about.remote(token) for worker in self.idle]
            for question in asked:
                if first_answer([question], _START_SECONDS) is None or (said := answer_of(question)) is None:
                    raise HintprobeError(
                        "A worker of the Ray cluster did not start. `ray status` says what the cluster has room for, "
                        "and the logs of Ray on that machine say why."
                    )
                _check(said.value, self.config)
                self.reporter.say(f"  worker: process {said.value['pid']} on {said.value['host']}")
        finally:
            (self.config.run_dir / token).unlink(missing_ok=True)

    def end(self) -> None:
        """End the workers."""
        while self.idle:
            let_go(self.idle.popleft())

    def run(self, model: str, stage: str) -> None:
        """One stage of one model, in parts where it can be.

        Raises:
            HintprobeError: what a worker refused, or workers that died over one part again and again.
        """
        if STAGES[stage].parts:
            units: Sequence[int] = self._ask("plan", model, stage)
            if units:
                self._parts(model, stage, units)
        self._ask("whole", model, stage)

    def _new(self) -> Any:
        return new_worker(Worker, self.config.model_dump(mode="json"), self.on_gpu)

    def _ask(self, what: str, *arguments: Any) -> Any:
        """One question to one worker; another is asked where it died."""
        for _ in range(_MOST_DEATHS):
            worker = self.idle.popleft()
            said = answer_of(getattr(worker, what).remote(*arguments))
            self.idle.append(worker if said is not None else self._new())
            if said is not None:
                return _value(said)
        raise HintprobeError(_died(f"the stage {arguments[1]} of {arguments[0]}"))

    def _parts(self, model: str, stage: str, units: Sequence[int]) -> None:
        """All parts of a stage, each by whoever is free."""
        left = deque(range(len(units)))
        deaths: dict[int, int] = {}
        doing: dict[Any, tuple[Any, int]] = {}
        with self.reporter.bar(stage, sum(units)) as tick:
            while left or doing:
                while left and self.idle:
                    worker, part = self.idle.popleft(), left.popleft()
                    doing[worker.part.remote(model, stage, part, len(units))] = worker, part
                question = first_answer(list(doing))
                worker, part = doing.pop(question)
                said = answer_of(question)
                if said is None:
                    deaths[part] = deaths.get(part, 0) + 1
                    self.reporter.warn(f"  a worker died over part {part}/{len(units)} of {stage}; it is done again")
                    self.idle.append(self._new())
                    left.append(part)
                    if deaths[part] >= _MOST_DEATHS:
                        raise HintprobeError(_died(f"part {part}/{len(units)} of the stage {stage} of {model}"))
                    continue
                self.idle.append(worker)
                _value(said)
                tick(units[part])


def _value(said: Answer) -> Any:
    if said.error:
        raise HintprobeError(said.error)
    return said.value


def _check(said: dict[str, Any], config: Config) -> None:
    ours = versions()
    other = [f"{name} {found} (here {ours[name]})" for name, found in said["versions"].items() if found != ours[name]]
    if other:
        raise HintprobeError(
            f"A worker on {said['host']} has other versions than this machine: {', '.join(other)}. What it makes could "
            "not be joined with the rest: give all machines the same environment (constraints.txt pins one)."
        )
    if not said["sees"]:
        raise HintprobeError(
            f"A worker on {said['host']} does not see the run's folder {config.run_dir}. Put the cache on a file "
            "system that all machines share, under one path, and name it with --cache."
        )


def _died(over: str) -> str:
    return (
        f"Workers died {_MOST_DEATHS} times over {over}. Too little memory is the usual reason: lower the stage's "
        "`token_budget`, or give workers more. What was finished is kept; run the same command again to go on from it."
    )
