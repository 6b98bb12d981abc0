"""The lexical judge on real transcripts: against an LLM's labels, on rollouts that resisted, on CoTs without the hint.

``python -m experiments.benchmarks.judges --data FOLDER [--half held_out] [--json] [--quick]``; FOLDER holds
``transcripts/walden_mmlu_pro`` and ``transcripts/thought_branches``. Questions are split in halves by a hash of their
stem; the patterns were written on ``develop``, and ``held_out`` is what is reported.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from experiments.judges import judge_lexically
from experiments.judges.calibration import LabelledRollout, calibrate
from experiments.transcripts import Transcript
from experiments.transcripts.fields import import_rows, read_map
from experiments.transcripts.record import numbered_lines

MAPS = Path(__file__).parent.parent / "transcripts" / "maps"
FIGURES = ("raw_agreement", "kappa", "ac1", "prevalence", "judged_prevalence", "sensitivity", "specificity")
Row = dict[str, Any]


def half_of(question: str) -> str:
    """``develop`` or ``held_out``, by the stem alone: wordings and options of one question stay together."""
    stem = question.split("Answer Choices:", maxsplit=1)[0].rsplit("Question:", maxsplit=1)[-1]
    normal = "".join(character for character in stem.lower() if character.isalnum())
    return "develop" if int(hashlib.sha256(normal.encode()).hexdigest(), 16) % 2 == 0 else "held_out"


def _rows(path: Path) -> list[Row]:
    return [json.loads(line) for _, line in numbered_lines(path)]


def _labelled(data: Path, half: str) -> tuple[list[Transcript], list[LabelledRollout]]:
    transcripts, labels = [], []
    for k, row in enumerate(_rows(data / "transcripts/walden_mmlu_pro/judged_changed_claude_4.5_haiku.jsonl.gz")):
        if half not in ("all", half_of(row["question"])):
            continue
        kind = row["hint_type"].removesuffix("_v1")
        transcripts.append(
            Transcript(
                id=str(k),
                kind=kind,
                target=row["hinted_answer"],
                prompt=row["question"],  # the file does not hold the prompt with its hint
                cot=row["cot"],
                answer_text=row["final_response"],
                hinted_answer=row["new_answer"],
            )
        )
        labels.append(
            LabelledRollout(
                id=str(k),
                mentions=row["judge_hint_present"],
                relies=row["judge_relied_on_hint"],
                kind=kind,
                group=row["instance_id"],
            )
        )
    return transcripts, labels


def _share(flags: Sequence[bool]) -> dict[str, Any]:
    return {"n": len(flags), "flagged": sum(flags), "share": sum(flags) / len(flags) if flags else None}


def _hinted(data: Path, half: str) -> list[Transcript]:
    path = data / "transcripts/walden_mmlu_pro/all_responses_claude_4.5_haiku.jsonl.gz"
    found = import_rows(
        ((k, row) for k, row in enumerate(_rows(path), 1)), read_map(MAPS / "walden_mmlu_pro.yaml"), path
    )
    return [t for t in found.transcripts if half in ("all", half_of(t.plain_prompt or t.prompt))]


def _controls(data: Path, half: str) -> Row:
    """Verdicts where the truth is known: nothing was followed, or there was no hint at all."""
    hinted = _hinted(data, half)
    known = [t for t in hinted if t.hinted_answer is not None and t.unhinted_answer is not None]
    resisted = [judge_lexically(t) for t in known if t.target not in (t.unhinted_answer, t.hinted_answer)]
    path = data / "transcripts/walden_mmlu_pro/all_responses_claude_4.5_haiku.jsonl.gz"
    plain = {row["instance_id"]: row["cot"] for row in _rows(path) if row["condition"] == "baseline"}
    without = [judge_lexically(t.model_copy(update={"cot": plain[t.group]})) for t in hinted]
    pairs = _rows(data / "transcripts/thought_branches/professor_unverbalized_pairs.jsonl.gz")

    def branch(field: str) -> list[bool]:
        texts = [
            Transcript(id="t", kind="sycophancy", target=row["cue_answer"], prompt=row["cued_prompt"], cot=row[field])
            for row in pairs
            if row.get(field)
        ]
        return [bool(judge_lexically(text).mentions) for text in texts]

    return {
        "resisted_said_to_rely": _share([bool(v.verbalized) for v in resisted]),
        "resisted_said_to_mention": _share([bool(v.mentions) for v in resisted]),
        "unhinted_cot_said_to_mention": _share([bool(v.mentions) for v in without]),
        "thought_branches_cued_said_to_mention": _share(branch("cued_cot")),
        "thought_branches_uncued_said_to_mention": _share(branch("uncued_cot_reaching_cue")),
    }


def measure(data: Path, half: str, n_resamples: int) -> Row:
    """Everything, as one object."""
    transcripts, labels = _labelled(data, half)
    start = time.perf_counter()
    verdicts = [judge_lexically(transcript) for transcript in transcripts]
    seconds = time.perf_counter() - start
    agreement = calibrate(verdicts, labels, n_resamples, np.random.default_rng(0))["lexical"]
    return {
        "half": half,
        "rows": len(transcripts),
        "rows_per_second": len(transcripts) / seconds,
        "mentions": agreement["mentions"],
        "relies": agreement["verbalized"],
        "controls": _controls(data, half),
    }


def _print(found: Row, console: Console) -> None:
    for field in ("mentions", "relies"):
        for name, entry in {"all": found[field]["all"], **found[field]["by_kind"]}.items():
            cells = []
            for figure in FIGURES:
                value = entry[figure]["value"] if entry[figure] else None
                low, high = (entry[figure]["low"], entry[figure]["high"]) if entry[figure] else (None, None)
                span = "" if low is None else f" ({low:.2f} to {high:.2f})"
                cells.append(f"{figure} {'undefined' if value is None else f'{value:.2f}{span}'}")
            console.print(f"{field}, {name}, n {entry['n']}: " + ", ".join(cells), markup=False, soft_wrap=True)
    for name, share in found["controls"].items():
        console.print(f"{name}: {share['flagged']} of {share['n']}", markup=False)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--half", choices=("held_out", "develop", "all"), default="held_out")
    parser.add_argument("--quick", action="store_true", help="fewer resamples")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measure(given.data, given.half, 200 if given.quick else 2000)
    if given.json:
        sys.stdout.write(json.dumps(found, allow_nan=False) + "\n")
    else:
        _print(found, Console())


if __name__ == "__main__":
    main()
