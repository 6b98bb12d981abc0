"""Ways to run a model and read or replace what passes its sites, behind one protocol."""

from activations.backends.base import Backend, Edits
from activations.backends.choose import open_backend
from activations.backends.native import NativeBackend

__all__ = ["Backend", "Edits", "NativeBackend", "open_backend"]
