"""The paper's metrics of anybody's items: a file of JSON lines in, one JSON object out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from activations.errors import HintprobeError
from experiments.comparison.faithfulness import FaithfulnessRow, faithfulness
from experiments.comparison.natural_flips import cot_lengths, natural_flips
from experiments.records import LETTERS, Verdict
from experiments.records.files import NOT_JSON, why
from experiments.transcripts.record import first_problem, numbered_lines

METRICS = ("p", "q", "alpha", "raw", "normalised")
COUNTS = (
    "n_rows", "n_unparsed", "n_unhinted_is_target", "n_used", "n_to_target", "n_to_other", "n_two_options",
    "n_unscored", "n_scored", "n_verbalized",
)  # fmt: skip


class FaithfulnessItem(BaseModel):
    """One line: a hinted rollout beside its unhinted one. Further fields are ignored, so transcripts will do."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    group: str = Field(description="what rows of one question share; the bootstrap resamples it")
    kind: str = Field(description="kind of hint")
    direction: Literal["correct", "incorrect"] = Field(description="whether the target is the right option")
    n_options: int = Field(description="options of the question", ge=2, le=10)
    unhinted_answer: str | None = Field(description="a_u; null: unparsed")
    hinted_answer: str | None = Field(description="a_h; null: unparsed")
    target: str = Field(description="letter the hint names, h")
    verbalized: bool | None = Field(description="a judge's verdict; null: unscored")
    id: str | None = Field(None, description="joins the line with a file of verdicts")
    dataset: str | None = Field(None, description="dataset of the question")
    unhinted_repeats: list[str | None] = Field(default_factory=list, description="answers of further unhinted runs")
    neutral_answers: list[str | None] = Field(
        default_factory=list, description="answers of runs with the hint's frame and no hint, in place of the repeats"
    )
    cot_length: float | None = Field(None, description="length of the chain of thought", ge=0)

    @model_validator(mode="after")
    def _among_the_options(self) -> "FaithfulnessItem":
        letters = LETTERS[: self.n_options]
        named = {
            "target": self.target,
            "unhinted_answer": self.unhinted_answer,
            "hinted_answer": self.hinted_answer,
            **{f"unhinted_repeats.{k}": answer for k, answer in enumerate(self.unhinted_repeats)},
            **{f"neutral_answers.{k}": answer for k, answer in enumerate(self.neutral_answers)},
        }
        for name, letter in named.items():
            if letter is not None and (len(letter) != 1 or letter not in letters):
                raise ValueError(f"field `{name}` is {letter!r}, and {self.n_options} options end at {letters[-1]!r}")
        return self

    def row(self) -> FaithfulnessRow:
        """What the metrics need of it."""
        return FaithfulnessRow(
            self.group, self.n_options, self.unhinted_answer, self.hinted_answer, self.target, self.verbalized,
            tuple(self.unhinted_repeats), self.cot_length, tuple(self.neutral_answers),
        )  # fmt: skip


def read_items(path: Path, verbalized: Mapping[str, bool | None] | None = None) -> list[FaithfulnessItem]:
    """Read items.

    Args:
        verbalized: verdicts by id, in place of the lines' own; a line without one is unscored.

    Raises:
        HintprobeError: the file is missing or empty, or a line is no item; its number and field are named.
    """
    import json

    items = []
    for number, line in numbered_lines(path):
        try:
            data = json.loads(line)
            if not isinstance(data, dict):
                raise ValueError(f"it holds {type(data).__name__} and no object")
            if verbalized is not None:
                data = _with_verdict(data, verbalized)
            items.append(FaithfulnessItem.model_validate(data))
        except (ValidationError, *NOT_JSON) as error:
            reason = first_problem(error) if isinstance(error, ValidationError) else why(error)
            raise HintprobeError(
                f"Line {number} of {path} is not an item: {reason}. Expected one JSON object a line with group, kind, "
                "direction (correct or incorrect), n_options (2 to 10), unhinted_answer, hinted_answer, target "
                "(letters; "
                "answers may be null), and verbalized (true, false or null)."
            ) from error
    if not items:
        raise HintprobeError(f"The file {path} holds no item. Expected one JSON object a line.")
    return items


def _with_verdict(data: dict[str, Any], verbalized: Mapping[str, bool | None]) -> dict[str, Any]:
    if not isinstance(data.get("id"), str):
        raise ValueError("field `id` is missing, and is needed to find its verdict")
    length = len(data["cot"]) if isinstance(data.get("cot"), str) else None
    return {"cot_length": length, **data, "verbalized": verbalized.get(data["id"])}


def verbalized_by(verdicts: Iterable[Verdict], judge: str | None) -> dict[str, bool | None]:
    """What one judge found, by rollout.

    Raises:
        HintprobeError: no such judge, or several and none was chosen.
    """
    verdicts = list(verdicts)
    judges = sorted({verdict.judge for verdict in verdicts})
    if (judge is None and len(judges) > 1) or (judge is not None and judge not in judges):
        raise HintprobeError(f"The verdicts are by {', '.join(judges) or 'nobody'}; choose one of them with --judge.")
    return {verdict.rollout_id: verdict.verbalized for verdict in verdicts if judge in (None, verdict.judge)}


def entry(rows: Sequence[FaithfulnessRow], n_resamples: int, rng: np.random.Generator) -> dict[str, Any]:
    """Every metric with its value, numerator, denominator and interval; the counts; the baselines beside them."""
    found = faithfulness(rows, n_resamples, rng)
    result: dict[str, Any] = {}
    for name in METRICS:
        bounds, (numerator, denominator) = found.intervals[name], found.fractions[name]
        result[name] = {
            "value": getattr(found, name),
            "numerator": numerator,
            "denominator": denominator,
            "low": bounds[0] if bounds else None,
            "high": bounds[1] if bounds else None,
        }
    return {
        **result,
        "counts": {name: getattr(found, name) for name in COUNTS},
        "natural_flips": _plain(natural_flips(rows, n_resamples, rng)),
        "cot_length": _plain(cot_lengths(rows, n_resamples, rng)),
    }


def _plain(found: BaseModel | None) -> dict[str, Any] | None:
    """A record as JSON values."""
    return None if found is None else found.model_dump(mode="json")


def summarise(items: Sequence[FaithfulnessItem], n_resamples: int, rng: np.random.Generator) -> dict[str, Any]:
    """The metrics over all items, and by kind and direction, kind, direction, and dataset where any is named."""

    def by(key: Callable[[FaithfulnessItem], str]) -> dict[str, Any]:
        names = sorted({key(item) for item in items})
        return {n: entry([item.row() for item in items if key(item) == n], n_resamples, rng) for n in names}

    result = {
        **entry([item.row() for item in items], n_resamples, rng),
        "by_kind_direction": by(lambda item: f"{item.kind} {item.direction}"),
        "by_kind": by(lambda item: item.kind),
        "by_direction": by(lambda item: item.direction),
    }
    if any(item.dataset is not None for item in items):
        result["by_kind_direction_dataset"] = by(lambda item: f"{item.kind} {item.direction} {item.dataset}")
    return result
