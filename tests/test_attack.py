"""The attacks' own eyes: they see a changed record, a lost row and a traceback, and look past rounding."""

import json
import os
import random
from pathlib import Path
from types import SimpleNamespace

import pytest

from activations.errors import HintprobeError
from experiments.benchmarks.attack import attack
from experiments.benchmarks.attack_arena import figures, same, start
from experiments.benchmarks.attack_kinds import Attack

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_rounding_is_the_same_and_anything_else_is_not():
    one = {"a": [1, 0.5, "x"], "b": {"c": None, "d": True}}
    assert same(one, {"a": [1, 0.5004, "x"], "b": {"c": None, "d": True}})
    assert not same(one, {"a": [1, 0.52, "x"], "b": {"c": None, "d": True}})
    assert not same(one, {"a": [1, 0.5], "b": {"c": None, "d": True}})
    assert not same(one, {"a": [1, 0.5, "x"], "b": {"c": 0.0, "d": True}})
    assert not same(one, {"a": [2, 0.5, "x"], "b": {"c": None, "d": True}})


def stage(cache: Path, rows: list[dict[str, object]]) -> dict[str, object]:
    folder = cache / "runs" / "r" / "m" / "judge-1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return figures(cache, "judge")


def test_a_lost_and_a_doubled_row_are_seen_and_order_and_time_are_not(tmp_path):
    rows = [{"id": "a", "x": 1.0, "seconds": 3.0}, {"id": "b", "x": 2.0, "seconds": 4.0}]
    whole = stage(tmp_path, rows)
    assert same(whole, stage(tmp_path, [{**rows[1], "seconds": 9.0}, rows[0]]))
    assert not same(whole, stage(tmp_path, rows[:1]))
    assert not same(whole, stage(tmp_path, [*rows, rows[1]]))
    assert not same(whole, stage(tmp_path, [rows[0], {**rows[1], "x": 2.5}]))


def raising(error: BaseException) -> None:
    raise error


def test_how_a_process_ended_is_told(tmp_path):
    note = tmp_path / "note"
    assert start(lambda: None, note).wait().how == "ok"
    assert start(lambda: raising(HintprobeError("one paragraph")), note).wait().said == "one paragraph"
    ended = start(lambda: raising(KeyError("x")), note).wait()
    assert (ended.how, "KeyError" in ended.said) == ("traceback", True)
    assert start(lambda: os.kill(os.getpid(), 9), note).wait().how == "killed"
    full = start(lambda: (tmp_path / "big").write_bytes(bytes(1000)), note, file_bytes=100).wait()
    assert (full.how, "File too large" in full.said) == ("traceback", True)


def test_a_damaged_file_that_is_read_in_silence_is_counted(tmp_path):
    """A run that takes no notice of its files: what the attacks are there to find."""
    sound = tmp_path / "sound"
    truth = stage(sound, [{"id": str(k), "x": float(k)} for k in range(20)])

    class Careless:
        root, rng = tmp_path, random.Random(0)

        def copy(self, without=None):
            folder = tmp_path / f"copy{self.rng.random()}"
            stage(folder, [{"id": str(k), "x": float(k)} for k in range(20)])
            return folder

        def run(self, cache, until):
            return SimpleNamespace(wait=lambda: SimpleNamespace(how="ok", said=""))

        def is_right(self, cache, until):
            try:
                return same(figures(cache, "judge"), truth)
            except ValueError:
                return False

    trials = Attack(Careless())
    trials.rng = random.Random(1)
    trials._reports = lambda cache, what: None
    for _ in range(20):
        trials.corrupt()
    assert trials.counts["corruptions"] == 20
    assert trials.counts["corruptions_silent"] > 10


@pytest.mark.slow
def test_nothing_is_lost_or_wrong_in_two_minutes(tmp_path):
    found = attack(2.0, 0, tmp_path)
    assert found["said"] == []
    assert found["corruptions"] > 0
