"""Real questions under every kind and direction of hint, through three chat templates, as fast as it goes.

``python -m experiments.benchmarks.rendering [--quick] [--json] [--questions PATH]``: PATH is MMLU as a file or folder
(default: ``$HINTPROBE_SHARED_DATA/mmlu``). Every named place of every prompt is checked on text decoded from its
tokens; one that does not decode to what it names ends the run. Lengths are compared on the first 60 questions.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from activations.errors import HintprobeError
from experiments.benchmarks.chat_styles import STYLES, Family, styled, train_tokenizer
from experiments.config import HintsConfig
from experiments.config.field_map import FieldMap
from experiments.hints import HINTS
from experiments.prompts.items import choose_targets, plan_items
from experiments.prompts.writing import PromptWriter
from experiments.questions.fields import to_question
from experiments.questions.sources import read_file, read_folder
from experiments.records import Direction, Item, Question

CASES: tuple[tuple[str, Family], ...] = (
    ("llama3", "byte-level"),
    ("gemma", "sentencepiece"),
    ("gpt_oss", "byte-level"),
)
QUICK = 60
"""Questions of the quick run."""
SETS = 720
"""Items whose four conditions are rendered, to compare their lengths."""


def _items(questions: Sequence[Question]) -> list[Item]:
    """Every kind in both directions for every question, targets drawn as if nothing had been answered."""
    planned = plan_items(questions, HintsConfig(per_question="all"), 0)
    return [choose_targets(item, [], None, 0) for item in planned]


def render_hinted(writer: PromptWriter, items: Sequence[Item]) -> dict[str, Any]:
    """Render the hinted prompt of every item.

    Raises:
        HintprobeError: a place was lost or does not decode to what it names.
    """
    start = time.perf_counter()
    tokens = sum(writer.write(item, "hinted").length for item in items)
    seconds = time.perf_counter() - start
    return {
        "prompts": len(items),
        "mean_tokens": round(tokens / len(items), 1),
        "seconds": round(seconds, 1),
        "prompts_per_second": round(len(items) / seconds),
    }


def render_sets(writer: PromptWriter, items: Sequence[Item]) -> dict[str, Any]:
    """Render all four conditions; returns per kind the share that could not be made as long as the hinted prompt.

    Raises:
        HintprobeError: a place was lost or does not decode to what it names.
    """
    other: Counter[str] = Counter()
    n = Counter(item.kind for item in items)
    for item in items:
        _, written = writer.hinted_set(item, [])
        writer.write(item, "unhinted")
        for condition in ("swapped", "neutral"):
            if condition in written and written[condition].length != written["hinted"].length:
                other[f"{condition} {item.kind}"] += 1
    return {
        "sets": len(items),
        **{
            f"{condition}_of_other_length": {kind: round(other[f"{condition} {kind}"] / n[kind], 4) for kind in n}
            for condition in ("swapped", "neutral")
        },
    }


def run(questions: Sequence[Question]) -> dict[str, Any]:
    """All three templates."""
    items = _items(questions)
    texts = [" ".join((question.stem, *question.options)) for question in questions[:3000]]
    trained = {family: train_tokenizer(family, texts, 16_000) for family in get_args(Family)}
    found = {}
    for style, family in CASES:
        writer = PromptWriter(styled(trained[family], STYLES[style]), STYLES[style].options)
        found[style] = {"tokenizer": family, **render_hinted(writer, items), **render_sets(writer, items[:SETS])}
    return {
        "questions": len(questions),
        "items": len(items),
        "kinds": len(HINTS),
        "directions": len(get_args(Direction)),
        "templates": found,
    }


def load(path: str | None, limit: int) -> list[Question]:
    """Questions of MMLU, evenly spread; those too that a run would leave out because they repeat another's.

    Raises:
        HintprobeError: there are none.
    """
    shared = os.environ.get("HINTPROBE_SHARED_DATA")
    if path is None and not shared:
        raise HintprobeError("Give MMLU's file or folder with --questions, or set HINTPROBE_SHARED_DATA.")
    place = Path(path) if path is not None else Path(str(shared)) / "mmlu"
    rows = list(read_folder(place, None, "test") if place.is_dir() else read_file(place))
    return [to_question(row.values, FieldMap(), row.name, "mmlu", 0) for row in rows[:: max(1, len(rows) // limit)]]


def main() -> None:
    """Print the table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--questions", default=None)
    arguments = parser.parse_args()
    try:
        found = run(load(arguments.questions, QUICK if arguments.quick else 20_000))
    except HintprobeError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from error
    if arguments.json:
        sys.stdout.write(json.dumps(found, allow_nan=False) + "\n")
        return
    sys.stdout.write(f"{found['questions']} questions, {found['items']} items\n")
    for style, result in found["templates"].items():
        sys.stdout.write(
            f"{style:<10}{result['tokenizer']:<15}{result['prompts']:>9} prompts {result['seconds']:>8} s "
            f"{result['prompts_per_second']:>6}/s\n"
        )


if __name__ == "__main__":
    main()
