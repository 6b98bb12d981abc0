"""A run over workers makes what one process makes, whoever dies; what cannot be worked with is refused in words."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import TinyFolder
from crowd import Crowd

from activations import HintprobeError
from experiments.cluster import driver
from experiments.cluster.stage_worker import StageWorker
from experiments.cluster.worker import Answer, versions
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


def test_workers_make_what_one_process_makes_though_one_dies(tiny_folder: TinyFolder, tmp_path: Path, monkeypatch):
    folder = str(tiny_folder("llama"))
    one, many = (Config.model_validate(settings(folder, tmp_path / name)) for name in ("one", "many"))
    whole = run_pipeline(one, Reporter(None))
    crowd = Crowd(monkeypatch, dies_over=("part", "judge"))
    shared = driver.run_on_ray(many, reporter=Reporter(None))
    assert crowd.started == 1, "all were ended, but for the one that died"
    (twice,) = {part for part in crowd.parts if crowd.parts.count(part) == 2}
    assert twice[0] == "judge"
    assert len({part for part in crowd.parts if part[0] == "generate"}) > 1
    before, after = ([m.model_dump(mode="json") for m in found.models] for found in (whole, shared))
    assert list(differences(before, after)) == []
    assert all(stage.fresh for model in shared.models for stage in model.stages.values())
    crowd.asked.clear()
    again = driver.run_on_ray(many, reporter=Reporter(None))  # a second driver finds everything
    assert crowd.parts == []
    assert not any(stage.fresh for model in again.models for stage in model.stages.values())


def test_what_a_worker_refuses_is_told_and_deaths_end(tiny_folder: TinyFolder, tmp_path: Path, monkeypatch):
    config = Config.model_validate(settings(str(tiny_folder("llama")), tmp_path))
    Crowd(monkeypatch)
    monkeypatch.setattr(StageWorker, "plan", lambda *_: Answer(error="The shard is damaged."))
    with pytest.raises(HintprobeError, match="The shard is damaged"):
        driver.run_on_ray(config, reporter=Reporter(None))
    monkeypatch.setattr(StageWorker, "plan", lambda *_: None)
    with pytest.raises(HintprobeError, match="Workers died 3 times over the stage generate"):
        driver.run_on_ray(config, reporter=Reporter(None))
    monkeypatch.setattr(StageWorker, "plan", lambda *_: Answer([1, 1]))
    monkeypatch.setattr(StageWorker, "part", lambda *_: None)
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
    about = StageWorker.about
    monkeypatch.setattr(StageWorker, "about", lambda self, token: Answer({**about(self, token).value, **changed}))
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


class _Real:
    """A run of one process, and the command that makes the same on two workers of a real cluster."""

    def __init__(self, folder: str, home: Path) -> None:
        pytest.importorskip("ray")
        one, many = (settings(folder, home / name, questions={"limit": 300}) for name in ("one", "many"))
        whole = run_pipeline(Config.model_validate(one), Reporter(None))
        self.truth = [model.model_dump(mode="json") for model in whole.models]
        self.run_dir = home / "many" / "runs" / "t"
        path = home / "c.yaml"
        path.write_text(json.dumps(many))
        self.command = [sys.executable, "-u", "-m", "hintprobe", "run", str(path), "--workers", "2", "--ray"]

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def differs(self) -> list:
        return list(differences(self.truth, json.loads((self.run_dir / "summary.json").read_text())["models"]))


@pytest.mark.slow
def test_a_killed_worker_of_a_real_cluster_costs_nothing_but_its_part(tiny_folder: TinyFolder, tmp_path: Path):
    real = _Real(str(tiny_folder("llama")), tmp_path)
    lines = []
    with real.start() as run:
        for line in run.stdout:
            lines.append(line)
            found = re.search(r"worker: process (\d+)", line)
            if found and sum("worker: process" in x for x in lines) == 2:
                os.kill(int(found[1]), signal.SIGKILL)
    assert run.returncode == 0, "".join(lines)
    assert real.differs() == []
    assert "found in the cache" not in "".join(lines), "the workers made it"


@pytest.mark.slow
def test_a_killed_driver_is_gone_on_from(tiny_folder: TinyFolder, tmp_path: Path):
    real = _Real(str(tiny_folder("llama")), tmp_path)
    with real.start() as run:
        while not (done := list(real.run_dir.glob("*/parts/generate-*/*-of-*/done.json"))):
            assert run.poll() is None
            time.sleep(0.05)
        run.kill()
    again = subprocess.run(real.command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    there = re.search(r"(\d+) of (\d+) parts of generate were there already", again.stdout)
    assert len(done) <= int(there[1]) < int(there[2])
    assert real.differs() == []


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
