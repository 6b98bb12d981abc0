"""Progress as the stages see it: a number of rows to do, and how many were done."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
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
        notes: what shows a note beside each bar that is open, the innermost last.
        log: file that every line is added to, with its time.
    """

    console: Console | None = None
    aside: Console | None = None
    notes: list[Callable[[str], None]] = field(default_factory=list, repr=False, compare=False)
    log: Path | None = None

    def say(self, text: str, style: str | None = None) -> None:
        """Print one line."""
        self._write(text)
        if self.console:
            self.console.print(text, style=style)

    def _write(self, text: str) -> None:
        if self.log is not None:
            # A log that cannot be written stops no run.
            with suppress(OSError), self.log.open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {visible(text)}\n")

    def warn(self, text: str) -> None:
        """Print what has to be known, whatever else is silent."""
        self._write(text)
        if console := self.console or self.aside:
            console.print(text)

    def say_lost(self, table: Path, lines: int) -> None:
        """Say how many damaged lines of a table are made again."""
        if lines:
            self.warn(f"  {lines} damaged lines of {table.name} were skipped; their rows are computed again")

    def step(self, token: int, most: int, rows: int) -> None:
        """Show how far a batch has come in which rows may not end for minutes; beside the bar, or in the log."""
        if self.notes:
            self.notes[-1](f"{rows} rows at token {token} of at most {most}")

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Tick]:
        """A bar with rows done, rows in all, and the time left; lines of a log where nothing can be drawn."""
        if not self.console or total == 0:
            yield lambda rows: None
            return
        title = visible(title)  # the columns of a bar do not go through the console's own escaping
        if not self.console.is_terminal:
            log = _Log(self.console, title, total)
            with self._noting(log.note):
                yield log
            return
        columns = (
            TextColumn("  {task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(title, total=total, rate="", note="")

            def tick(rows: int) -> None:
                progress.advance(task, rows)
                speed = progress.tasks[0].speed
                progress.update(task, rate=f"{speed:.0f} rows/s" if speed else "")

            with self._noting(lambda text: progress.update(task, note=text)):
                yield tick

    @contextmanager
    def _noting(self, show: Callable[[str], None]) -> Iterator[None]:
        self.notes.append(show)
        try:
            yield
        finally:
            self.notes.pop()

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

    def note(self, text: str) -> None:
        """Say that work goes on while no row ends."""
        if self._due():
            self.console.print(f"  {self.title} {self.done}/{self.total}, {text}")

    def _due(self) -> bool:
        now = time.monotonic()
        due = now - self.last >= LOG_SECONDS
        self.last = now if due else self.last
        return due

    def __call__(self, rows: int) -> None:
        self.done += rows
        if self.done == 0 or not self._due():
            return
        now = self.last
        left = (now - self.start) * (self.total - self.done) / self.done
        self.console.print(f"  {self.title} {self.done}/{self.total}, about {left / 60:.1f} min left")
