"""The activation store against raw files: writing, reading, minibatches, and the second run of a request.

Run: ``python -m experiments.benchmarks.store [--quick] [--json] [--folder DIR]``. The same captured batches (bfloat16,
8 sites × 4 positions × 2,048 features) are written by both sides and are on disk when the clock stops: the raw side
writes them to one file in the order in which they come and calls fsync once; the store orders, hashes and writes them
in shards, each flushed and renamed. Reads are of one (site, position) for all rows and of 256 random rows of one site,
each row's place given; the other side is a numpy memmap of one file per layout, site by site, position by position.
Both sides give arrays of their own memory. Reads are timed cold (the page cache dropped file by file) and warm; a store
is opened anew for each, so that checksums are verified within the time. The last figures come from a model: a capture
and the same again.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from activations import ActivationStore, ModelStore, Site, SiteRows, counting_forwards, fill, load_model, residual_sites
from activations.entries import Entries, hashes
from activations.pending import CapturedRow, ShardWriter
from experiments.run.known_models import resolve_model

SITES = tuple(Site(layer, "resid_post") for layer in range(8))
POSITIONS, WIDTH, BATCH, DISTINCT, MINIBATCH = 4, 2048, 64, 16, 256
ROW_BYTES = len(SITES) * POSITIONS * WIDTH * 2
REPEATS = 3


@dataclass(frozen=True)
class Data:
    """Rows that were captured, batch by batch.

    Attributes:
        batches: ``[batch, site, row, position, feature]``; more than any cache of the processor holds, taken in turn.
    """

    rows: int
    batches: torch.Tensor

    @classmethod
    def of(cls, n_bytes: int) -> "Data":
        """So many bytes, in whole batches."""
        shape = (DISTINCT, len(SITES), BATCH, POSITIONS, WIDTH)
        bits = np.random.default_rng(0).integers(0, 2**16, shape, dtype=np.uint16)
        return cls(n_bytes // ROW_BYTES // BATCH * BATCH, torch.from_numpy(bits).view(torch.bfloat16))

    def captured(self) -> Iterator[torch.Tensor]:
        """``[site, row, position, feature]``, batch by batch."""
        for batch in range(self.rows // BATCH):
            yield self.batches[batch % DISTINCT]

    @property
    def n_bytes(self) -> int:
        """Bytes of values."""
        return self.rows * ROW_BYTES

    def keys(self) -> list[bytes]:
        """A hash per row."""
        return [np.random.default_rng(row).bytes(32) for row in range(self.rows)]

    def entries(self, position: int) -> Entries:
        """One position of all rows."""
        n = self.rows
        return Entries(hashes(self.keys()), np.arange(n, dtype="<u4"), np.full(n, position, dtype="<i4"))


def write_raw(data: Data, path: Path) -> float:
    """Seconds for all batches in one file, flushed to disk."""
    start = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for batch in data.captured():
            for values in batch:
                file.write(values.view(torch.uint16).numpy().data)
        os.fsync(file.fileno())
    return time.perf_counter() - start


def write_store(data: Data, folder: Path) -> float:
    """Seconds for the same batches through the store's writer, flushed to disk and renamed."""
    places = list(range(POSITIONS))
    rows = [CapturedRow(row, key, (), places, places) for row, key in enumerate(data.keys())]
    start = time.perf_counter()
    with ShardWriter(ModelStore(folder)) as writer:
        for first, batch in zip(range(0, data.rows, BATCH), data.captured(), strict=True):
            captured = dict(zip(SITES, batch, strict=True))
            writer.add(rows[first : first + BATCH], captured)
    return time.perf_counter() - start


def make_memmap(data: Data, path: Path) -> NDArray[np.uint16]:
    """The same values site by site and position by position, ``[site, position, row, feature]``."""
    shape = (len(SITES), POSITIONS, data.rows, WIDTH)
    values = np.memmap(path, dtype=np.uint16, mode="w+", shape=shape)
    for first, batch in zip(range(0, data.rows, BATCH), data.captured(), strict=True):
        values[:, :, first : first + BATCH] = batch.view(torch.uint16).numpy().transpose(0, 2, 1, 3)
    values.flush()
    return np.memmap(path, dtype=np.uint16, mode="r", shape=shape)


