"""What a run of attacks counts, and how several runs add up in one file."""

import json
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from experiments.records.files import read_json, write_json

KEYS = (
    "kills", "kills_wrong", "stops", "stops_wrong", "corruptions", "corruptions_silent", "interleavings",
    "interleavings_failed", "full_disks", "full_disks_wrong", "hostile", "hostile_wrong", "servers", "servers_wrong",
    "tracebacks",
)  # fmt: skip
RUNS = "runs"
"""Key of what tells the added runs apart: the seed, seconds and commit of each."""


def read_sum(path: Path) -> dict[str, Any]:
    """The sum that a file holds; of nothing, where it is not there.

    Raises:
        HintprobeError: the file holds something else.
    """
    if not path.exists():
        return {**dict.fromkeys(KEYS, 0), "seconds": 0.0, RUNS: [], "said": []}
    found = read_json(path)
    numbers = isinstance(found, dict) and all(type(found.get(key)) is int for key in KEYS)
    if not numbers or not isinstance(found.get(RUNS), list) or not isinstance(found.get("said"), list):
        raise HintprobeError(f"{path} holds no sum of attacks. Give a file that --add wrote, or one that is not there.")
    return dict(found)


def refuse_again(path: Path, seed: int) -> None:
    """Refuse a seed that was added already: the same attacks would count twice.

    Raises:
        HintprobeError: it was, or the file holds something else.
    """
    if any(run.get("seed") == seed for run in read_sum(path)[RUNS]):
        raise HintprobeError(f"{path} holds a run with the seed {seed} already. Give another --seed.")


def add(path: Path, found: dict[str, Any], commit: str | None) -> dict[str, Any]:
    """Add a run's counts to a file; the sum."""
    refuse_again(path, found["seed"])
    before = read_sum(path)
    after = {
        **{key: before[key] + found[key] for key in KEYS},
        "seconds": round(before["seconds"] + found["seconds"], 1),
        RUNS: [*before[RUNS], {"seed": found["seed"], "seconds": found["seconds"], "commit": commit}],
        "said": [*before["said"], *found["said"]],
    }
    write_json(path, after)
    return after


def as_text(found: dict[str, Any], as_json: bool) -> str:
    """What is printed."""
    if as_json:
        return json.dumps(found) + "\n"
    return "\n".join([*(f"{key}: {found[key]}" for key in KEYS), *found["said"]]) + "\n"
