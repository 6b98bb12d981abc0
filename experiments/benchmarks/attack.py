"""Attacks on a small run: is anything lost, anything wrong, any traceback?

``python -m experiments.benchmarks.attack [--minutes 20] [--quick] [--json] [--seed 0] [--only kill ...] [--add FILE]``
takes the kinds of attack in turn until the time is over: processes killed (SIGKILL) or ended (SIGTERM) at random
instants of every stage, bytes changed in every kind of file, two processes on one run, a store looked after while it is
used, a full disk, hostile questions, servers that fail. After each the run is taken up again, and every record and
figure is held against those of an undisturbed run. ``--quick`` takes three minutes. Exit status 1: something did not
hold. A long run can be made in pieces: with ``--add FILE`` the counts are added to those in the file, each seed once,
and the sum is printed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from experiments.benchmarks.attack_arena import SMALL, Arena
from experiments.benchmarks.attack_counts import KEYS, add, as_text, refuse_again
from experiments.benchmarks.attack_kinds import Attack
from experiments.config import Config
from experiments.run.provenance import provenance

QUICK_MINUTES = 3.0
ORDER = (
    "kill", "corrupt", "corrupt", "interleave", "stop", "corrupt", "maintain", "fail_server", "fill_disk", "hostile",
)  # fmt: skip
"""Methods of :class:`Attack`, in turn."""


def attack(minutes: float, seed: int, root: Path, only: Sequence[str] = ()) -> dict[str, Any]:
    """Attack until the time is over.

    Args:
        only: kinds of attack; all, where none is named.
    """
    began = time.monotonic()
    _import_everything()
    trials = Attack(Arena(root, seed))
    kinds = [getattr(trials, name) for name in ORDER if not only or name in only]
    number = 0
    while time.monotonic() - began < 60 * minutes:
        kinds[number % len(kinds)]()
        number += 1
    seconds = round(time.monotonic() - began, 1)
    return {**{key: trials.counts[key] for key in KEYS}, "seconds": seconds, "seed": seed, "said": trials.said}


def _import_everything() -> None:
    """So that a forked process starts at once."""
    import openai  # noqa: F401
    import torch
    import transformers  # noqa: F401

    import experiments.pipeline
    import experiments.report.export  # noqa: F401

    torch.set_num_threads(1)


def main() -> None:
    """Print what was tried and what held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_MINUTES:g} minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[], choices=sorted(set(ORDER)), help="these kinds of attack")
    parser.add_argument("--add", type=Path, metavar="FILE", help="add the counts to those in this file")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        if options.add:
            refuse_again(options.add, options.seed)
        with tempfile.TemporaryDirectory() as folder:
            minutes = QUICK_MINUTES if options.quick else options.minutes
            found = attack(minutes, options.seed, Path(folder), options.only)
        if options.add:
            found = add(options.add, found, provenance(Config.model_validate(SMALL)).commit)
    except HintprobeError as error:
        parser.error(str(error))
    sys.stdout.write(as_text(found, options.json))
    if found["said"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
