"""Many small shards → few large ones with the same values, bit by bit."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from activations.entries import Entries
from activations.model_store import ModelStore
from activations.shard import GoneShardError
from activations.shard_values import Shard
from activations.sites import Site

TARGET_BYTES = 2**30
"""Size of a merged shard. A shard of more than half of it is left as it is."""


@dataclass(frozen=True)
class Compaction:
    """Shards before and after."""

    before: int
    after: int
    merged: int


def value_bytes(shard: Shard) -> int:
    """Bytes of a shard's values."""
    return sum(shard.index.entry_bytes) * len(shard.index.entries)


def compact(store: ModelStore, target_bytes: int = TARGET_BYTES) -> Compaction:
    """Merge small shards of the same sites; each is deleted once the merged one is on disk and was read back.

    A process that is killed meanwhile leaves values that are there twice, never a gap; the next call goes on. Readers
    that are open find the merged shards by themselves, and so do captures. What two calls at once merge twice is
    there twice until the next one.

    Raises:
        HintprobeError: a shard is damaged, or the disk is too small for the merged shards beside the old ones.
    """
    store.refresh()
    before = len(store.shards())
    groups: dict[tuple[object, ...], list[Shard]] = defaultdict(list)
    for shard in store.shards():
        groups[tuple(shard.index.sites), shard.index.dtypes, shard.index.entry_bytes].append(shard)
    merged = 0
    for shards in groups.values():
        for lot in _lots(shards, target_bytes):
            with suppress(GoneShardError):  # another process merges them
                _merge(store, lot)
                merged += len(lot)
    store.refresh()
    return Compaction(before, len(store.shards()), merged)


def _lots(shards: Sequence[Shard], target_bytes: int) -> Iterator[list[Shard]]:
    """Small shards in lots of about the wanted size, at least two to a lot."""
    lot: list[Shard] = []
    total = 0
    for shard in shards:
        size = value_bytes(shard)
        if size * 2 > target_bytes:
            continue
        lot.append(shard)
        total += size
        if total >= target_bytes:
            yield lot
            lot, total = [], 0
    if len(lot) > 1:
        yield lot


def _merge(store: ModelStore, lot: Sequence[Shard]) -> None:
    source = store.only(lot)
    entries = _in_runs([shard.index.entries for shard in lot])
    sites = sorted(lot[0].index.sites)
    store.check_room(sum(lot[0].index.entry_bytes) * len(entries))
    path = store.write(entries, ((Site.parse(name), source.read(Site.parse(name), entries)) for name in sites))
    Shard(path).verify()
    for shard in lot:
        if shard.path != path:
            shard.path.unlink(missing_ok=True)


def _in_runs(parts: Sequence[Entries]) -> Entries:
    """All distinct entries: the first of each row, then the second of each, and so on, as captures write them."""
    pairs: dict[tuple[bytes, int], int] = {}
    for part in parts:
        for pair, place in zip(part.pairs(), _occurrence(part.row_of).tolist(), strict=True):
            pairs.setdefault(pair, place)
    order = np.argsort(np.fromiter(pairs.values(), np.int64, len(pairs)), kind="stable")
    return Entries.of(list(pairs)).take(order)


def _occurrence(row_of: Int[np.ndarray, "entry"]) -> Int[np.ndarray, "entry"]:
    """How many times its row came before, for each entry."""
    order = np.argsort(row_of, kind="stable")
    rows = row_of[order]
    first = np.flatnonzero(np.append(True, rows[1:] != rows[:-1]))
    count = np.empty(len(row_of), dtype=np.int64)
    count[order] = np.arange(len(row_of)) - np.repeat(first, np.diff(np.append(first, len(row_of))))
    return count
