"""Captures, readers and maintenance of one store at the same time: nobody fails, and nothing is lost or wrong."""

import random
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from activations import ActivationStore, ModelStore, Site
from activations.compact import compact
from activations.entries import Entry
from activations.maintenance import complaints, removable, remove, repair, summarise

SITES = (Site(0, "resid_post"), Site(1, "resid_post"))
ROWS = 4
PART = "0123456789abcdef"


def entries_of(shard: int) -> list[Entry]:
    return [(bytes([shard, row]) * 16, row) for row in range(ROWS)]


def values_of(entries: list[Entry], site: Site) -> torch.Tensor:
    return torch.tensor([[row[0], row[1], token, site.layer] for row, token in entries], dtype=torch.float32)


def write(folder: Path, shard: int) -> None:
    entries = entries_of(shard)
    ModelStore(folder).write(entries, {site: values_of(entries, site) for site in SITES})


def check(store: ModelStore, shards: list[int], rng: random.Random) -> None:
    entries = [entry for shard in shards for entry in entries_of(shard)]
    rng.shuffle(entries)
    for site in SITES:
        rows = store.rows(site, entries)
        time.sleep(rng.random() * 0.002)
        assert torch.equal(rows[[3, 0]], values_of([entries[3], entries[0]], site))
        assert torch.equal(rows.torch(), values_of(entries, site))


@pytest.fixture
def dense() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def interleave(root: Path, seed: int) -> list[str]:
    """One reader that stays open, one that opens anew, a writer, two that merge, one that looks after everything."""
    store, folder = ActivationStore(root), root / PART
    folder.mkdir(parents=True)
    (folder / "identity.json").write_text('{"version": 2, "name": "m"}')
    for shard in range(5):
        write(folder, shard)
    failures: list[str] = []
    opened = ModelStore(folder)
    opened.refresh()

    def reader(rng: random.Random) -> None:
        check(opened, list(range(5)), rng)

    def newcomer(rng: random.Random) -> None:
        again = ModelStore(folder)
        again.refresh()
        check(again, list(range(5)), rng)
        assert again.verify() > 0

    def writer(rng: random.Random) -> None:
        shard = 5 + rng.randrange(200)
        write(folder, shard)
        again = ModelStore(folder)
        again.refresh()
        check(again, [shard], rng)

    def merger(rng: random.Random) -> None:
        compact(ModelStore(folder), rng.choice([200, 2**20]))

    def caretaker(rng: random.Random) -> None:
        assert summarise(store, PART).unreadable is None
        assert [error for _, error in complaints(store, PART) if error] == []
        assert [moved for moved in repair(store, PART) if moved.path.suffix == ".h5"] == []
        remove(store, removable(store, (), aside=True, unfinished=True))

    def again(act: Callable[[random.Random], None], number: int) -> None:
        rng = random.Random(1000 * seed + number)
        try:
            for _ in range(3):
                time.sleep(rng.random() * 0.003)
                act(rng)
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            failures.append(f"{act.__name__}: {type(error).__name__}: {error} ({where.name}, {where.line})")

    actors = [reader, newcomer, writer, writer, merger, merger, caretaker]
    threads = [threading.Thread(target=again, args=(act, k)) for k, act in enumerate(actors)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = ModelStore(folder)
    last.refresh()
    check(last, list(range(5)), random.Random(seed))
    return failures


@pytest.mark.parametrize("seeds", [range(3), pytest.param(range(3, 203), marks=pytest.mark.slow)])
def test_maintenance_beside_use(seeds: range, tmp_path: Path, dense: None):
    assert {seed: found for seed in seeds if (found := interleave(tmp_path / str(seed), seed))} == {}
