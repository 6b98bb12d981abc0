"""The workers of a run: started and checked, given work, and replaced where they die."""

import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from experiments.cluster.ray_cluster import answer_of, first_answer, let_go, new_worker, workers_there
from experiments.cluster.worker import Answer, Worker, versions
from experiments.run.progress import Reporter

_START_SECONDS = 300.0
_MOST_DEATHS = 3


@dataclass(frozen=True)
class Piece:
    """Work that one worker does.

    Attributes:
        name: what a message calls it; of each piece another.
        arguments: of the worker's method.
        rows: steps of the bar.
    """

    name: str
    arguments: tuple[Any, ...]
    rows: int = 1


@dataclass
class Crew:
    """Workers of one kind.

    Args:
        kind: their class, which takes ``settings``.
        folder: the run's, which all have to see.
        wanted: how many; by default one a GPU, and where there are none, one a CPU.
    """

    kind: type[Worker]
    settings: dict[str, Any]
    folder: Path
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
        token = self.folder / f".seen-{uuid.uuid4().hex}"
        token.touch()
        try:
            self.idle.extend(self._new() for _ in range(n))
            asked = [worker.about.remote(str(token)) for worker in self.idle]
            for question in asked:
                if first_answer([question], _START_SECONDS) is None or (said := answer_of(question)) is None:
                    raise HintprobeError(
                        "A worker of the Ray cluster did not start. `ray status` shows the cluster's free resources, "
                        "and Ray's logs on that machine give the reason."
                    )
                _check(said.value, self.folder)
                self.reporter.say(f"  worker: process {said.value['pid']} on {said.value['host']}")
        finally:
            token.unlink(missing_ok=True)

    def end(self) -> None:
        """End the workers."""
        while self.idle:
            let_go(self.idle.popleft())

    def ask(self, what: str, over: str, *arguments: Any) -> Any:
        """One question to one worker; another is asked where it died.

        Args:
            over: what a message calls the work.

        Raises:
            HintprobeError: what the worker refused, or workers that died over it again and again.
        """
        for _ in range(_MOST_DEATHS):
            worker = self.idle.popleft()
            said = answer_of(getattr(worker, what).remote(*arguments))
            self.idle.append(worker if said is not None else self._new())
            if said is not None:
                return _value(said)
        raise HintprobeError(_died(over))

    def deal(self, what: str, pieces: Sequence[Piece], title: str) -> list[Any]:
        """All pieces of work, each by whoever is free; one that a worker died over is done again.

        Args:
            what: the method that does a piece.
            title: of the bar.

        Returns:
            The answer to each piece.

        Raises:
            HintprobeError: what a worker refused, or workers that died over one piece again and again.
        """
        left = deque(pieces)
        answers: dict[str, Any] = {}
        deaths: dict[str, int] = {}
        doing: dict[Any, tuple[Any, Piece]] = {}
        with self.reporter.bar(title, sum(piece.rows for piece in pieces)) as tick:
            while left or doing:
                while left and self.idle:
                    worker, piece = self.idle.popleft(), left.popleft()
                    doing[getattr(worker, what).remote(*piece.arguments)] = worker, piece
                question = first_answer(list(doing))
                worker, piece = doing.pop(question)
                said = answer_of(question)
                if said is None:
                    deaths[piece.name] = deaths.get(piece.name, 0) + 1
                    self.reporter.warn(f"  a worker died over {piece.name}; it is done again")
                    self.idle.append(self._new())
                    left.append(piece)
                    if deaths[piece.name] >= _MOST_DEATHS:
                        raise HintprobeError(_died(piece.name))
                    continue
                self.idle.append(worker)
                answers[piece.name] = _value(said)
                tick(piece.rows)
        return [answers[piece.name] for piece in pieces]

    def _new(self) -> Any:
        return new_worker(self.kind, self.settings, self.on_gpu)


def _value(said: Answer) -> Any:
    if said.error:
        raise HintprobeError(said.error)
    return said.value


def _check(said: dict[str, Any], folder: Path) -> None:
    ours = versions()
    other = [f"{name} {found} (here {ours[name]})" for name, found in said["versions"].items() if found != ours[name]]
    if other:
        raise HintprobeError(
            f"A worker on {said['host']} has other versions than this machine: {', '.join(other)}. Its results could "
            "not be joined with the rest: give all machines the same environment (constraints.txt pins one)."
        )
    if not said["sees"]:
        raise HintprobeError(
            f"A worker on {said['host']} does not see the run's folder {folder}. Put the cache on a file system that "
            "all machines share, under one path, and name it with --cache."
        )


def _died(over: str) -> str:
    return (
        f"Workers died {_MOST_DEATHS} times over {over}. Too little memory is the usual reason: lower the stage's "
        "`token_budget`, or give workers more. Finished work is kept; run the same command again to resume."
    )
