"""A run over workers makes what one process makes, whoever dies; what cannot be worked with is refused in words."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import TinyFolder

from activations import HintprobeError
from experiments.cluster import driver
from experiments.cluster.worker import Answer, Worker, versions
from experiments.commands.reproduce import differences
from experiments.config import Config
from experiments.pipeline import run_pipeline
from experiments.run.parts import n_units, unit_of
from experiments.run.progress import Reporter


def settings(folder: str, cache: Path, **more) -> dict:
    small = {
        "name": "t", "models": [folder], "cache": str(cache), "dtype": "float32", "threads": 1,
        "questions": {"limit": 36},
        "generate": {"max_new_tokens": 2, "rollouts": 2, "temperature": 1.0},
        "capture": {"positions": ["prompt_end"]},
        "directions": {"detectors": []},
        "compare": {"bootstrap": 100},
    }  # fmt: skip
    return {**small, **more}


class Crowd:
    """Workers in this process in Ray's place; the one that does a part of ``dies_over`` dies over it, once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dies_over: str = "") -> None:
        self.started, self.done, self.dies_over = 0, [], dies_over
        for name in ("new_worker", "first_answer", "answer_of", "let_go", "workers_there"):
            monkeypatch.setattr(driver, name, getattr(self, name))
        monkeypatch.setattr(driver, "connected", lambda address, cpus: nullcontext())

    def workers_there(self):
        return 2, False

    def new_worker(self, kind, config, on_gpu):
        self.started += 1
        worker = kind(config)

        def asked(name):
            return SimpleNamespace(remote=lambda *given: _Question(lambda: self._call(worker, name, given)))

        return SimpleNamespace(**{name: asked(name) for name in ("about", "plan", "part", "whole")})

    def _call(self, worker, name, given):
        if name == "part":
            self.done.append(given[1:3])
            if given[1] == self.dies_over:
                self.dies_over = ""
                return None
        return getattr(worker, name)(*given)

    def first_answer(self, asked, seconds=None):
        return asked[-1]  # whoever came last is the first to end

    def answer_of(self, question):
        return question.answer()

    def let_go(self, worker):
        self.started -= 1


class _Question:
    def __init__(self, answer) -> None:
        self.answer = answer


def test_workers_make_what_one_process_makes_though_one_dies(tiny_folder: TinyFolder, tmp_path: Path, monkeypatch):
    folder = str(tiny_folder("llama"))
    one, many = (Config.model_validate(settings(folder, tmp_path / name)) for name in ("one", "many"))
    whole = run_pipeline(one, Reporter(None))
    crowd = Crowd(monkeypatch, dies_over="judge")
    shared = driver.run_on_ray(many, reporter=Reporter(None))
    assert crowd.started == 1, "all were ended, but for the one that died"
    (again,) = {part for part in crowd.done if crowd.done.count(part) == 2}
    assert again[0] == "judge"
    assert len({part for part in crowd.done if part[0] == "generate"}) > 1
    before, after = ([m.model_dump(mode="json") for m in found.models] for found in (whole, shared))
    assert list(differences(before, after)) == []
    crowd.done.clear()
    driver.run_on_ray(many, reporter=Reporter(None))  # a second driver finds everything
    assert crowd.done == []


def test_what_a_worker_refuses_is_told_and_deaths_end(tiny_folder: TinyFolder, tmp_path: Path, monkeypatch):
    config = Config.model_validate(settings(str(tiny_folder("llama")), tmp_path))
    Crowd(monkeypatch)
    monkeypatch.setattr(Worker, "plan", lambda *_: Answer(error="The shard is damaged."))
    with pytest.raises(HintprobeError, match="The shard is damaged"):
        driver.run_on_ray(config, reporter=Reporter(None))
    monkeypatch.setattr(Worker, "plan", lambda *_: None)
    with pytest.raises(HintprobeError, match="Workers died 3 times over the stage generate"):
        driver.run_on_ray(config, reporter=Reporter(None))
    monkeypatch.setattr(Worker, "plan", lambda *_: Answer([1, 1]))
    monkeypatch.setattr(Worker, "part", lambda *_: None)
    with pytest.raises(HintprobeError, match=r"died 3 times over part \d/2 of the stage generate"):
        driver.run_on_ray(config, reporter=Reporter(None))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"versions": {**versions(), "torch": "1.0"}}, r"other versions than this machine: torch 1\.0 \(here "),
        ({"sees": False}, "does not see the run's folder .*file system"),
    ],
)
def test_workers_that_would_make_something_else_are_refused(tmp_path: Path, monkeypatch, changed, message):
    config = Config.model_validate(settings("organism:unfaithful", tmp_path))
    Crowd(monkeypatch)
    about = Worker.about
    monkeypatch.setattr(Worker, "about", lambda self, token: Answer({**about(self, token).value, **changed}))
    with pytest.raises(HintprobeError, match=message):
        driver.run_on_ray(config, reporter=Reporter(None))


def test_where_ray_is_absent_its_extra_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    config = Config.model_validate(settings("organism:unfaithful", tmp_path))
    with pytest.raises(HintprobeError, match=r"pip install 'hintprobe\[ray\]'"):
        driver.run_on_ray(config, reporter=Reporter(None))


def test_rows_stay_where_they_are_when_rows_are_added():
    names = [f"question {k}" for k in range(500)]
    sizes = [n_units(n) for n in (0, 10, 384, 2448, 10_000, 768_000, 10**9)]
    assert sizes == [1, 1, 4, 8, 32, 512, 4096]
    few = {name: unit_of(name, 8) for name in names}
    assert set(few.values()) == set(range(8))
    # Twice as many units: every unit is cut in two, so that of 2, 4 or 8 parts each keeps its rows.
    assert all(unit_of(name, 16) % 8 == few[name] for name in names)


@pytest.mark.slow
def test_a_killed_worker_of_a_real_cluster_costs_nothing_but_its_part(tiny_folder: TinyFolder, tmp_path: Path):
    pytest.importorskip("ray")
    folder = str(tiny_folder("llama"))
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(settings(folder, tmp_path / "many", questions={"limit": 300})))
    one = Config.model_validate(settings(folder, tmp_path / "one", questions={"limit": 300}))
    whole = run_pipeline(one, Reporter(None))
    command = [sys.executable, "-u", "-m", "hintprobe", "run", str(path), "--workers", "2", "--ray"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    for line in run.stdout:
        lines.append(line)
        if (found := re.search(r"worker: process (\d+)", line)) and sum("worker: process" in x for x in lines) == 2:
            os.kill(int(found[1]), signal.SIGKILL)
    assert run.wait() == 0, "".join(lines)
    many = json.loads((tmp_path / "many" / "runs" / "t" / "summary.json").read_text())["models"]
    assert list(differences([m.model_dump(mode="json") for m in whole.models], many)) == []


@pytest.mark.slow
def test_no_cluster_at_the_address_is_one_paragraph(tmp_path: Path):
    pytest.importorskip("ray")
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(settings("organism:unfaithful", tmp_path / "c")))
    command = [sys.executable, "-m", "hintprobe", "run", str(path), "--ray", "127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert "There is no Ray cluster at 127.0.0.1:1" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
