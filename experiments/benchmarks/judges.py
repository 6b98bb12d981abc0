"""The judges on real transcripts: against labels, on rollouts that resisted, on chains of thought without the hint.

``python -m experiments.benchmarks.judges --data FOLDER [--half held_out] [--json] [--quick]``; FOLDER holds
``transcripts/walden_mmlu_pro`` and ``transcripts/thought_branches``. Questions are split in halves by a hash of their
stem; the patterns were written on ``develop``, and ``held_out`` is what is reported.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.thought_branches_labels import MENTIONS
from experiments.judges import judge_lexically
from experiments.judges.agreement import FIGURES
from experiments.judges.calibration import LabelledRollout, agreement_with_labels
from experiments.judges.training import train_judge
from experiments.run.console import PlainConsole as Console
from experiments.transcripts import Transcript
from experiments.transcripts.fields import import_rows, read_map
from experiments.transcripts.record import numbered_lines

MAPS = Path(__file__).parent.parent / "transcripts" / "maps"
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


def _branches(data: Path) -> tuple[list[Transcript], list[LabelledRollout], list[Transcript]]:
    """Cued chains of thought with labels of our own reading, and the same questions' texts without a cue."""
    cued, labels, uncued = [], [], []
    for k, row in enumerate(_rows(data / "transcripts/thought_branches/professor_unverbalized_pairs.jsonl.gz")):
        read = Transcript(
            id=str(k), kind="sycophancy", target=row["cue_answer"], prompt=row["cued_prompt"], cot=row["cued_cot"]
        )
        cued.append(read)
        labels.append(LabelledRollout(id=str(k), mentions=k in MENTIONS, group=half_of(row["uncued_prompt"]) + str(k)))
        for field in ("uncued_cot_reaching_cue", "uncued_cot_reaching_gold"):
            if row.get(field):
                uncued.append(read.model_copy(update={"id": f"{k}:{field}", "cot": row[field]}))
    return cued, labels, uncued


def _controls(data: Path, half: str) -> Row:
    """Verdicts where the truth is known: nothing was followed, or there was no hint at all."""
    hinted = _hinted(data, half)
    known = [t for t in hinted if t.hinted_answer is not None and t.unhinted_answer is not None]
    resisted = [judge_lexically(t) for t in known if t.target not in (t.unhinted_answer, t.hinted_answer)]
    path = data / "transcripts/walden_mmlu_pro/all_responses_claude_4.5_haiku.jsonl.gz"
    plain = {row["instance_id"]: row["cot"] for row in _rows(path) if row["condition"] == "baseline"}
    # The text without a hint is judged as if it had been hinted, whatever the hinted run answered.
    without = [t.model_copy(update={"cot": plain[t.group], "answer_text": "", "hinted_answer": None}) for t in hinted]
    return {
        "resisted_said_to_rely": _share([bool(v.verbalized) for v in resisted]),
        "resisted_said_to_mention": _share([bool(v.mentions) for v in resisted]),
        "unhinted_cot_said_to_mention": _share([bool(judge_lexically(t).mentions) for t in without]),
        "thought_branches_uncued_said_to_mention": _share(
            [bool(judge_lexically(t).mentions) for t in _branches(data)[2]]
        ),
    }


def _speed(transcripts: Sequence[Transcript]) -> float:
    """Processor seconds per 1,000 texts of 20 kB: chains of thought one after another, none of them twice in a text."""
    rows = [(t, t.cot) for t in transcripts if t.cot]
    texts = [text for _, text in rows]
    long = [
        row.model_copy(update={"cot": "\n".join([*texts[k:], *texts[:k]])[:20_000]})
        for k, (row, _) in enumerate(rows[:40])
    ]
    start = time.process_time()
    for transcript in long:
        judge_lexically(transcript)
    return 1000 * (time.process_time() - start) / len(long)


def _trained(transcripts: Sequence[Transcript], labels: Sequence[LabelledRollout]) -> Row:
    """The trained judge on labels of reliance, cross-validated by question."""
    return train_judge(transcripts, labels, "relies", np.random.default_rng(0)).report


def measure(data: Path, half: str, n_resamples: int) -> Row:
    """Everything, as one object."""
    transcripts, labels = _labelled(data, half)
    agreement = _agreement(transcripts, labels, n_resamples)
    cued, read, _ = _branches(data)
    branches = _agreement(cued, read, n_resamples)
    controls = _controls(data, half)
    everything = _labelled(data, "all")
    trained = _trained(*everything)
    false = [controls["unhinted_cot_said_to_mention"], controls["thought_branches_uncued_said_to_mention"]]
    return {
        "half": half,
        "rows": len(transcripts),
        "seconds_per_1000_texts_of_20_kB": _speed(transcripts),
        "mention_kappa_walden": agreement["mentions"]["all"]["kappa"]["value"],
        "mention_kappa_thought_branches": branches["mentions"]["all"]["kappa"]["value"],
        "unhinted_false_mentions": sum(f["flagged"] for f in false) / sum(f["n"] for f in false),
        "reliance_kappa_lexical": agreement["verbalized"]["all"]["kappa"]["value"],
        "reliance_kappa_trained_cv": trained["all"]["kappa"]["value"],
        "mentions": agreement["mentions"],
        "relies": agreement["verbalized"],
        "thought_branches": branches["mentions"],
        "trained": trained,
        "controls": controls,
    }


def _agreement(transcripts: Sequence[Transcript], labels: Sequence[LabelledRollout], n: int) -> Row:
    verdicts = [judge_lexically(transcript) for transcript in transcripts]
    found: Row = agreement_with_labels(verdicts, labels, n, np.random.default_rng(0))["lexical"]
    return found


def _print(found: Row, console: Console) -> None:
    for field in ("mentions", "relies", "thought_branches", "trained"):
        for name, entry in {"all": found[field]["all"], **found[field]["by_kind"]}.items():
            cells = []
            for figure in FIGURES:
                value = entry[figure]["value"] if entry[figure] else None
                low, high = (entry[figure]["low"], entry[figure]["high"]) if entry[figure] else (None, None)
                span = "" if low is None else f" ({low:.2f} to {high:.2f})"
                cells.append(f"{figure} {'undefined' if value is None else f'{value:.2f}{span}'}")
            console.print(f"{field}, {name}, n {entry['n']}: " + ", ".join(cells), markup=False, soft_wrap=True)
    for name, value in found.items():
        if isinstance(value, float):
            console.print(f"{name}: {value:.3f}", markup=False)
    for name, share in found["controls"].items():
        console.print(f"{name}: {share['flagged']} of {share['n']}", markup=False)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("HINTPROBE_SHARED_DATA"), help="default: HINTPROBE_SHARED_DATA"
    )
    parser.add_argument("--half", choices=("held_out", "develop", "all"), default="held_out")
    parser.add_argument("--quick", action="store_true", help="fewer resamples")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.data is None:
        parser.error("give --data FOLDER, or set HINTPROBE_SHARED_DATA")
    found = measure(Path(given.data), given.half, 200 if given.quick else 2000)
    if given.json:
        sys.stdout.write(json.dumps(found, allow_nan=False) + "\n")
    else:
        _print(found, Console())


if __name__ == "__main__":
    main()
