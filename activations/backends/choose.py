"""From a backend's name to the backend; the libraries behind them are imported only when chosen."""

from typing import Any

from activations.backends.base import Backend, Options
from activations.errors import HintprobeError
from activations.models import LoadedModel
from activations.names import BACKENDS


def open_backend(name: str, loaded: LoadedModel, **options: Any) -> Backend:
    """A backend for a loaded model.

    The libraries' backends work on a copy of the model of their own, so that the model given is never changed.

    Args:
        name: a name of :data:`activations.names.BACKENDS`.
        options: see :class:`~activations.backends.base.Options`.

    Raises:
        HintprobeError: no such backend, its library is not installed, it does not know the architecture, or an option
            that it needs is missing.
    """
    BACKENDS.check(name)
    try:
        kind = BACKENDS[name]
    except ImportError as error:
        raise HintprobeError(
            f"The backend {name!r} needs a library that is not installed here ({error}). Install it with "
            f"`pip install 'hintprobe[{name.replace('_', '-')}]'`, or leave the backend out for the native one."
        ) from error
    backend: Backend = kind(loaded, Options(**options)) if options else kind(loaded)
    return backend
