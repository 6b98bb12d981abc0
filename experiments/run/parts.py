"""A stage in parts: its rows in units, each part's units, and the parts joined into what one process writes.

The numbers of a row depend, in their last bits, on the rows that it shares a forward with. So rows are put into units
by their question alone, every process computes a unit by itself, and a part is a number of whole units: whoever
computes a unit computes the same, and rows that are added later leave the others where they are.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from activations import Part
from experiments.records.accounts import Account
from experiments.records.seeds import stable_int
from experiments.run.progress import Reporter, Tick

_FINE = 11.5
_POWER = 0.65
"""Units of 100 rows in a small run and of 1,500 in one of a million: a forward full, and hundreds of parts."""
_MOST_UNITS = 4096


class Work(Protocol):
    """The work of one stage: its rows, what is computed of some of them, and what is made of all.

    Attributes:
        title: of the bar; empty where the work draws its own.
        keys: per row, what decides its unit: the id of its question.
        forwards: rows that go through the model in all, roughly; more of them make more units.
        batched: :meth:`do` is given one unit at a time, whose rows share forwards; else all rows at once, and keeps
            units apart itself where rows share forwards.
    """

    title: str
    keys: Sequence[str]
    forwards: int
    batched: bool

    def ticks(self, rows: Sequence[int]) -> int:
        """Steps of the bar that these rows are."""

    def do(self, rows: Sequence[int], tick: Tick) -> None:
        """Compute rows and keep them in the folder's tables, but for what is there already."""

    def close(self) -> dict[str, Any]:
        """End the work of this process; what it counted that cannot be told from the tables, as JSON values."""

    def finish(self, counts: Mapping[str, Any]) -> Account:
        """With the rows of all parts in the tables: put them in order, make what rests on all of them, and count.

        Args:
            counts: what :meth:`close` gave, of all parts together.
        """


@dataclass(frozen=True)
class Share:
    """What a process does of a run that is done in parts.

    Attributes:
        stages: the stages it concerns; all others have to be finished.
        part: the part that is done; None joins the parts.
        anew: a part that was stopped is begun again, so that its rows share forwards with those that they always do.
        scratch: given to have nothing done, and only ``units`` filled in: a folder that is thrown away.
        units: rows of every unit; none where the stage is finished.
        made: filled in with the parts that were done, rather than found.
    """

    stages: tuple[str, ...]
    part: Part | None = None
    anew: bool = False
    scratch: Path | None = None
    units: list[int] = field(default_factory=list)
    made: list[Part] = field(default_factory=list)


def n_units(forwards: int) -> int:
    """Units of so much work: a power of two, so that with more rows a unit is cut in two and none moves over."""
    wanted = forwards**_POWER / _FINE
    return min(_MOST_UNITS, 2 ** int(math.log2(wanted))) if wanted >= 1 else 1


def unit_of(key: str, units: int) -> int:
    """The unit of a row, by its question alone."""
    return stable_int("unit", key) % units


def units_of(work: Work) -> list[list[int]]:
    """The rows of every unit, in their order; a unit may be empty."""
    found: list[list[int]] = [[] for _ in range(n_units(work.forwards))]
    for row, key in enumerate(work.keys):
        found[unit_of(key, len(found))].append(row)
    return found


def compute(work: Work, reporter: Reporter, part: Part | None = None) -> int:
    """Compute all units, or a part's; how many rows these are."""
    units = units_of(work)
    chosen = units if part is None else units[part.index :: part.count]
    together = chosen if work.batched else [sorted(row for unit in chosen for row in unit)]
    together = [rows for rows in together if rows]
    with reporter.bar(work.title, sum(work.ticks(rows) for rows in together)) as tick:
        for rows in together:
            work.do(rows, tick)
    return sum(map(len, together))


def whole(work: Work, reporter: Reporter) -> Account:
    """All of a stage in one process."""
    compute(work, reporter)
    return work.finish(added([work.close()]))


def added(counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts of all parts as one: numbers are added, mappings entry by entry, and of anything else the first holds."""
    result: dict[str, Any] = {}
    for name in dict.fromkeys(name for count in counts for name in count):
        values = [count[name] for count in counts if name in count]
        if all(isinstance(value, dict) for value in values):
            result[name] = added(values)
        elif all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            result[name] = sum(values)
        else:
            result[name] = values[0]
    return result
