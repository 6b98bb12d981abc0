"""The bookkeeping of large runs: a store of a million rows, two hundred thousand rollouts in records.

Run: ``python -m experiments.benchmarks.scale [--json] [--rows 10000,100000,1000000] [--records 10000,50000,200000]``.
Shards hold 1,000 rows each (of 8 numbers: what is measured is the finding, not the reading). Per size: seconds to
open a part anew and to know where everything lies, microseconds to look up one entry (10,000 random ones together),
seconds to plan a capture of 10,000 rows of which half are there, seconds to read a table of rollouts and to join it by
item and condition, and the resident megabytes that each adds. A slope is that of log seconds over log size between
the smallest and the largest: 1 is linear, 2 quadratic. Seconds are those of the processor, which other work on the
machine does not stretch; files are in the page cache. They are medians of three; records are read once.
"""

import argparse
import gc
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Int

from activations import ModelStore, Site
from activations.entries import Entries, hashes, row_hash
from activations.planner import plan_missing
from experiments.records import Message, Prompt, Rollout
from experiments.records.stages import rollouts_table

ROWS = (10_000, 100_000, 1_000_000)
RECORDS = (10_000, 50_000, 200_000)
SHARD_ROWS = 1000
LOOKED_UP = 10_000
SITE = Site(0, "resid_post")
REPEATS = 3
PROMPT = Prompt(messages=(Message(role="user", content="A question of some length? " * 8),), spans={})
T = TypeVar("T")


def row_of(k: int) -> tuple[int, ...]:
    """Token ids of the k-th row."""
    return (k & 0xFFFF, k >> 16, 7)


def write_store(folder: Path, first: int, last: int) -> None:
    """Add rows from ``first`` to ``last`` in shards."""
    store = ModelStore(folder)
    for start in range(first, last, SHARD_ROWS):
        n = min(SHARD_ROWS, last - start)
        rows = hashes([row_hash(row_of(k)) for k in range(start, start + n)])
        entries = Entries(rows, np.arange(n, dtype="<u4"), np.zeros(n, dtype="<i4"))
        store.write(entries, {SITE: torch.zeros(n, 8)})


