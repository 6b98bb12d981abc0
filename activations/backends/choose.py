"""From a backend's name to the backend; the libraries behind them are imported only when chosen."""

from typing import Any

from activations.backends.base import Backend
from activations.errors import HintprobeError
from activations.models import LoadedModel
from activations.names import BACKENDS


def open_backend(name: str, loaded: LoadedModel, **options: Any) -> Backend:
    """A backend for a loaded model.

    The libraries' backends work on a copy of the model of their own, so that the model given is never changed.

    Args:
        name: one of :data:`activations.names.BACKENDS`.
        options: for ``nnsight``, ``remote``.

    Raises:
        HintprobeError: no such backend, its library is not installed, or it does not know the architecture.
    """
    BACKENDS.check(name)
    try:
        kind: Any = BACKENDS[name]
    except ImportError as error:
        extra = name.replace("_", "-")
        raise HintprobeError(
            f"The backend {name!r} needs a library that is not installed here ({error}). Install it with "
            f"`pip install 'hintprobe[{extra}]'`, or leave the backend out for the native one."
        ) from error
    backend: Backend = kind(loaded, **options)
    return backend
