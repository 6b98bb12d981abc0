"""Writers that are killed at random instants: ``python tests/killing.py FOLDER KILLS SEED`` prints what was seen.

A process of its own, forked for each writer once everything is imported. The model is a formula, so that a kill costs
milliseconds; planning, gathering, writing and reading are the store's own.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

import activations.pending
import activations.planner
from activations import ActivationStore, ModelStore, Part, Site, row_hash
from activations.batching import by_length
from activations.maintenance import repair
from activations.users import UNFINISHED

SITES = [Site(0, "resid_post"), Site(3, "resid_post")]
WIDTH, ROWS, POSITIONS = 512, 60, 3
PART = "part"


def value(ids: tuple[int, ...], token: int, site: Site) -> torch.Tensor:
    """What the model that is a formula says."""
    return ((torch.arange(WIDTH) + sum(ids) * 31 + token * 7 + site.layer * 13) % 65521).float()


def formula(loaded: Any, rows: Any, positions: Any, sites: Any, token_budget: int, backend: None) -> Any:
    """Stands in for ``capture``, batches and all."""
    width = max(map(len, positions))
    for indices in by_length([len(row) for row in rows], token_budget):
        wanted = [[*positions[i], *[positions[i][-1]] * (width - len(positions[i]))] for i in indices]
        yield (
            indices,
            {
                site: torch.stack(
                    [torch.stack([value(rows[i], p, site) for p in w]) for i, w in zip(indices, wanted, strict=True)]
                )
                for site in sites
            },
        )


MODEL: Any = SimpleNamespace(
    model=SimpleNamespace(
        dtype=torch.float32, config=SimpleNamespace(get_text_config=lambda: SimpleNamespace(hidden_size=WIDTH))
    )
)


def request() -> tuple[list[tuple[int, ...]], list[list[int]]]:
    rng = np.random.default_rng(0)
    rows = [tuple(rng.integers(0, 5000, n).tolist()) for n in rng.integers(8, 30, ROWS)]
    return rows, [rng.choice(len(row), POSITIONS, replace=False).tolist() for row in rows]


def fill(folder: Path, part: Part | None = None) -> Any:
    rows, positions = request()
    mine = range(len(rows))[part.index :: part.count] if part else range(len(rows))
    store = ModelStore(folder)
    return activations.planner.fill(MODEL, store, [rows[i] for i in mine], [positions[i] for i in mine], SITES, 80)


def everything(store: ModelStore) -> dict[str, bytes]:
    """All values of the request, bit by bit."""
    rows, positions = request()
    entries = [(row_hash(row), p) for row, wanted in zip(rows, positions, strict=True) for p in wanted]
    return {str(site): store.read(site, entries).numpy().tobytes() for site in SITES}


def check_what_is_there(folder: Path) -> int:
    """Every finished row is readable and right; returns how many entries there are."""
    store = ModelStore(folder)
    store.refresh()
    rows, positions = request()
    n = 0
    for row, wanted in zip(rows, positions, strict=True):
        for token in wanted:
            for site in SITES:
                if store.has(site, (row_hash(row), token)):
                    n += 1
                    assert torch.equal(store.read(site, [(row_hash(row), token)])[0], value(row, token, site))
    return n // len(SITES)


def start(work: Callable[[], Any]) -> int:
    """Run it in a forked process."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    finally:
        os._exit(0)


def trial(root: Path, kind: str, wait_s: float, expected: dict[str, bytes], log: int) -> dict[str, Any]:
    """Kill one or two writers after some time, look, repair, look again, run to the end."""
    folder = root / PART
    folder.mkdir(parents=True)
    os.ftruncate(log, 0)
    parts = {"one": [None], "same": [None, None], "parts": [Part(0, 2), Part(1, 2)]}[kind]
    children = [start(lambda part=part: fill(folder, part)) for part in parts]
    time.sleep(wait_s)
    for child in children:
        os.kill(child, signal.SIGKILL)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    killed = sum(os.WIFSIGNALED(status) for status in statuses)
    os.lseek(log, 0, os.SEEK_SET)
    promised = set(os.read(log, 2**20).decode().split())
    assert promised <= {path.name for path in folder.glob("*.h5")}, "a shard that was said to be written is gone"
    unfinished = len(list(folder.glob(f".*{UNFINISHED}")))
    present = check_what_is_there(folder)
    moved = repair(ActivationStore(root), PART)
    assert len(moved) == unfinished, "what the dead left, and nothing else"
    assert not list(folder.glob(f".*{UNFINISHED}"))
    store = ModelStore(folder)
    store.verify()
    account = fill(folder)
    assert account.reused == present
    store.refresh()
    assert everything(store) == expected
    shutil.rmtree(root)
    return {"killed": killed, "unfinished": unfinished, "present": present, "writers": len(parts)}


def main() -> None:
    root, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    activations.planner.capture = formula
    activations.pending.SHARD_BYTES = 32 * 1024
    undisturbed = root / "undisturbed" / PART
    undisturbed.mkdir(parents=True)
    fill(undisturbed)
    begin = time.perf_counter()
    fill(undisturbed.parent)  # the time it takes once everything is warm
    whole_s = time.perf_counter() - begin
    store = ModelStore(undisturbed)
    store.refresh()
    assert check_what_is_there(undisturbed) == ROWS * POSITIONS
    expected = everything(store)
    log = os.open(root / "log", os.O_RDWR | os.O_APPEND | os.O_CREAT)
    write = ModelStore.write

    def logged(self: ModelStore, *arguments: Any) -> Path:
        path = write(self, *arguments)
        os.write(log, f"{path.name}\n".encode())
        return path

    ModelStore.write = logged  # type: ignore[method-assign]
    rng = random.Random(seed)
    kinds = ("one", "same", "one", "parts")
    trials = [
        trial(root / f"kill{k}", kinds[k % 4], rng.uniform(0, 1.1 * whole_s), expected, log) for k in range(kills)
    ]
    sys.stdout.write(json.dumps({"shards": len(store.paths()), "entries": ROWS * POSITIONS, "trials": trials}))


if __name__ == "__main__":
    main()
