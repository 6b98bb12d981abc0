"""Where each entry lies: lookups by the million, in sorted arrays."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, UInt8

from activations.entries import HASH_BYTES, Entries
from activations.shard import ShardIndex

Hashes = UInt8[np.ndarray, "row 32"]


def _prefix(rows: Hashes) -> Int[np.ndarray, "row"]:
    return np.ascontiguousarray(rows).view(">u8")[:, 0].astype(np.uint64)


class RowTable:
    """Distinct row hashes and their numbers. Sorted by the first eight bytes; the rest is always compared."""

    def __init__(self, rows: Hashes) -> None:
        prefix = _prefix(rows)
        order = np.argsort(prefix, kind="stable")
        same = prefix[order][1:] == prefix[order][:-1]
        if (same & (rows[order][1:] != rows[order][:-1]).any(1)).any():
            order = np.lexsort(np.ascontiguousarray(rows).view(">u8").T[::-1])  # rows that share their first bytes
        rows = rows[order]
        new = np.ones(len(rows), dtype=bool)
        new[1:] = (rows[1:] != rows[:-1]).any(1)
        self._rows, self._prefixes = rows[new], prefix[order][new]

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, rows: Hashes) -> Int[np.ndarray, "row"]:
        """Number of each row, or -1."""
        prefix = _prefix(rows)
        at = np.searchsorted(self._prefixes, prefix)
        found = np.full(len(rows), -1, dtype=np.int64)
        open_ = np.arange(len(rows))
        while len(open_):
            open_ = open_[at[open_] < len(self)]
            open_ = open_[self._prefixes[at[open_]] == prefix[open_]]
            equal = (self._rows[at[open_]] == rows[open_]).all(1)
            found[open_[equal]] = at[open_[equal]]
            open_ = open_[~equal]
            at[open_] += 1
        return found


def _keys(row: Int[np.ndarray, "entry"], token: Int[np.ndarray, "entry"]) -> Int[np.ndarray, "entry"]:
    return row.astype(np.int64) << 32 | token.astype(np.int64)


@dataclass(frozen=True)
class _Lot:
    """Shards that hold the same sites: their entries by sorted key."""

    sites: frozenset[str]
    keys: Int[np.ndarray, "entry"]
    shard: Int[np.ndarray, "entry"]
    slot: Int[np.ndarray, "entry"]


@dataclass(frozen=True)
class Where:
    """Per entry the number of its shard (-1: nowhere) and its slot in there."""

    shard: Int[np.ndarray, "entry"]
    slot: Int[np.ndarray, "entry"]

    @property
    def found(self) -> Bool[np.ndarray, "entry"]:
        """Which entries are there."""
        return self.shard >= 0


class StoreIndex:
    """The entries of many shards together. An entry that stands in several is found in the first."""

    def __init__(self, shards: Sequence[ShardIndex]) -> None:
        self._table = RowTable(np.concatenate([np.empty((0, HASH_BYTES), np.uint8), *(s.entries.rows for s in shards)]))
        by_sites: dict[frozenset[str], list[int]] = defaultdict(list)
        for number, shard in enumerate(shards):
            by_sites[frozenset(shard.sites)].append(number)
        self._lots = [self._lot(sites, numbers, shards) for sites, numbers in by_sites.items()]

    def _lot(self, sites: frozenset[str], numbers: list[int], shards: Sequence[ShardIndex]) -> _Lot:
        entries = [shards[number].entries for number in numbers]
        keys = np.concatenate([_keys(self._table.find(e.rows)[e.row_of], e.token) for e in entries])
        shard = np.repeat(np.array(numbers, dtype=np.int32), [len(e) for e in entries])
        slot = np.concatenate([np.arange(len(e), dtype=np.int64) for e in entries])
        order = np.argsort(keys, kind="stable")
        return _Lot(sites, keys[order], shard[order], slot[order])

    def lots_of(self, site: str) -> tuple[int, ...]:
        """Which groups of shards hold a site; sites with the same ones hold the same entries."""
        return tuple(k for k, lot in enumerate(self._lots) if site in lot.sites)

    def locate(self, site: str, entries: Entries) -> Where:
        """Where the values of a site lie."""
        wanted = _keys(self._table.find(entries.rows)[entries.row_of], entries.token)
        where = Where(np.full(len(wanted), -1, dtype=np.int32), np.zeros(len(wanted), dtype=np.int64))
        for k in self.lots_of(site):
            lot = self._lots[k]
            at = np.minimum(np.searchsorted(lot.keys, wanted), len(lot.keys) - 1)
            here = (lot.keys[at] == wanted) & ~where.found
            where.shard[here], where.slot[here] = lot.shard[at[here]], lot.slot[at[here]]
        return where
