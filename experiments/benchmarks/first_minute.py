"""How long a newcomer waits: ``python -m experiments.benchmarks.first_minute [--install] [--json]``.

The demo runs in an empty cache, then again. With ``--install``, ``make`` installs what it needs into a fresh copy of
the checkout first. Seconds are of the wall clock, everything included that the command does.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.records.summary import SUMMARY
from experiments.report.brief import brief
from experiments.report.runs import read_run

ROOT = Path(__file__).parents[2]


def timed(command: Sequence[str], cwd: Path) -> float:
    """Seconds that a command takes.

    Raises:
        CalledProcessError: it failed.
    """
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def installed(folder: Path) -> float:
    """Seconds that ``make`` takes to install what the demo needs into a copy of the checkout's tracked files."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", "HEAD"], check=True, capture_output=True).stdout
    subprocess.run(["tar", "x", "-C", str(folder)], input=archive, check=True)
    return timed(["make", ".venv/demo"], folder)


def measure(install: bool) -> dict[str, Any]:
    """All figures, as JSON values."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", "hintprobe", "run", "demo", "--cache", str(folder / "cache")]
        first, again = timed(command, folder), timed(command, folder)
        summary = read_run(folder / "cache" / "runs" / "demo" / SUMMARY).summary
        found = {
            "demo_seconds": round(first, 1),
            "demo_again_seconds": round(again, 1),
            "terminal_lines": len(brief(summary)) + 3,  # where the report is, and what to run next
            "readme_lines": len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()),
            "cores": os.cpu_count(),
        }
    if install:
        with tempfile.TemporaryDirectory() as name:
            found["install_seconds"] = round(installed(Path(name)), 1)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", action="store_true", help="time the installation too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    found = measure(options.install)
    lines = [f"{name.replace('_', ' '):<20} {value}" for name, value in found.items()]
    sys.stdout.write((json.dumps(found) if options.json else "\n".join(lines)) + "\n")


if __name__ == "__main__":
    main()
