"""Who is using a part of a store: marks that other processes read before they take anything away.

A mark is an empty file whose name says host and process. It needs no lock, so it works on shared file systems; a
process that was killed leaves one behind, and that is told by its process being gone.
"""

import os
import socket
import time
import uuid
import weakref
from contextlib import suppress
from pathlib import Path

UNFINISHED = ".tmp"
IN_USE = ".use"
SILENCE_S = 3600
"""A mark of another machine counts as left behind after so many seconds without a sign of life."""


def _own_name(suffix: str) -> str:
    return f".{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex}{suffix}"


def unfinished_name() -> str:
    """Name of a file in the making: whose it is can be told, so that `repair` leaves a living writer's alone."""
    return _own_name(UNFINISHED)


def owner(path: Path) -> tuple[str, str]:
    """Host and process id in the name of a mark or of an unfinished file."""
    host, _, process = path.name.removeprefix(".").rpartition(".")[0].rpartition(".")[0].rpartition(".")
    return host, process


def is_abandoned(path: Path) -> bool:
    """Is the process of this file gone? One of another machine is taken to be so after an hour of silence."""
    host, process = owner(path)
    if host == socket.gethostname() and process.isdigit():
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False
    try:
        return time.time() - path.stat().st_mtime > SILENCE_S
    except FileNotFoundError:
        return False


def mark(folder: Path, holder: object) -> Path | None:
    """Say that this process uses a folder for as long as ``holder`` lives; None where nothing can be written."""
    path = folder / _own_name(IN_USE)
    try:
        path.touch()
    except OSError:
        return None  # a store that is mounted read-only loses nothing to this machine
    weakref.finalize(holder, _unmark, path, os.getpid())
    return path


def _unmark(path: Path, process: int) -> None:
    if os.getpid() == process:  # a forked child ends without ending its parent's use
        with suppress(OSError):
            path.unlink(missing_ok=True)


def renew(path: Path | None) -> None:
    """Give a sign of life, for other machines."""
    if path is not None:
        with suppress(OSError):
            os.utime(path)


def users(folder: Path) -> list[str]:
    """Living processes that use a folder or write into it, as ``process ID on HOST``; this one is not named."""
    here = socket.gethostname(), str(os.getpid())
    found = {
        owner(path) for suffix in (IN_USE, UNFINISHED) for path in folder.glob(f".*{suffix}") if not is_abandoned(path)
    }
    return sorted(f"process {process} on {host}" for host, process in found - {here})
