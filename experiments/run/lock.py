"""One process at a time in a run's folder, named for whoever comes second.

Two means, for no single one holds everywhere. The kernel's lock (``flock``) on ``run.lock`` ends with its process,
whatever kills it, and covers one machine and most network file systems. What the file says covers the others: who holds
it, and a heartbeat in its modification time. A holder of another machine whose heart has not beaten for two minutes of
the file system's own clock is taken for dead.
"""

import _thread
import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from experiments.records.files import unwritable

try:
    import fcntl
except ImportError:  # a system without POSIX locks: the heartbeat alone has to do
    fcntl = None  # type: ignore[assignment]

LOCK = "run.lock"
BEAT_SECONDS = 10.0
DEAD_SECONDS = 120.0
POLL_SECONDS = 1.0
_SETTLE_SECONDS = 1.0
"""Until the first look at whether another machine took the lock in the same moment."""


class HeldError(HintprobeError):
    """Another process holds the lock."""


class RunLock:
    """The lock of one folder, or of one part of its work.

    Args:
        folder: the run's folder, which must exist.
        name: what of the run is locked; processes that do different parts lock different names.
    """

    def __init__(self, folder: Path, name: str = LOCK) -> None:
        self.path = folder / name
        self.lost_to = ""
        self._token = uuid.uuid4().hex
        self._file: int | None = None
        self._stop = threading.Event()
        self._heart: threading.Thread | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            HeldError: another process holds it; the message names it.
            HintprobeError: the folder cannot be written.
        """
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise unwritable(self.path.parent, error) from error
        try:
            alone = _flock(file)
            holder = _holder(self.path)
            if alone is False or (holder and not self._is_dead(holder, alone)):
                raise HeldError(_said(self.path, holder))
            self._write(file)
        except OSError as error:
            os.close(file)
            raise unwritable(self.path.parent, error) from error
        except BaseException:
            os.close(file)
            raise
        self._file = file
        self._heart = threading.Thread(target=self._beat, daemon=True, name="run lock")
        self._heart.start()

    def release(self) -> None:
        """Give the lock back; what another process has taken over is left to it."""
        if self._file is None:
            return
        self._stop.set()
        if self._heart is not None:
            self._heart.join(timeout=2)
        with suppress(OSError):
            if not self.lost_to and _holder(self.path).get("token") == self._token:
                os.ftruncate(self._file, 0)
        os.close(self._file)
        self._file = None

    def _write(self, file: int) -> None:
        note = {
            "token": self._token,
            "host": socket.gethostname(),
            "machine": _machine(),
            "pid": os.getpid(),
            "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(note).encode(), 0)
        os.fsync(file)

    def _is_dead(self, holder: dict[str, Any], alone: bool | None) -> bool:
        """Did the holder end without giving the lock back?"""
        if holder.get("machine") == _machine():
            # The kernel's lock of a process of this machine is gone with it.
            return alone is True or not _runs(int(holder.get("pid", 0)))
        return _silence(self.path) > DEAD_SECONDS

    def _beat(self) -> None:
        wait = _SETTLE_SECONDS
        while not self._stop.wait(wait):
            wait = BEAT_SECONDS
            holder = _holder(self.path)
            if holder and holder.get("token") != self._token:
                self.lost_to = _name(holder)
                # A shell starts background jobs (`nohup … &`) with Ctrl-C ignored; the commands handle SIGTERM then.
                for number in (signal.SIGINT, signal.SIGTERM):
                    if callable(signal.getsignal(number)):
                        _thread.interrupt_main(number)
                        break
                return
            with suppress(OSError):  # a full disk or a server that is away now: the next beat may reach it
                os.utime(self.path)


@contextmanager
def holding(
    folder: Path, name: str = LOCK, wait: bool = False, say: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold a folder's lock.

    Args:
        wait: wait for another holder to end, then go on from what it left.
        say: told once for whom is waited.

    Raises:
        HeldError: another process holds it, and ``wait`` is off.
        HintprobeError: the folder cannot be written, or another process took the lock over while this one was asleep.
    """
    lock = RunLock(folder, name)
    told = False
    while True:
        try:
            lock.acquire()
            break
        except HeldError as held:
            if not wait:
                raise
            if say and not told:
                say(f"Waiting: {str(held).split('. ')[0]}.")
                told = True
            time.sleep(POLL_SECONDS)
    try:
        yield
    except KeyboardInterrupt:
        if lock.lost_to:
            raise HintprobeError(
                f"This process did not respond for over {DEAD_SECONDS:.0f} s, so {lock.lost_to} has taken over the run "
                f"in {folder}. This process stopped, so that no row is computed twice; its finished work is kept."
            ) from None
        raise
    finally:
        lock.release()


def _flock(file: int) -> bool | None:
    """Take the kernel's lock: True if taken, False if another process has it, None where there is no such thing."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def _holder(path: Path) -> dict[str, Any]:
    """What the lock file says; empty where it says nothing, or nothing that can be read."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _silence(path: Path) -> float:
    """Seconds since the last heartbeat, by the file system's clock: hosts disagree about the time."""
    probe = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime
    except OSError:
        return 0.0
    finally:
        probe.unlink(missing_ok=True)


def _machine() -> str:
    """Tells this machine, since it was started, from every other."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return socket.gethostname()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _name(holder: dict[str, Any]) -> str:
    return f"process {holder.get('pid', '?')} on {holder.get('host', 'a machine that gave no name')}"


def _said(path: Path, holder: dict[str, Any]) -> str:
    who = f"{_name(holder)} (since {holder.get('started', '?')})" if holder else "another process"
    if path.name.startswith("."):
        return (
            f"The file {path.name[1:].removesuffix('.lock')} in {path.parent} is being worked on by {who}. Let it end, "
            "then run again to resume, or write to another file."
        )
    return (
        f"The run in {path.parent} is being worked on by {who}. Wait for it with `hintprobe run CONFIG --wait`, which "
        "then continues from its results; end that process; or run under another `name` or `--cache`."
    )
