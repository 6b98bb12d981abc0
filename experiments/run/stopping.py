"""Ctrl-C and SIGTERM end a command in words."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from activations.errors import HintprobeError

STOPPED = "Stopped. Finished work is kept; run the same command again to resume."


@contextmanager
def stoppable() -> Iterator[None]:
    """Ctrl-C, and the signal by which a scheduler ends a job (SIGTERM), lose nothing, and say so."""
    ours = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _interrupted) if ours else None
    try:
        yield
    except KeyboardInterrupt as stop:
        raise HintprobeError(STOPPED) from stop
    finally:
        if ours:
            signal.signal(signal.SIGTERM, before)


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
