"""What every worker of a cluster is: a process that is asked and answers in plain values.

Bad input is an answer, too: another machine's traceback helps nobody.
"""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError

LIBRARIES = ("hintprobe", "torch", "transformers", "numpy", "scikit-learn", "h5py", "pydantic")
"""What numbers and records depend on: equal on all machines."""


@dataclass(frozen=True)
class Answer:
    """What a worker says.

    Attributes:
        value: of what was asked.
        error: the message of a :class:`HintprobeError`; empty where there was none.
    """

    value: Any = None
    error: str = ""


def versions() -> dict[str, str]:
    """Versions of the libraries here."""
    return {name: version(name) for name in LIBRARIES}


def told(do: Callable[[], Any]) -> Answer:
    """What ``do`` gives, or the message of what it refuses."""
    try:
        return Answer(do())
    except HintprobeError as error:
        return Answer(error=str(error))


class Worker:
    """A worker that only says where it is; others add what they do.

    Args:
        threads: CPU threads of torch; None leaves the library's default.
    """

    def __init__(self, threads: int | None) -> None:
        if threads is not None:
            import torch

            torch.set_num_threads(threads)

    def about(self, file: str) -> Answer:
        """Where it runs, with which versions, and whether it sees a file."""
        sees = Path(file).exists()
        return Answer({"host": socket.gethostname(), "pid": os.getpid(), "versions": versions(), "sees": sees})
