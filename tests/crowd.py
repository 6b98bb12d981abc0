"""Workers in the test's own process, for drivers that deal work."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from experiments.cluster import crew, driver
from experiments.training import side_by_side


class Crowd:
    """Workers in this process in Ray's place; the one whose question holds all of ``dies_over`` dies, once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dies_over: tuple[object, ...] = ()) -> None:
        self.started, self.asked, self.dies_over = 0, [], dies_over
        for name in ("new_worker", "first_answer", "answer_of", "let_go", "workers_there"):
            monkeypatch.setattr(crew, name, getattr(self, name))
        for module in (driver, side_by_side):
            monkeypatch.setattr(module, "connected", lambda address, cpus: nullcontext())

    def workers_there(self):
        return 2, False

    def new_worker(self, kind, settings, on_gpu):
        self.started += 1
        worker = kind(json.loads(json.dumps(settings)))

        def asked(name):
            return SimpleNamespace(remote=lambda *given: _Question(lambda: self._call(worker, name, given)))

        return SimpleNamespace(**{name: asked(name) for name in dir(kind) if not name.startswith("_")})

    def _call(self, worker, name, given):
        self.asked.append((name, *given))
        if self.dies_over and all(word in self.asked[-1] for word in self.dies_over):
            self.dies_over = ()
            return None
        return getattr(worker, name)(*given)

    @property
    def parts(self):
        """Stage and index of the parts that were asked for."""
        return [asked[2:4] for asked in self.asked if asked[0] == "part"]

    def first_answer(self, asked, seconds=None):
        return asked[-1]  # whoever came last is the first to end

    def answer_of(self, question):
        return question.answer()

    def let_go(self, worker):
        self.started -= 1


class _Question:
    def __init__(self, answer) -> None:
        self.answer = answer
