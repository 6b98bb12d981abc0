"""What the attacks are made on: a small finished run, copies of it, and whether two runs say the same."""

import json
import math
import os
import random
import resource
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from experiments.config import Config
from experiments.run.stopping import stoppable

VERBS = ("generate", "judge", "capture", "probe", "patch", "compare")
STAGES_OF = {**{verb: (verb,) for verb in VERBS}, "patch": ("patch", "mediate", "directions")}
SMALL: dict[str, Any] = {
    "name": "attacked",
    "models": ["organism:unfaithful"],
    "threads": 1,
    "questions": {"source": "organism-world", "limit": 30},
    "generate": {"max_new_tokens": 48, "token_budget": 4096},
    "capture": {"positions": ["prompt_end", "cot_0.5"]},
    "probe": {
        "outer_folds": 2, "inner_folds": 2, "c_grid": [0.03], "permutations": 0, "control_tasks": 0, "transfer": False,
        "repeats": 1, "early_answering": [], "cot_tokens": 1, "targets": ["reliant"], "along_cot": 0,
        "min_per_class": 3,
    },
    "patch": {
        "pairs": 2, "controls": ["random_positions"], "positions": ["pointer"], "directions": ["noising"],
        "comparisons": ["swapped"],
    },
    "mediate": {"items": 1, "draws": 1, "cut": []},
    "directions": {"detectors": []},
    "compare": {"bootstrap": 100},
}  # fmt: skip
_TOLERANCE = 2e-3
"""Rows that are made again stand in other batches, which moves their numbers by rounding."""


@dataclass(frozen=True)
class Outcome:
    """How a process ended: ``ok``, ``told`` (one paragraph), ``traceback``, or ``killed``."""

    how: str
    said: str = ""


@dataclass
class Child:
    """A forked process at work, with everything imported already."""

    pid: int
    note: Path

    def wait(self) -> Outcome:
        """How it ended."""
        _, status = os.waitpid(self.pid, 0)
        if os.WIFSIGNALED(status):
            return Outcome("killed")
        how, _, said = self.note.read_text(encoding="utf-8", errors="replace").partition("\n")
        return Outcome(how, said)

    def kill(self, after: float, number: int = signal.SIGKILL) -> Outcome:
        """Send it a signal after so many seconds, unless it has ended; how it then ends."""
        end = time.monotonic() + after
        while time.monotonic() < end:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                break
            time.sleep(0.005)
        os.kill(self.pid, number)
        return self.wait()


def start(work: Callable[[], object], note: Path, file_bytes: int | None = None) -> Child:
    """Run ``work`` in a forked process.

    Args:
        file_bytes: no file may grow beyond this many bytes: a disk that is full, as far as the process can tell.
    """
    note.unlink(missing_ok=True)
    pid = os.fork()
    if pid:
        return Child(pid, note)
    how, said = "ok", ""
    try:
        silent = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silent, stream)
        if file_bytes is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY))
        work()
    except HintprobeError as error:
        how, said = "told", str(error)
    except BaseException:  # whatever it is, it is counted
        how, said = "traceback", traceback.format_exc()
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    note.write_text(f"{how}\n{said}", encoding="utf-8", errors="replace")
    os._exit(0)


class Arena:
    """A finished run that nothing disturbed, and copies of it to attack.

    Raises:
        RuntimeError: the undisturbed run itself does not end.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.rng = root, random.Random(seed)
        self.sound = root / "sound"
        outcome = self.run(self.sound, "compare").wait()
        if outcome.how != "ok":
            raise RuntimeError(f"the undisturbed run ended otherwise: {outcome.said}")
        self.seconds = {verb: self._seconds(verb) for verb in VERBS}
        self.truth = {verb: figures(self.sound, verb) for verb in VERBS}

    def run(
        self,
        cache: Path,
        until: str,
        wait: bool = False,
        file_bytes: int | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> Child:
        """The stages up to ``until`` in a process of its own.

        Args:
            changes: sections of the configuration that are others than those of the run which is attacked.
        """
        note = self.root / f"{time.monotonic_ns()}.note"
        return start(lambda: run_stages(cache, until, wait, changes), note, file_bytes)

    def copy(self, without: str | None = None) -> Path:
        """A copy of the sound run, as it was before ``without`` began."""
        cache = self.root / f"copy{time.monotonic_ns()}"
        shutil.copytree(self.sound, cache)
        if without is None:
            return cache
        for verb in VERBS[VERBS.index(without) :]:
            for folder in stage_folders(cache, verb):
                shutil.rmtree(folder)
        if VERBS.index(without) <= VERBS.index("capture"):
            shutil.rmtree(cache / "store", ignore_errors=True)
        return cache

    def is_right(self, cache: Path, until: str = "compare") -> bool:
        """Do all stages up to this one say what the undisturbed run says?"""
        return all(same(figures(cache, verb), self.truth[verb]) for verb in VERBS[: VERBS.index(until) + 1])

    def _seconds(self, verb: str) -> float:
        markers = [folder / "done.json" for folder in stage_folders(self.sound, verb)]
        return sum(float(json.loads(marker.read_text())["seconds"]) for marker in markers)


def run_stages(cache: Path, until: str, wait: bool = False, changes: Mapping[str, Any] | None = None) -> None:
    """The pipeline, in this process, without the page: the attacks read reports apart, and the page takes longest.

    Signals are handled as the commands handle them.
    """
    from experiments import pipeline

    pipeline.refresh_report = lambda *_: None  # type: ignore[assignment, attr-defined]
    config = Config.model_validate({**SMALL, **(changes or {}), "cache": cache})
    with stoppable():
        pipeline.run_pipeline(config, until=until, wait=wait)


def stage_folders(cache: Path, verb: str) -> list[Path]:
    """Folders of a verb's stages; what was set aside is none."""
    found = [path for stage in STAGES_OF[verb] for path in cache.glob(f"runs/*/*/{stage}-*")]
    return sorted(path for path in found if ".damaged-" not in path.name)


def figures(cache: Path, verb: str) -> dict[str, Any]:
    """What the files of a verb's stages say: records in an order of their own, wall-clock times left out."""
    found: dict[str, Any] = {}
    for folder in stage_folders(cache, verb):
        for path in sorted(folder.glob("*.json*")):
            if path.suffix == ".jsonl":
                lines = path.read_text(encoding="utf-8").splitlines()
                rows = [_timeless(json.loads(line)) for line in lines]
                found[path.name] = sorted(rows, key=lambda row: json.dumps(_rounded(row), sort_keys=True))
            elif path.name == "comparison.json":
                found[path.name] = _timeless(json.loads(path.read_text(encoding="utf-8")))
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(entry) for key, entry in value.items() if "seconds" not in key}
    return [_timeless(entry) for entry in value] if isinstance(value, list) else value


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return 0 if isinstance(value, float) else value


def same(one: Any, other: Any) -> bool:
    """Equal but for rounding."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) or isinstance(other, float):
        numbers = isinstance(one, int | float) and isinstance(other, int | float)
        return numbers and math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(one == other)
