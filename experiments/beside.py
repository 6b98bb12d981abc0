"""Models of one run side by side, each in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from activations.errors import HintprobeError
from experiments.config import Config
from experiments.report.runs import read_run
from experiments.run.model_run import ModelRun
from experiments.stages.running import run_stages

_COMMAND = "from experiments.beside import work; work()"


@contextmanager
def others_beside(config: Config, verbs: Sequence[str]) -> Iterator[Mapping[str, subprocess.Popen[str]]]:
    """Start models after the first in processes of their own, with the stages that read no other model.

    Whatever such a process leaves undone, also where it was killed, the caller does afterwards.

    Args:
        verbs: what to run; nothing starts where it is empty, or where the run is finished.

    Yields:
        The processes by model; none where the configuration wants one process.
    """
    names = config.models[1 : config.processes] if verbs and not is_finished(config) else ()
    others: dict[str, subprocess.Popen[str]] = {}
    try:
        for name in names:
            others[name] = _start(config, name, verbs)
        yield others
    finally:
        for other in others.values():
            other.terminate()
            other.wait()


def is_finished(config: Config) -> bool:
    """Has the run of this very configuration finished all stages, by its summary?"""
    try:
        summary = read_run(config.run_dir).summary
    except HintprobeError:
        return False
    done = [model.model for model in summary.models if not model.missing_stages]
    return done == list(config.models) and summary.provenance.config == config.model_dump(mode="json")


def _start(config: Config, name: str, verbs: Sequence[str]) -> subprocess.Popen[str]:
    # A fresh interpreter: a forked child of a process whose libraries run threads can hang, and `multiprocessing`
    # would run the caller's script again.
    other = subprocess.Popen(
        [sys.executable, "-c", _COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert other.stdin is not None
    with suppress(BrokenPipeError), other.stdin:
        json.dump({"config": config.model_dump(mode="json"), "model": name, "verbs": list(verbs)}, other.stdin)
    return other


def work() -> None:
    """What a process started here does: the stages of one model; the starter holds the run's lock."""
    given = json.load(sys.stdin)
    run = ModelRun(Config.model_validate(given["config"]), given["model"])
    with suppress(HintprobeError, KeyboardInterrupt):  # the starter says why
        run_stages(run, run, [verb for verb in given["verbs"] if verb not in ("compare", "report")])
