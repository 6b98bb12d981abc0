"""Progress as the stages see it: a number of rows to do, and how many were done."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from experiments.run.console import visible

LOG_SECONDS = 30.0
"""Where there is no terminal to draw on (a job's log, a pipe), a line is written this often."""


class Tick(Protocol):
    """Called with the number of rows finished since the last call."""

    def __call__(self, rows: int) -> None:
        """Advance."""


@dataclass(frozen=True)
class Reporter:
    """Where stages say what they do. A console shows bars; None is silent.

    Attributes:
        aside: where what has to be known is said (damage that was found, a run without probes) if there is no console.
    """

    console: Console | None = None
    aside: Console | None = None

    def say(self, text: str, style: str | None = None) -> None:
        """Print one line."""
        if self.console:
            self.console.print(text, style=style)

    def warn(self, text: str) -> None:
        """Print what has to be known, whatever else is silent."""
        if console := self.console or self.aside:
            console.print(text)

    def say_lost(self, table: Path, lines: int) -> None:
        """Say how many damaged lines of a table are made again."""
        if lines:
            self.warn(f"  {lines} damaged lines of {table.name} were left out and are made again")

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Tick]:
        """A bar with rows done, rows in all, and the time left; lines of a log where nothing can be drawn."""
        if not self.console or total == 0:
            yield lambda rows: None
            return
        title = visible(title)  # the columns of a bar do not go through the console's own escaping
        if not self.console.is_terminal:
            yield _Log(self.console, title, total)
            return
        columns = (
            TextColumn("  {task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(title, total=total, rate="")

            def tick(rows: int) -> None:
                progress.advance(task, rows)
                speed = progress.tasks[0].speed
                progress.update(task, rate=f"{speed:.0f} rows/s" if speed else "")

            yield tick

    @contextmanager
    def busy(self, title: str) -> Iterator[None]:
        """A spinner with the time that has passed, for work whose length is not known; drawn on terminals only."""
        if not self.console or not self.console.is_terminal:
            yield
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            progress.add_task(visible(title), total=None)
            yield


class _Log:
    """A line now and then, with the time left at the mean speed so far."""

    def __init__(self, console: Console, title: str, total: int) -> None:
        self.console, self.title, self.total = console, title, total
        self.done = 0
        self.start = self.last = time.monotonic()

    def __call__(self, rows: int) -> None:
        self.done += rows
        now = time.monotonic()
        if now - self.last < LOG_SECONDS or self.done == 0:
            return
        self.last = now
        left = (now - self.start) * (self.total - self.done) / self.done
        self.console.print(f"  {self.title} {self.done}/{self.total}, about {left / 60:.1f} min left")
