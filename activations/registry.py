"""Names that stand for things, each loaded from its own module when it is first asked for.

A registry is a table of one line per thing, so that adding one means writing its file and adding its line. Nothing is
imported to list the names.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Generic, TypeVar, cast

from activations.errors import HintprobeError

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Maps names to things given as ``"module:attribute"``.

    ``registry[name]`` imports the module and returns the attribute. It is a ``Mapping``: iterating, ``in`` and ``len``
    look at the names alone and import nothing.

    Args:
        what: what an entry is, in the singular, for messages: ``"backend"``.
        entries: per name, ``"module:attribute"``.

    Raises:
        ValueError: an entry is not of that form.
    """

    def __init__(self, what: str, entries: Mapping[str, str]) -> None:
        self.what = what
        self._entries: dict[str, str] = {}
        for name, path in entries.items():
            self.add(name, path)

    def add(self, name: str, path: str) -> None:
        """Add an entry, such as one of another package or of a user's own module.

        Raises:
            ValueError: the path is not ``"module:attribute"``, or the name stands for something else already.
        """
        module, separator, attribute = path.partition(":")
        if not (module and separator and attribute.isidentifier()):
            raise ValueError(f"The {self.what} {name!r} was registered as {path!r}; expected 'module:attribute'.")
        if self._entries.get(name, path) != path:
            raise ValueError(f"The {self.what} {name!r} is registered already, as {self._entries[name]!r}.")
        self._entries[name] = path

    def __getitem__(self, name: str) -> T:
        module, _, attribute = self.path(name).partition(":")
        return cast(T, getattr(import_module(module), attribute))

    def path(self, name: str) -> str:
        """Where an entry lies, without loading it.

        Raises:
            HintprobeError: no such name; the message lists those there are. It is no ``KeyError``, so ask with ``in``
                where a name may be missing.
        """
        self.check(name)
        return self._entries[name]

    def check(self, name: str) -> None:
        """Refuse a name that is not there.

        Raises:
            HintprobeError: no such name.
        """
        if name in self._entries:
            return
        close = get_close_matches(str(name), self._entries, n=1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        raise HintprobeError(f"There is no {self.what} {name!r}.{meant} Known: {', '.join(self._entries) or 'none'}.")

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
