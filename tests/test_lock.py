"""One process at a time in a run's folder, whatever became of the last one."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from activations.errors import HintprobeError
from experiments.run import lock as locks
from experiments.run.lock import LOCK, HeldError, RunLock, holding

HOLDER = (
    "import sys, time; from pathlib import Path; from experiments.run.lock import RunLock; "
    "RunLock(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_is_told_who_holds_it(tmp_path, other):
    with pytest.raises(HeldError, match=rf"process {other.pid} on .* --wait"), holding(tmp_path):
        pass
    with holding(tmp_path, "part-0-of-2.lock"):  # another part of the work
        pass


def test_a_killed_holder_holds_nothing(tmp_path, other):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    with holding(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert (tmp_path / LOCK).read_text() == ""


def test_the_second_may_wait(tmp_path, other, monkeypatch):
    monkeypatch.setattr(locks, "POLL_SECONDS", 0.02)
    said = []

    def say(text):
        said.append(text)
        other.kill()

    with holding(tmp_path, wait=True, say=say):
        pass
    assert len(said) == 1
    assert f"process {other.pid}" in said[0]


def test_threads_of_one_process_exclude_each_other(tmp_path):
    with holding(tmp_path), pytest.raises(HeldError), holding(tmp_path):
        pass


def _of_another_machine(path, age):
    path.write_text(json.dumps({"token": "t", "host": "far", "machine": "m", "pid": 1, "started": "before"}))
    then = time.time() - age
    os.utime(path, (then, then))


def test_a_holder_of_another_machine_counts_while_its_heart_beats(tmp_path):
    """A file system whose locks end at the machine: the kernel lets us in, the heartbeat does not."""
    _of_another_machine(tmp_path / LOCK, 30)
    with pytest.raises(HeldError, match="process 1 on far"), holding(tmp_path):
        pass
    _of_another_machine(tmp_path / LOCK, locks.DEAD_SECONDS + 30)
    with holding(tmp_path):
        pass


def test_without_locks_of_the_kernel_the_note_is_enough(tmp_path, other, monkeypatch):
    monkeypatch.setattr(locks, "_flock", lambda file: None)
    with pytest.raises(HeldError), holding(tmp_path):
        pass
    other.kill()
    other.wait()
    with holding(tmp_path):
        pass


@pytest.fixture
def pythons_own_stop():
    """Ctrl-C as Python handles it; a library that ran before may have set another handler."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("pythons_own_stop")
def test_who_was_taken_over_stops(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_SETTLE_SECONDS", 0.02)

    def sleep_too_long():
        with holding(tmp_path):
            _of_another_machine(tmp_path / LOCK, 0)
            for _ in range(600):  # until the heart notices, which takes longer on a busy machine
                time.sleep(0.1)

    with pytest.raises(HintprobeError, match="process 1 on far has taken over"):
        sleep_too_long()
    assert json.loads((tmp_path / LOCK).read_text())["host"] == "far"


def test_a_background_job_stops_too(tmp_path, monkeypatch):
    """Its shell lets it ignore Ctrl-C; the command line still handles SIGTERM."""
    from experiments.commands.running import stoppable

    monkeypatch.setattr(locks, "_SETTLE_SECONDS", 0.02)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)

    def work():
        with stoppable(), holding(tmp_path):
            _of_another_machine(tmp_path / LOCK, 0)
            for _ in range(600):
                time.sleep(0.1)

    try:
        with pytest.raises(HintprobeError, match="process 1 on far has taken over"):
            work()
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_heart_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_SETTLE_SECONDS", 0.02)
    lock = RunLock(tmp_path)
    lock.acquire()
    os.utime(tmp_path / LOCK, (0, 0))
    time.sleep(0.3)
    assert time.time() - (tmp_path / LOCK).stat().st_mtime < 5
    lock.release()


def test_a_note_that_cannot_be_read_holds_nothing(tmp_path):
    (tmp_path / LOCK).write_bytes(b"\xff\x00{")
    with holding(tmp_path):
        pass
