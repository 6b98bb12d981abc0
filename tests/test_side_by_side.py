"""Checkpoints that workers measure make the trajectory of one process, whoever dies."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from crowd import Crowd
from test_trajectory import MEASURE, START, checkpoint, config_of, mixed

from activations import HintprobeError
from experiments.commands.reproduce import differences
from experiments.training.trajectory import FILE, run_trajectory

SMALL = {**MEASURE, "questions": {"source": "organism-world", "limit": 24}, "compare": {"bootstrap": 100}}


def listed(home: Path) -> list[dict]:
    """Two checkpoints, of which one is the start under another name."""
    return [checkpoint(1, START), checkpoint(2, mixed(home / "far", 0.1, 0.02))]


def timeless(folder: Path) -> dict:
    found = json.loads((folder / FILE).read_text())
    return {key: value for key, value in found.items() if key != "provenance"}


def test_checkpoints_side_by_side_make_the_same_trajectory_though_a_worker_dies(tmp_path, monkeypatch):
    given = listed(tmp_path)
    one = config_of(tmp_path / "one", given, measure=SMALL)
    many = config_of(tmp_path / "many", given, measure=SMALL)
    run_trajectory(one)
    crowd = Crowd(monkeypatch, dies_over=("measure",))
    found = run_trajectory(many, ray=("local", None))
    assert found.provenance["training"] == many.model_dump(mode="json")
    assert list(differences(timeless(one.run_dir), timeless(many.run_dir))) == []
    assert found.checkpoints[-1].probe_frozen_auroc is not None
    measured = [tuple(asked[1]) for asked in crowd.asked if asked[0] == "measure"]
    assert set(measured) == {(0, 1), (2,)}, "one a worker, but for the start under two names"
    assert len(measured) == 3, "one again"
    names = [asked[0] for asked in crowd.asked]
    assert names.index("items") < names.index("measure")


def test_what_no_checkpoint_can_do_is_told_before_anything_is_measured(tmp_path, monkeypatch):
    crowd = Crowd(monkeypatch)
    config = config_of(tmp_path, [checkpoint(1, tmp_path / "gone")], measure=SMALL)
    with pytest.raises(HintprobeError, match="step 1"):
        run_trajectory(config, ray=("local", None))
    assert crowd.asked == []


@pytest.mark.slow
def test_a_killed_worker_of_a_real_cluster_changes_no_value(tmp_path):
    pytest.importorskip("ray")
    given = listed(tmp_path)
    one = config_of(tmp_path / "one", given, measure=SMALL, threads=1)
    many = config_of(tmp_path / "many", given, measure=SMALL, threads=1)
    run_trajectory(one)
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(many.model_dump(mode="json", exclude_defaults=True)))
    command = [sys.executable, "-u", "-m", "hintprobe", "trajectory", str(path), "--workers", "2", "--ray"]
    lines, killed = [], False
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        for line in run.stdout:
            lines.append(line)
            if not killed and (found := re.search(r"worker: process (\d+)", line)):
                os.kill(int(found[1]), signal.SIGKILL)
                killed = True
    assert run.returncode == 0, "".join(lines)
    assert killed
    assert list(differences(timeless(one.run_dir), timeless(many.run_dir))) == []
