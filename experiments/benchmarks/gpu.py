"""One command for a card: proves it against the CPU, then times everything beside its alternative.

Run: ``python -m experiments.benchmarks.gpu [--seconds 420] [--small | --toy] [--json]``. On CUDA a random model in
Qwen3-8B's shape in bfloat16. Without a card, or with ``--toy``, a toy size. With ``--small``, a size whose ratios mean
something on one CPU core. Ratios are ours over theirs in speed: above 1, ours is faster. A section that would not end
within the given seconds is not begun, and the report says so.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers

from experiments.benchmarks import gpu_times
from experiments.benchmarks.gpu_models import QWEN3_8B, SMALL, TOY, Scale, random_qwen3
from experiments.benchmarks.gpu_proofs import proofs

SECTIONS: tuple[Callable[..., dict[str, Any]], ...] = (
    gpu_times.generation,
    gpu_times.ragged_capture,
    gpu_times.patching,
    gpu_times.probe_fits,
)
ROUNDS = 3


def card_name(device: torch.device) -> str:
    """What the figures were measured on."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def run(device: torch.device, scale: Scale, limit: float) -> dict[str, Any]:
    """Proofs first, then each section, while there is time.

    Args:
        limit: seconds for everything.
    """
    start = time.perf_counter()
    report: dict[str, Any] = {
        "card": card_name(device),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "toy": scale is TOY,
        "proofs": proofs(device),
        "not_run": [],
        "seconds": {},
    }
    report["seconds"]["proofs"] = longest = time.perf_counter() - start
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    loaded = random_qwen3(scale, dtype, device)
    for section in SECTIONS:
        begun = time.perf_counter()
        if begun - start + longest > limit:
            report["not_run"].append(section.__name__)
            continue
        report |= section(loaded, scale, ROUNDS)
        report["seconds"][section.__name__] = took = time.perf_counter() - begun
        longest = max(longest, took)
    report["proved"] = all(line["holds"] for line in report["proofs"])
    return report


def table(report: dict[str, Any]) -> str:
    """The report as lines of text."""
    lines = [f"{report['card']}; torch {report['torch']}, transformers {report['transformers']}"]
    for line in report["proofs"]:
        verdict = "holds" if line["holds"] else "FAILS"
        lines.append(f"  {line['proof']:<28}{verdict}  error {line['error']:.1e}, limit {line['limit']:.1e}")
    for name, value in report.items():
        if isinstance(value, float):
            lines.append(f"  {name:<40}{value:10.3f}")
        elif isinstance(value, dict):
            lines += [f"  {name + ' ' + key:<40}{figure:10.3f}" for key, figure in value.items()]
    lines += [f"  {name}: not run, the time was up" for name in report["not_run"]]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run and print one table or one JSON object; exit status 1 where a proof fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=420, help="no section is begun that would end later")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--toy", action="store_true", help="the toy size, on whatever device there is")
    size.add_argument("--small", action="store_true", help="a size for one CPU core, on whatever device there is")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    usual = TOY if options.toy or device.type == "cpu" else QWEN3_8B
    scale = SMALL if options.small else usual
    report = run(device, scale, options.seconds)
    sys.stdout.write(json.dumps(report) + "\n" if options.json else table(report))
    if not report["proved"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
