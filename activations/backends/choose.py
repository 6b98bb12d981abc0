"""From a backend's name to the backend; the libraries behind them are imported only when chosen."""

from typing import Any, get_args

from activations.backends.base import Backend
from activations.backends.native import NativeBackend
from activations.errors import HintprobeError
from activations.models import LoadedModel
from activations.names import BackendName


def open_backend(name: BackendName, loaded: LoadedModel, **options: Any) -> Backend:
    """A backend for a loaded model.

    The libraries' backends work on a copy of the model of their own, so that the model given is never changed.

    Args:
        name: ``native``, ``transformer_lens`` or ``nnsight``.
        options: for ``nnsight``, ``remote``.

    Raises:
        HintprobeError: no such backend, its library is not installed, or it does not know the architecture.
    """
    if name == "native":
        return NativeBackend(loaded)
    try:
        if name == "transformer_lens":
            from activations.backends.transformer_lens import TransformerLensBackend

            return TransformerLensBackend(loaded)
        if name == "nnsight":
            from activations.backends.nnsight import NnsightBackend

            return NnsightBackend(loaded, **options)
    except ImportError as error:
        extra = name.replace("_", "-")
        raise HintprobeError(
            f"The backend {name!r} needs a library that is not installed here ({error}). Install it with "
            f"`pip install 'hintprobe[{extra}]'`, or leave the backend out for the native one."
        ) from error
    raise HintprobeError(f"{name!r} is not a backend. Choose one of {', '.join(get_args(BackendName))}.")