def drop_cache(folder: Path) -> None:
    """Ask the system to forget the pages of all files below a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def seconds(work: Callable[[], Any]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@dataclass(frozen=True)
class Reading:
    """Both sides over the same values."""

    data: Data
    folder: Path
    path: Path
    memmap: NDArray[np.uint16]

    def opened(self) -> ModelStore:
        """The store, opened anew: nothing of it is verified yet."""
        store = ModelStore(self.folder)
        store.refresh()
        return store

    def whole(self, cold: bool) -> float:
        """Memmap time over store time for one (site, position) of all rows; median over the sites, in turn."""
        entries, ratios = self.data.entries(2), []
        for site in range(len(SITES)):  # another one each time: cold pages, unverified blocks
            rows = self.opened().rows(SITES[site], entries)
            if cold:
                drop_cache(self.path.parent)
                drop_cache(self.folder)
            else:
                self._warm(site)
            memmap = self._fresh()
            sides: list[Callable[[], Any]] = [lambda m=memmap, s=site: np.array(m[s, 2]), rows.torch]  # type: ignore[misc]
            first, second = (seconds(side) for side in (sides if site % 2 else sides[::-1]))
            ratios.append(first / second if site % 2 else second / first)
        return statistics.median(ratios)

    def _fresh(self) -> NDArray[np.uint16]:
        return np.memmap(self.path, dtype=np.uint16, mode="r", shape=self.memmap.shape)

    def _warm(self, site: int) -> None:
        np.array(self.memmap[site])
        self.opened().rows(SITES[site], self._all_entries()).torch()

    def minibatches(self) -> dict[str, float]:
        """Memmap time over store time for random rows of one site, all positions among them.

        Returns:
            Of a pass over all rows from a newly opened store: the median over its minibatches, and the whole pass with
            all of its checks; then the median of a second pass.
        """
        medians, passes, second = [], [], []
        for k in range(REPEATS):
            entries = self._all_entries()
            self._warm(k)
            ours, theirs = self.opened().rows(SITES[k], entries), self._fresh()[k].reshape(-1, WIDTH)
            order = np.random.default_rng(k).permutation(len(ours))
            batches = np.split(order, range(MINIBATCH, len(order), MINIBATCH))[:-1]
            first = np.array([self._both(ours, theirs, batch) for batch in batches])
            again = np.array([self._both(ours, theirs, batch) for batch in batches])
            medians.append(float(np.divide(*np.median(first, 0))))
            passes.append(float(np.divide(*first.sum(0))))
            second.append(float(np.divide(*np.median(again, 0))))
        return {
            "minibatch_ratio_memmap": statistics.median(medians),
            "minibatch_ratio_memmap_first_pass": statistics.median(passes),
            "minibatch_ratio_memmap_second_pass": statistics.median(second),
        }

    def _all_entries(self) -> Entries:
        n = self.data.rows
        row, token = np.tile(np.arange(n, dtype="<u4"), POSITIONS), np.repeat(np.arange(POSITIONS, dtype="<i4"), n)
        return Entries(hashes(self.data.keys()), row, token)

    @staticmethod
    def _both(ours: SiteRows, theirs: NDArray[np.uint16], batch: NDArray[np.int64]) -> tuple[float, float]:
        return seconds(lambda: theirs[batch]), seconds(lambda: ours[batch])


def rerun(folder: Path, rows: int) -> dict[str, float]:
    """Time and forwards of a capture's second run, over the first's."""
    loaded = load_model(resolve_model("organism:unfaithful"), "float32", "cpu")
    rng = np.random.default_rng(0)
    ids = [tuple(rng.integers(10, 200, int(n)).tolist()) for n in rng.integers(40, 120, rows)]
    positions = [(len(row) // 2, len(row) - 1) for row in ids]
    sites = residual_sites(len(loaded.model.model.layers))
    store = ActivationStore(folder)
    first = seconds(lambda: fill(loaded, store.of(loaded), ids, positions, sites, 4096))
    with counting_forwards(loaded.model) as count:
        second = seconds(lambda: fill(loaded, store.of(loaded), ids, positions, sites, 4096))
    return {"first_s": first, "second_s": second, "rerun_time_ratio": second / first, "rerun_forwards": count.calls}


@contextlib.contextmanager
def workplace(folder: Path | None, n_bytes: int) -> Iterator[Path]:
    """An empty folder on the disk to be measured; it is deleted afterwards."""
    place = Path(tempfile.mkdtemp(prefix="hintprobe-store-", dir=folder))
    free = shutil.disk_usage(place).free
    try:
        if free < 3 * n_bytes:
            raise SystemExit(f"{place} has {free / 1e9:.1f} GB free, and {3 * n_bytes / 1e9:.1f} GB are needed.")
        yield place
    finally:
        shutil.rmtree(place)


def write_ratio(data: Data, place: Path) -> dict[str, Any]:
    """Raw time over store time, in turn, now one first and now the other; the last store is kept for the reads."""
    ratios, speeds = [], []
    for k in range(REPEATS):
        times = {}
        for side in ("raw", "store") if k % 2 == 0 else ("store", "raw"):
            target = place / side
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            os.sync()
            times[side] = write_raw(data, target / "values") if side == "raw" else write_store(data, target)
        shutil.rmtree(place / "raw")
        ratios.append(times["raw"] / times["store"])
        speeds.append(data.n_bytes / 1e6 / times["store"])
    return {
        "write_ratio_raw": statistics.median(ratios),
        "write_ratio_raw_range": [min(ratios), max(ratios)],
        "write_mb_per_s": statistics.median(speeds),
    }


def measure(n_bytes: int, folder: Path | None, rows: int) -> dict[str, Any]:
    """All figures."""
    data = Data.of(n_bytes)
    with workplace(folder, data.n_bytes) as place:
        written = write_ratio(data, place)
        (place / "memmap").mkdir()
        memmap = make_memmap(data, place / "memmap" / "values")
        both = Reading(data, place / "store", place / "memmap" / "values", memmap)
        return {
            "bytes": data.n_bytes,
            "shards": len(both.opened().paths()),
            "rows": data.rows,
            **written,
            "read_ratio_memmap": both.whole(cold=False),
            "read_ratio_memmap_cold": both.whole(cold=True),
            **both.minibatches(),
            **rerun(place / "rerun", rows),
        }


def main() -> None:
    """Run and print one JSON object or a line a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="800 MB instead of four, under a minute")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--folder", type=Path, help="where to write; the system's temporary folder if not given")
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = measure(3 * 2**28 if options.quick else 2**32, options.folder, 600 if options.quick else 2000)
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    for name, value in result.items():
        sys.stdout.write(f"{name:<34}{value:.3f}\n" if isinstance(value, float) else f"{name:<34}{value}\n")


if __name__ == "__main__":
    main()
