"""The libraries that train: are they there, and how to keep them from changing or saying what is not theirs."""

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from activations.errors import HintprobeError


def require_libraries() -> None:
    """Refuse to train without the extra.

    Raises:
        HintprobeError: a library is missing.
    """
    try:
        import datasets  # noqa: F401
        import peft  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise HintprobeError(
            f"Reinforcement learning needs trl, peft and datasets ({error}); install them with "
            "`pip install 'hintprobe[train]'`."
        ) from error


@contextmanager
def kept_random_states() -> Iterator[None]:
    """The trainer seeds every generator of the process; give them back as they were."""
    import numpy as np
    import torch

    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def quiet() -> Iterator[None]:
    """Libraries warn of their own names and of what the caller has chosen; nothing here can be done about it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*generation flags.*")
        yield
