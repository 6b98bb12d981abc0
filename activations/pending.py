"""Captured batches on their way into shards: put in order, and written while the next batch is computed."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from activations.batching import Ids
from activations.capturing import Captured
from activations.entries import Entries, hashes
from activations.model_store import ModelStore
from activations.shard import to_numpy
from activations.sites import Site

SHARD_BYTES = 2**28
"""A shard is written once so much is together. A kill can cost three: one being gathered, two being written."""
SHARD_SECONDS = 60.0
"""... or after this long, where batches come slowly. Small shards are made one by ``hintprobe cache compact``."""
_WRITERS = 2
"""One shard is put in order and copied while the one before it is flushed to disk."""


@dataclass
class CapturedRow:
    """A row of a request, and what is captured of it.

    Attributes:
        order: its place in the request.
        key: its hash.
        tokens: the token indices wanted of it.
        places: which of the request's positions each of them is.
    """

    order: int
    key: bytes
    ids: Ids
    tokens: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)


@dataclass
class _Lot:
    """Batches that become one shard; the rows are those of the batches, one after the other."""

    rows: list[CapturedRow] = field(default_factory=list)
    batches: list[Captured] = field(default_factory=list)
    n_bytes: int = 0

    def entries(self) -> tuple[Entries, list[Int[np.ndarray, "row position"]]]:
        """Entries sorted by position and then by row, and per batch the slot of each of its values (-1: padding)."""
        counts = [len(row.tokens) for row in self.rows]
        number = np.repeat(np.arange(len(self.rows)), counts)
        token = np.array([token for row in self.rows for token in row.tokens])
        place = np.array([place for row in self.rows for place in row.places])
        sort = np.lexsort((np.array([row.order for row in self.rows])[number], place))
        slot = np.empty(len(sort), dtype=np.int64)
        slot[sort] = np.arange(len(sort))
        entries = Entries(hashes([row.key for row in self.rows]), number[sort].astype("<u4"), token[sort].astype("<i4"))
        return entries, self._slots(slot, counts)

    def _slots(self, slot: Int[np.ndarray, "entry"], counts: list[int]) -> list[Int[np.ndarray, "row position"]]:
        starts = np.concatenate([[0], np.cumsum(counts)])
        found, first = [], 0
        for batch in self.batches:
            n, width = next(iter(batch.values())).shape[:2]
            slots = np.full((n, width), -1, dtype=np.int64)
            for i in range(n):
                slots[i, : counts[first + i]] = slot[starts[first + i] : starts[first + i + 1]]
            found.append(slots)
            first += n
        return found

    def values(self, slots: list[Int[np.ndarray, "row position"]], n: int) -> Iterator[tuple[Site, Tensor]]:
        """Per site its values in the order of the entries, one site in memory at a time: each overwrites the last."""
        room: dict[tuple[torch.dtype, torch.Size], Tensor] = {}
        for site in sorted(self.batches[0], key=str):
            like = self.batches[0][site]
            kind = (like.dtype, like.shape[2:])
            if kind not in room:
                room[kind] = like.new_empty(n, *like.shape[2:])
            into, _ = to_numpy(room[kind])  # numpy moves scattered rows several times faster than torch
            for batch, where in zip(self.batches, slots, strict=True):
                values, kept = to_numpy(batch[site])[0], where >= 0
                if kept.all():
                    into[where.reshape(-1)] = values.reshape(-1, *values.shape[2:])
                else:
                    into[where[kept]] = values[kept]
            yield site, room[kind]


class ShardWriter:
    """Gathers batches and writes them as shards, in the background. Leaving the context finishes all."""

    def __init__(self, store: ModelStore) -> None:
        self._store, self._lot = store, _Lot()
        self._pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="shard")
        self._running: list[Future[None]] = []
        self._since = time.monotonic()

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # What was captured before a stop is kept too.
        try:
            self.flush()
            self._wait(0)
        finally:
            self._pool.shutdown()

    def add(self, rows: Sequence[CapturedRow], captured: Captured) -> None:
        """Take a batch.

        Args:
            captured: per site ``[row, position, *feature]``; rows with fewer positions are padded.

        Raises:
            HintprobeError: an earlier shard could not be written.
        """
        lot = self._lot
        lot.rows += rows
        lot.batches.append(captured)
        lot.n_bytes += sum(values.nbytes for values in captured.values())
        if lot.n_bytes >= SHARD_BYTES or time.monotonic() - self._since > SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Begin to write what is together, once no more than one other shard is being written.

        Raises:
            HintprobeError: an earlier shard could not be written.
        """
        if not self._lot.rows:
            return
        lot, self._lot = self._lot, _Lot()
        self._since = time.monotonic()
        self._wait(_WRITERS - 1)
        self._running.append(self._pool.submit(self._write, lot))

    def _wait(self, left: int) -> None:
        while len(self._running) > left:
            self._running.pop(0).result()

    def _write(self, lot: _Lot) -> None:
        entries, slots = lot.entries()
        self._store.write(entries, lot.values(slots, len(entries)))
