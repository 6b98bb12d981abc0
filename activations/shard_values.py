"""The values of a shard, mapped into memory; each block is checked when it is first touched."""

import mmap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, UInt8
from numpy.typing import NDArray

from activations.checksums import BLOCK_BYTES, SUM_BYTES, as_bytes, block_sum
from activations.errors import HintprobeError
from activations.shard import ShardIndex, damaged, gone, read_index, reading, stamp_of, stored_dtype

_STEP_BLOCKS = 8
"""Checked and then copied piece by piece: what was just hashed is still in the processor's cache."""


@dataclass(frozen=True)
class SiteValues:
    """One site of a shard.

    Attributes:
        values: ``[entry, *feature]``, mapped from the file; a private mapping, so that writing to it changes no file.
        tag: the dtype that they stand for.
        pending: per block, whether it is still to be checked.
        file: the mapping of the whole file.
        offset: where in it the values begin.
    """

    path: Path
    site: str
    values: NDArray[np.generic]
    tag: str
    sums: UInt8[np.ndarray, "block 16"]
    pending: Bool[np.ndarray, "block"]
    file: mmap.mmap
    offset: int

    @property
    def entry_bytes(self) -> int:
        """Bytes of one entry."""
        size: int = self.values.nbytes // len(self.values)
        return size

    def check_run(self, start: int, stop: int) -> None:
        """Check the blocks of the entries from ``start`` to ``stop``.

        Raises:
            HintprobeError: a checksum differs.
        """
        first, last = self._blocks(start, stop)
        self._check(first + np.flatnonzero(self.pending[first:last]))

    def open_share(self, start: int, stop: int) -> float:
        """Share of the blocks from entry ``start`` to ``stop`` that are still to be checked."""
        first, last = self._blocks(start, stop)
        return float(self.pending[first:last].mean())

    def _blocks(self, start: int, stop: int) -> tuple[int, int]:
        return start * self.entry_bytes // BLOCK_BYTES, -(-stop * self.entry_bytes // BLOCK_BYTES)

    def check_slots(self, slots: Int[np.ndarray, "some"]) -> None:
        """Check the blocks of some entries.

        Raises:
            HintprobeError: a checksum differs.
        """
        size = self.entry_bytes
        first, last = slots * size // BLOCK_BYTES, (slots * size + size - 1) // BLOCK_BYTES
        blocks = first if size == BLOCK_BYTES else np.concatenate([first, last])
        if size > BLOCK_BYTES:
            spans = [np.arange(a, b + 1) for a, b in zip(first.tolist(), last.tolist(), strict=True)]
            blocks = np.concatenate(spans)
        self._check(np.unique(blocks[self.pending[blocks]]))

    def _check(self, blocks: Int[np.ndarray, "some"]) -> None:
        data = as_bytes(self.values).data
        found = b"".join([block_sum(data, block) for block in blocks.tolist()])
        if found != self.sums[blocks].tobytes():
            wrong = (np.frombuffer(found, np.uint8).reshape(-1, SUM_BYTES) != self.sums[blocks]).any(1)
            raise damaged(self.path, f"the checksum of site {self.site} differs in block {blocks[wrong][0]}")
        self.pending[blocks] = False

    def run(self, start: int, stop: int) -> NDArray[np.generic]:
        """Entries from ``start`` to ``stop``, checked, without a copy."""
        self.check_run(start, stop)
        return self.values[start:stop]

    def announce_run(self, start: int, stop: int) -> None:
        """Let the system fetch the entries from ``start`` to ``stop`` while others are copied."""
        if hasattr(mmap, "MADV_WILLNEED"):
            first = (self.offset + start * self.entry_bytes) // mmap.PAGESIZE * mmap.PAGESIZE
            self.file.madvise(mmap.MADV_WILLNEED, first, self.offset + stop * self.entry_bytes - first)

    def copy_run(self, start: int, out: NDArray[np.generic]) -> None:
        """Copy the entries from ``start`` on into ``out``, checking on the way."""
        first, last = self._blocks(start, start + len(out))
        begin, source, to = start * self.entry_bytes, as_bytes(self.values), as_bytes(out)
        for block in range(first, last, _STEP_BLOCKS):
            after = min(block + _STEP_BLOCKS, last)
            if self.pending[block:after].any():
                self._check(np.arange(block, after))
            low, high = max(begin, block * BLOCK_BYTES), min(begin + len(to), after * BLOCK_BYTES)
            to[low - begin : high - begin] = source[low:high]


class Shard:
    """An opened shard: its index, and its sites as they are asked for."""

    def __init__(self, path: Path) -> None:
        self.index: ShardIndex = read_index(path)
        self._map: mmap.mmap | None = None
        self._sites: dict[str, SiteValues] = {}

    @property
    def path(self) -> Path:
        """The file."""
        return self.index.path

    def site(self, name: str) -> SiteValues:
        """The values of a site.

        Raises:
            HintprobeError: the shard is gone, damaged, or was changed since its index was read.
        """
        self._check_unchanged()
        if name not in self._sites:
            self._sites[name] = self._open(name)
        return self._sites[name]

    def _check_unchanged(self) -> None:
        try:
            stamp = stamp_of(self.path)
        except FileNotFoundError as error:
            raise gone(self.path) from error
        except OSError as error:
            raise HintprobeError(
                f"The shard {self.path} cannot be read: {error.strerror}. Run the capture stage again."
            ) from error
        if stamp != self.index.stamp:
            # Shards never change by themselves. Reading a mapping beyond the end of a cut file would end the process.
            self._sites, self._map = {}, None
            now = read_index(self.path)
            if now.content != self.index.content:
                raise damaged(self.path, "another shard has been put in its place")
            self.index = now

    def _open(self, name: str) -> SiteValues:
        k = self.index.sites[name]
        tag, n = self.index.dtypes[k], len(self.index.entries)
        with reading(self.path) as file:
            dataset = file[f"sites/{name}"]
            offset, shape, dtype = dataset.id.get_offset(), dataset.shape, dataset.dtype
            fits = dtype.name == stored_dtype(tag) and shape[0] == n and dataset.nbytes == self.index.entry_bytes[k] * n
            if offset is None or not fits or offset + dataset.nbytes > self.index.stamp[1]:
                raise damaged(self.path, f"site {name} has the type {dtype} and the shape {shape} for {n} entries")
            if self._map is None:
                with self.path.open("rb") as plain:
                    self._map = mmap.mmap(plain.fileno(), 0, access=mmap.ACCESS_COPY)
        values = np.frombuffer(self._map, dtype, int(np.prod(shape)), offset).reshape(shape)
        sums = self.index.sums[k]
        return SiteValues(self.path, name, values, tag, sums, np.ones(len(sums), dtype=bool), self._map, offset)

    def verify(self) -> None:
        """Check every block of every site.

        Raises:
            HintprobeError: anything differs; the message names the shard.
        """
        for name in self.index.sites:
            self.site(name).check_run(0, len(self.index.entries))


def verify_shard(path: Path) -> None:
    """Read a shard and recompute every checksum.

    Raises:
        HintprobeError: anything differs; the message names the shard.
    """
    Shard(path).verify()
