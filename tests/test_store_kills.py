"""A process killed at any instant costs what it was writing, and nothing else (`tests/killing.py`)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
HERE = Path(__file__).parent


def kill_writers(folder: Path, kills: int, seed: int, timeout: int) -> None:
    env = {**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "killing.py"), str(folder), str(kills), str(seed)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    trials = seen["trials"]
    assert len(trials) == kills
    assert sum(trial["writers"] == 2 for trial in trials) == kills // 2
    assert seen["shards"] > 5
    assert sum(trial["killed"] for trial in trials) > kills / 2, "most writers were killed before their end"
    assert any(trial["unfinished"] for trial in trials), "some in the middle of a write"
    assert any(0 < trial["present"] < seen["entries"] for trial in trials), "some half-way"


def test_ten_kills_lose_no_finished_row(tmp_path: Path):
    kill_writers(tmp_path, 10, seed=0, timeout=120)


@pytest.mark.slow
def test_two_hundred_kills_lose_no_finished_row(tmp_path: Path):
    kill_writers(tmp_path, 200, seed=1, timeout=1200)
