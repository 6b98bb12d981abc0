"""Cells under other rows or names, each read when it is asked for."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any

from probes.estimators.fitting import Features

Cells = Mapping[Any, Features]
"""Feature matrices to choose from, by anything that can name them."""


def _same(x: Features) -> Features:
    return x


class CellView(Mapping[Any, Features]):
    """Some of the cells of a mapping, each changed in the same way when it is read; nothing is kept."""

    def __init__(
        self, cells: Cells, names: Iterable[Hashable] | None = None, change: Callable[[Features], Features] = _same
    ) -> None:
        self.cells, self.change = cells, change
        self.names = dict.fromkeys(cells if names is None else names)

    def __getitem__(self, name: Any) -> Features:
        if name not in self.names:
            raise KeyError(name)
        return self.change(self.cells[name])

    def __iter__(self) -> Iterator[Any]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def map(self, change: Callable[[Features], Features]) -> "CellView":
        """The same cells, changed further."""
        return CellView(self, None, change)
