"""What lies beside the records in a run's folder: a log, and a text that says what everything is."""

from contextlib import suppress
from pathlib import Path

LOG = "run.log"
EXPLAINED = "README.txt"
_TEXT = """This folder was written by hintprobe (`hintprobe run`). It can be copied, read by other programs, and
continued with the same command. Nothing in it is needed to read the report.

report.html     the report: open it in a browser
summary.json    every figure of the report, the configuration and the versions, for programs
run.log         what was done, and when
MODEL-ID/       one folder per model, and in it one per stage:
  generate-*    items.jsonl (questions, hints, targets), rollouts.jsonl (prompts and completions)
  judge-*       labels.jsonl (behaviour of each hinted rollout), verdicts.jsonl (what judges say)
  capture-*     positions.jsonl (which tokens of the activation store; the store lies in ../../store)
  probe-*       scores.jsonl (held-out scores), probes/ (fitted probes, for `hintprobe score`)
  patch-*, mediate-*, directions-*   what interventions did
  compare-*     comparison.json (the detector table)
  */done.json   a finished stage: what it counted, how long it took, checksums of its files

In Python:      hintprobe.read_results("this folder")   tables as data frames
In a terminal:  hintprobe show "this folder"            one item in full
Every field is described in docs/format.md.
"""


def explain_folder(folder: Path) -> None:
    """Write the text; a folder that cannot be written is met by the stages, which say so."""
    path = folder / EXPLAINED
    with suppress(OSError):
        if not path.exists():
            path.write_text(_TEXT, encoding="utf-8")
