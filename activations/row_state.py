"""Rows while they are completed: what each has so far, and who is told of those that have ended."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Completion:
    """What one row produced.

    Attributes:
        ids: new tokens, the end token included where it was reached.
        margins: top-two logit difference at each new token, in nats, before any penalty or truncation.
    """

    ids: tuple[int, ...]
    margins: tuple[float, ...]
    finish_reason: FinishReason


OnBatch = Callable[[list[int], list[Completion]], None]
OnStep = Callable[[int, int, int], None]
"""Told at every step: the token that a batch is at, how many it may have, and how many of its rows go on."""
TELL_SECONDS = 5.0
"""How often rows that have ended are told of within a batch: what a kill can cost beside the rows that go on."""


@dataclass
class Row:
    """A row while it is being completed.

    Attributes:
        stream: its seed, and how many tokens were drawn with it before.
        limit: new tokens that it may have.
    """

    stream: tuple[int, int]
    limit: int
    ids: list[int] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)
    stopped: bool = False

    @property
    def ended(self) -> bool:
        """It reached an end token, or its limit."""
        return self.stopped or len(self.ids) >= self.limit

    @property
    def completion(self) -> Completion:
        """What it has produced so far."""
        return Completion(tuple(self.ids), tuple(self.margins), "stop" if self.stopped else "length")


class Telling:
    """Tells a caller of rows as they end, each once, so that one that is stopped has lost none of them."""

    def __init__(self, on_batch: OnBatch | None, on_step: OnStep | None = None) -> None:
        self.on_batch, self.on_step = on_batch, on_step
        self.told: set[int] = set()
        self.last = time.monotonic()

    def tell(self, indices: Sequence[int], rows: Sequence[Row], now: bool = False) -> None:
        """Tell of the rows that have ended since, if it is time for that."""
        if self.on_batch is None or (not now and time.monotonic() - self.last < TELL_SECONDS):
            return
        self.last = time.monotonic()
        ended = [(i, row) for i, row in zip(indices, rows, strict=True) if row.ended and i not in self.told]
        if ended:
            self.told.update(i for i, _ in ended)
            self.on_batch([i for i, _ in ended], [row.completion for _, row in ended])

    def step(self, indices: Sequence[int], rows: Sequence[Row]) -> None:
        """A step of a batch is done, and some of its rows go on."""
        self.tell(indices, rows)
        if self.on_step is not None:
            going = [row for row in rows if not row.ended]
            self.on_step(max(len(row.ids) for row in going), max(row.limit for row in going), len(going))
