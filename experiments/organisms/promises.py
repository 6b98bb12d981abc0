"""What each organism promises, as data: ``promises/NAME.yaml``, and whether measured figures keep to it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from activations.errors import HintprobeError
from experiments.organisms.recipe import Strict

FOLDER = Path(__file__).parent / "promises"


class Promise(Strict):
    """A bound on a measured figure."""

    figure: str = Field(
        description="path into the measurements, keys joined by dots; `*` stands for every key, each of which must hold"
    )
    at_least: float | None = Field(None, description="smallest value that keeps the promise")
    at_most: float | None = Field(None, description="largest value that keeps it")
    says: str = Field(description="the promise in one sentence")
    quick: bool = Field(True, description="a few hundred questions can refute it; else the quick check leaves it out")

    @model_validator(mode="after")
    def _bounded(self) -> "Promise":
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"the promise about {self.figure} has neither at_least nor at_most")
        return self


class Promises(Strict):
    """The contents of a file of promises."""

    truth: str = Field(description="what there is to find in this organism, and where")
    promises: tuple[Promise, ...] = Field(description="what it promises", min_length=1)
    flaws: tuple[str, ...] = Field((), description="known flaws, and what was tried against them")


def load_promises(name: str) -> Promises:
    """The promises of an organism.

    Raises:
        HintprobeError: there are none of that name, or the file has unknown or ill-typed keys.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(found.stem for found in FOLDER.glob("*.yaml")))
        raise HintprobeError(f"There are no promises of an organism {name!r}. Known: {known}.")
    try:
        return Promises.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise HintprobeError(f"The promises {path.name} are not valid: {error}") from error


@dataclass(frozen=True)
class Outcome:
    """A promise held against one measured figure.

    Attributes:
        figure: its path, without ``*``.
        value: None where the figure was not measured.
        n: rows behind it, where the figure says.
        held: the promise is kept; by the value, or in a quick check by what the interval allows.
    """

    figure: str
    says: str
    at_least: float | None
    at_most: float | None
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    held: bool

    @property
    def bounds(self) -> str:
        """``≥ 0.9``, ``≤ 0.1`` or ``0.4 to 0.6``."""
        if self.at_least is None or self.at_most is None:
            return f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"
        return f"{self.at_least:g} to {self.at_most:g}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def check(promises: Sequence[Promise], measured: Mapping[str, Any], quick: bool = False) -> list[Outcome]:
    """Hold every promise against the measurements.

    Args:
        quick: break a promise only where the figure's interval lies beyond its bounds. A figure without an interval is
            judged by its value; an end of an interval is judged by the whole of it.
    """
    chosen = [promise for promise in promises if promise.quick or not quick]
    return [outcome for promise in chosen for outcome in _outcomes(promise, measured, quick)]


def _outcomes(promise: Promise, measured: Mapping[str, Any], quick: bool) -> Iterator[Outcome]:
    found = list(_find(measured, promise.figure.split("."), ()))
    if not found:
        yield _outcome(promise, promise.figure, None, None, quick)
    for path, figure, parent in found:
        yield _outcome(promise, ".".join(path), figure, parent, quick)


def _find(value: Any, keys: Sequence[str], path: tuple[str, ...], parent: Any = None) -> Iterator[Any]:
    """Every figure of a path, with its own path and what holds it."""
    if not keys:
        yield path, value, parent
        return
    if not isinstance(value, Mapping):
        return
    for key in value if keys[0] == "*" else [keys[0]]:
        if key in value:
            yield from _find(value[key], keys[1:], (*path, key), value)


def _outcome(promise: Promise, path: str, figure: Any, parent: Any, quick: bool) -> Outcome:
    entry = figure if isinstance(figure, Mapping) else {"value": figure}
    value, low, high = entry.get("value"), entry.get("low"), entry.get("high")
    ends = (low, high)
    if path.endswith((".low", ".high")) and isinstance(parent, Mapping):
        ends = (parent.get("low"), parent.get("high"))
    smallest, largest = ends if quick and None not in ends else (value, value)
    held = smallest is not None and largest is not None and _keeps(promise, smallest, largest)
    return Outcome(path, promise.says, promise.at_least, promise.at_most, value, low, high, entry.get("n"), held)


def _keeps(promise: Promise, smallest: float, largest: float) -> bool:
    enough = promise.at_least is None or largest >= promise.at_least
    return enough and (promise.at_most is None or smallest <= promise.at_most)