def resident_mb() -> float:
    """Memory of this process that is in use, in megabytes; NaN where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return math.nan
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def timed(act: Callable[[], T]) -> tuple[float, T]:
    """Processor seconds that a call takes, and its result."""
    start = time.process_time()
    result = act()
    return time.process_time() - start, result


def opened(folder: Path) -> ModelStore:
    """A part that nothing is known of yet, with its index made."""
    store = ModelStore(folder)
    store.refresh()
    assert store.index is not None
    return store


def measure_store(folder: Path, n: int, rng: np.random.Generator) -> dict[str, float]:
    """Figures of a store that holds rows 0 to ``n``."""
    before = resident_mb()
    runs = [timed(lambda: opened(folder)) for _ in range(REPEATS)]
    store = runs[-1][1]
    seconds = statistics.median(s for s, _ in runs)
    del runs
    gc.collect()
    memory = resident_mb() - before
    which: Int[np.ndarray, some] = rng.integers(0, n, LOOKED_UP)
    entries = Entries.of([(row_hash(row_of(int(k))), 0) for k in which])
    looked = [timed(lambda: store.index.locate(str(SITE), entries)) for _ in range(REPEATS)]
    assert bool(looked[0][1].found.all())
    wanted = [row_of(n - LOOKED_UP // 2 + k) for k in range(LOOKED_UP)]  # the second half is not there
    planned = [timed(lambda: plan_missing(store, wanted, [(0,)] * LOOKED_UP, {SITE: 32})) for _ in range(REPEATS)]
    assert planned[0][1].account.forward_rows == LOOKED_UP - min(n, LOOKED_UP // 2)
    return {
        "open_seconds": seconds,
        "lookup_microseconds": statistics.median(s for s, _ in looked) / LOOKED_UP * 1e6,
        "plan_seconds": statistics.median(s for s, _ in planned),
        "megabytes": memory,
    }


def rollouts(n: int) -> Iterator[Rollout]:
    """Rollouts of n / 4 items, each in four conditions, of 64 and 32 tokens."""
    conditions = ("unhinted", "hinted", "swapped", "neutral")
    for k in range(n):
        yield Rollout(
            id=f"q{k // 4}:{conditions[k % 4]}:0",
            item_id=f"q{k // 4}",
            condition=conditions[k % 4],  # type: ignore[arg-type]
            index=0,
            prompt=PROMPT,
            prompt_text="A question of some length? " * 8,
            prompt_ids=tuple(range(k % 1000, k % 1000 + 64)),
            completion_ids=tuple(range(32)),
            completion_text="<think>Some thought of some length.</think>The answer is (A).",
            cot="Some thought of some length.",
            answer_text="The answer is (A).",
            answer="A",
            truncated=False,
            finish_reason="stop",
            seed=k // 4,
            temperature=1.0,
            margins=(0.5,) * 32,
        )


def measure_records(folder: Path, n: int) -> dict[str, float]:
    """Figures of a table of ``n`` rollouts."""
    table = rollouts_table(folder)
    table.path.unlink(missing_ok=True)
    with table.path.open("w", encoding="utf-8") as file:
        file.writelines(rollout.model_dump_json() + "\n" for rollout in rollouts(n))
    before = resident_mb()
    seconds, found = timed(table.read)
    assert len(found) == n
    memory = resident_mb() - before

    def join() -> int:
        by_item: dict[str, dict[str, Rollout]] = defaultdict(dict)
        for rollout in found:
            by_item[rollout.item_id][rollout.condition] = rollout
        return sum("hinted" in conditions for conditions in by_item.values())

    joined, n_items = timed(join)
    assert n_items == n // 4
    return {"read_seconds": seconds, "join_seconds": joined, "megabytes": memory}


def slope(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Exponent of time in size, between the ends."""
    return math.log(seconds[-1] / seconds[0]) / math.log(sizes[-1] / sizes[0])


def short(n: int) -> str:
    """1000000 → 1m, 200000 → 200k."""
    return f"{n // 10**6}m" if n % 10**6 == 0 else f"{n // 1000}k" if n % 1000 == 0 else str(n)


def run(rows: Sequence[int], records: Sequence[int]) -> dict[str, Any]:
    """All figures, by size; and those of the largest sizes under the names that the summary has."""
    rng = np.random.default_rng(0)
    store: dict[int, dict[str, float]] = {}
    table: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder, there = Path(place), 0
        for n in sorted(rows):
            write_store(folder, there, n)
            there = n
            store[n] = measure_store(folder, n, rng)
    with tempfile.TemporaryDirectory() as place:
        for n in sorted(records):
            table[n] = measure_records(Path(place), n)
    most, longest = max(store), max(table)
    return {
        f"store_open_seconds_{short(most)}": store[most]["open_seconds"],
        f"lookup_microseconds_{short(most)}": store[most]["lookup_microseconds"],
        f"records_read_seconds_{short(longest)}": table[longest]["read_seconds"],
        "slope_store": slope(list(store), [figures["open_seconds"] for figures in store.values()]),
        "slope_records": slope(list(table), [figures["read_seconds"] for figures in table.values()]),
        "store": {str(n): figures for n, figures in store.items()},
        "records": {str(n): figures for n, figures in table.items()},
    }


def _sizes(text: str) -> list[int]:
    sizes = sorted({int(part) for part in text.split(",")})
    if len(sizes) < 2 or sizes[0] < 1:
        raise argparse.ArgumentTypeError("give at least two sizes, such as 10000,100000")
    return sizes


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=_sizes, default=list(ROWS))
    parser.add_argument("--records", type=_sizes, default=list(RECORDS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = run(options.rows, options.records)
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    for what in ("store", "records"):
        for n, figures in found.pop(what).items():
            line = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in figures.items())
            sys.stdout.write(f"{what} {int(n):>9,}: {line}\n")
    for name, value in found.items():
        sys.stdout.write(f"{name:<32}{value:>10.3g}\n")


if __name__ == "__main__":
    main()
