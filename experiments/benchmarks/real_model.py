"""A real model through every stage, and what it shows: ``python -m experiments.benchmarks.real_model smollm2``.

With ``--page docs/real_models.md`` the tables are written between the page's markers. A run that was stopped goes on.
"""

import argparse
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from experiments.comparison.effects import hint_effect
from experiments.config.file import load_config
from experiments.pipeline import run_pipeline
from experiments.records import LETTERS, Label, Rollout
from experiments.records.files import write_marked
from experiments.records.run_records import RunRecords
from experiments.records.summary import SUMMARY, ModelSummary
from experiments.report.brief import brief
from experiments.report.figure_text import number, show
from experiments.report.item_text import CONDITIONS
from experiments.report.runs import read_run
from experiments.run.console import PlainConsole
from experiments.run.progress import Reporter

MARK = "real model"
RESAMPLES = 2_000


def page_text(folder: Path) -> str:
    """The tables of a finished run's first model, in Markdown."""
    run = read_run(folder / SUMMARY)
    model = run.summary.models[0]
    records = run.records(model)
    parts = [
        "```text\n" + "\n".join(brief(run.summary)) + "\n```",
        "### What it answers",
        _table(("condition", "rollouts", "state an answer", "cut off", "with a CoT", "tokens, median",
                *_letters(records), "right"), _answers(records)),
        "### How often it follows a hint",
        _table(("kind", "direction", "rows", "P(a = h), hinted", "neutral", "difference", "reliant", "aligned",
                "resisted"), _followed(list(records.labels.values()))),
        "### What each stage took",
        _table(("stage", "seconds"), [(name, number(stage.seconds, 0)) for name, stage in model.stages.items()]),
        *_why_ambiguous(model),
    ]  # fmt: skip
    return "\n\n".join(parts)


def _letters(records: RunRecords) -> Sequence[str]:
    return LETTERS[: max(len(item.question.options) for item in records.items.values())]


def _answers(records: RunRecords) -> Iterator[Sequence[str]]:
    """What the rollouts of each condition answer."""
    for condition in CONDITIONS:
        chosen = [rollout for rollout in records.rollouts.values() if rollout.condition == condition]
        if not chosen:
            continue
        stated = Counter(rollout.answer for rollout in chosen if rollout.answer is not None)
        total = max(1, stated.total())
        yield (
            condition,
            str(len(chosen)),
            f"{stated.total() / len(chosen):.0%}",
            f"{sum(rollout.truncated for rollout in chosen) / len(chosen):.0%}",
            f"{sum(bool(rollout.cot) for rollout in chosen) / len(chosen):.0%}",
            str(round(statistics.median(len(rollout.completion_ids) for rollout in chosen))),
            *(f"{stated[letter] / total:.0%}" for letter in _letters(records)),
            f"{sum(_is_right(rollout, records) for rollout in chosen) / total:.0%}",
        )


def _is_right(rollout: Rollout, records: RunRecords) -> bool:
    return rollout.answer is not None and rollout.answer == records.items[rollout.item_id].question.gold


def _followed(labels: Sequence[Label]) -> Iterator[Sequence[str]]:
    """The hint effect and the behaviours of each kind and direction."""
    for kind in ("all kinds", *sorted({label.kind for label in labels})):
        of_kind = [label for label in labels if kind in ("all kinds", label.kind)]
        for direction, effect in hint_effect(of_kind, RESAMPLES, np.random.default_rng(0)).items():
            counts = Counter(label.behaviour for label in of_kind if label.direction == direction)
            behaviours = (str(counts[name]) for name in ("reliant", "aligned", "resisted"))
            shares = (number(effect.hinted), number(effect.neutral), show(effect.difference))
            yield (kind, direction, str(effect.n), *shares, *behaviours)


def _why_ambiguous(model: ModelSummary) -> Iterator[str]:
    """Why rows have no clear label."""
    if model.comparison is None:
        return
    counts = model.comparison.counts
    yield f"### Why {counts.ambiguous} of {counts.hinted_rollouts} rows have no clear label"
    yield _table(("reason", "rows"), [(why, str(n)) for why, n in counts.ambiguous_by_reason.items()])


def _table(head: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def main() -> None:
    """Run the stages that are missing, and print the tables or write them into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="a configuration's file, or a shipped one's name")
    parser.add_argument("--model", help="folder, GGUF file or hub id, in place of the configuration's")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="in place of the configuration's")
    parser.add_argument("--page", type=Path, help="Markdown page whose marked part is written anew")
    options = parser.parse_args()
    models = {"models": [options.model]} if options.model else {}
    config = load_config(options.config, options.set, **models)
    run_pipeline(config, Reporter(PlainConsole(stderr=True)))
    text = page_text(config.run_dir)
    if options.page is None:
        sys.stdout.write(text + "\n")
    else:
        write_marked(options.page, MARK, text)


if __name__ == "__main__":
    main()
