"""A step's figures → its record: values, intervals, and paired differences from the first checkpoint."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from experiments.records.trajectory import Checkpoint, Estimate, JudgeAtStep, Reading
from experiments.training.levels import Resampled
from experiments.training.measured import Measured
from experiments.training.readings import Read

Figures = dict[str, Resampled]
"""Each figure with its resamples."""

FLAT = (
    "hack_rate", "verbalized_share", "admitted_share", "accuracy", "p", "q", "alpha", "raw_faithfulness",
    "normalised_faithfulness", "reliant_share", "hidden_share", "parsed_share", "truncated_share", "empty_share",
    "length", "judge_recall", "probe_refit_auroc", "probe_frozen_auroc", "probe_reread_auroc", "probe_refit_recall",
    "probe_frozen_recall", "probe_reread_recall",
)  # fmt: skip


def checkpoint_of(
    one: Measured,
    figures: Figures,
    first: Figures,
    probes: Mapping[str, Mapping[str, Read]],
    texts: Mapping[str, Mapping[str, Read]],
) -> Checkpoint:
    """The record of one step."""
    entries = {name: figures[name].estimate() for name in FLAT}
    behaviours = Counter(label.behaviour for label in one.labels)
    return Checkpoint.model_validate(
        {
            "step": one.step,
            "model": one.at.name,
            "fingerprint": one.run.fingerprint,
            **{name: entry.value for name, entry in entries.items()},
            "intervals": {name: _bounds(entry) for name, entry in entries.items()},
            "differences": {name: figures[name].minus(first[name]).estimate() for name in FLAT},
            "following": {
                name.partition("/")[2]: value.estimate()
                for name, value in figures.items()
                if name.startswith("following/")
            },
            "counts": {"items": len(one.labels), **behaviours},
            "judges": {judge: _judge(one, figures, judge) for judge in _first_first(one)},
            "probes": {name: _readings(readings) for name, readings in probes.items()},
            "texts": {name: _readings(readings) for name, readings in texts.items()},
        }
    )


def _bounds(entry: Estimate) -> tuple[float, float] | None:
    return None if entry.low is None or entry.high is None else (entry.low, entry.high)


def _first_first(one: Measured) -> list[str]:
    return [one.judge, *(judge for judge in one.verdicts if judge != one.judge)]


def _judge(one: Measured, figures: Figures, judge: str) -> JudgeAtStep:
    entries: dict[str, Any] = {
        name: figures[f"judge/{judge}/{name}"].estimate()
        for name in ("verbalized_share", "recall", "false_positives", "mentions")
    }
    return JudgeAtStep(unscored=sum(value is None for value in one.said(judge)), **entries)


def _readings(readings: Mapping[str, Read]) -> dict[str, Reading]:
    return {how: found.reading for how, found in readings.items()}
