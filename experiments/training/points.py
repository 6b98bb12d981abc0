"""A step's figures → its record: values, intervals, and paired differences from the first checkpoint."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.records.trajectory import Checkpoint, Estimate, JudgeAtStep, Reading
from experiments.training.levels import estimate
from experiments.training.measured import Measured
from experiments.training.readings import Read

Array = NDArray[np.float64]
Figures = dict[str, tuple[float | None, Array]]
"""Each figure as a point and its resamples; None where undefined."""

FLAT = (
    "hack_rate", "verbalized_share", "admitted_share", "accuracy", "p", "q", "alpha", "raw_faithfulness",
    "normalised_faithfulness", "reliant_share", "silent_share", "parsed_share", "truncated_share", "empty_share",
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
    entries = {name: estimate(*figures[name]) for name in FLAT}
    behaviours = Counter(label.behaviour for label in one.labels)
    return Checkpoint.model_validate(
        {
            "step": one.step,
            "model": one.at.name,
            "fingerprint": one.run.fingerprint,
            **{name: entry.value for name, entry in entries.items()},
            "intervals": {name: _bounds(entry) for name, entry in entries.items()},
            "differences": {name: _difference(figures[name], first[name]) for name in FLAT},
            "following": {
                name.partition("/")[2]: estimate(*value)
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


def _difference(own: tuple[float | None, Array], first: tuple[float | None, Array]) -> Estimate:
    """Paired: both on the same resamples of items."""
    value = None if own[0] is None or first[0] is None else own[0] - first[0]
    return estimate(value, own[1] - first[1])


def _first_first(one: Measured) -> list[str]:
    return [one.judge, *(judge for judge in one.verdicts if judge != one.judge)]


def _judge(one: Measured, figures: Figures, judge: str) -> JudgeAtStep:
    entries: dict[str, Any] = {
        name: estimate(*figures[f"judge/{judge}/{name}"])
        for name in ("verbalized_share", "recall", "false_positives", "mentions")
    }
    return JudgeAtStep(unscored=sum(value is None for value in one.said(judge)), **entries)


def _readings(readings: Mapping[str, Read]) -> dict[str, Reading]:
    return {how: found.reading for how, found in readings.items()}
