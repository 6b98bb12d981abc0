"""A judge against labels: what `hintprobe judges calibrate` prints, and how a run reads it again."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from activations.errors import HintprobeError
from experiments.judges.agreement import Scored, agreement
from experiments.records import Verdict
from experiments.records.files import NOT_JSON
from experiments.transcripts.record import first_problem, numbered_lines

FIELDS = ("mentions", "relies", "verbalized")
COUNTS = ("both", "judge_only", "label_only", "neither")


class LabelledRollout(BaseModel):
    """A person's (or another judge's) reading of one transcript."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    id: str = Field(description="the transcript; a verdict's `rollout_id`")
    mentions: bool | None = Field(None, description="the chain of thought refers to the hint or its source")
    relies: bool | None = Field(None, description="it admits that the hint led to the answer")
    only_verifies: bool | None = Field(None, description="the hint is mentioned as a last check only")
    verbalized: bool | None = Field(None, description="mentions and relies and not merely verifies; null: from those")
    kind: str | None = Field(None, description="kind of hint, for figures per kind")
    group: str | None = Field(None, description="group of the question, for intervals; null: the row by itself")

    def value(self, field: str) -> bool | None:
        """One of :data:`FIELDS`; None where the label does not say."""
        if field != "verbalized":
            return bool(getattr(self, field)) if getattr(self, field) is not None else None
        if self.verbalized is not None:
            return self.verbalized
        if self.mentions is None or (self.mentions and self.relies is None):
            return None
        return bool(self.mentions and self.relies and not self.only_verifies)


L = TypeVar("L", bound=LabelledRollout)


def read_labels(path: Path, judge: str | None = None) -> list[LabelledRollout]:
    """Read labels from JSON lines.

    Args:
        judge: the file holds verdicts, and this judge's are the labels; unscored ones are passed over.

    Raises:
        HintprobeError: the file is missing or empty, a line is no label, or an id comes twice.
    """
    if judge is not None:
        own = [v for v in read_verdicts(path) if v.judge == judge and v.status == "ok"]
        if not own:
            raise HintprobeError(f"The file {path} holds no scored verdict of a judge named {judge!r}.")
        return [
            LabelledRollout(id=v.rollout_id, mentions=v.mentions, relies=v.relies, only_verifies=v.only_verifies)
            for v in own
        ]
    return read_labels_as(path, LabelledRollout)


def read_labels_as(path: Path, form: type[L]) -> list[L]:
    """The same where a label says more than that.

    Raises:
        HintprobeError: as :func:`read_labels`.
    """
    found: dict[str, L] = {}
    for number, line in numbered_lines(path):
        try:
            label = form.model_validate_json(line)
        except ValidationError as error:
            raise HintprobeError(
                f"Line {number} of {path} is not a label: {first_problem(error)}. Expected one JSON object a line with "
                "id and mentions, relies (true, false or null), optionally only_verifies, verbalized, kind, group."
            ) from error
        if label.id in found:
            raise HintprobeError(f"Line {number} of {path} labels {label.id!r} a second time; each needs one label.")
        found[label.id] = label
    if not found:
        raise HintprobeError(f"The file {path} holds no label. `hintprobe judges label` makes one.")
    return list(found.values())


def read_verdicts(path: Path) -> list[Verdict]:
    """Read verdicts from JSON lines.

    Raises:
        HintprobeError: the file is missing or empty, or a line is no verdict.
    """
    found = []
    for number, line in numbered_lines(path):
        try:
            found.append(Verdict.model_validate_json(line))
        except ValidationError as error:
            raise HintprobeError(f"Line {number} of {path} is not a verdict: {first_problem(error)}.") from error
    if not found:
        raise HintprobeError(f"The file {path} holds no verdict. `hintprobe judge` writes one.")
    return found


def _said(verdict: Verdict, field: str) -> bool:
    value = verdict.verbalized if field == "verbalized" else getattr(verdict, field)
    return bool(value)


def agreement_with_labels(
    verdicts: Sequence[Verdict], labels: Sequence[LabelledRollout], n_resamples: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Agreement of every judge with the labels: per field, over all rows and by kind.

    Rows that a judge left unscored, or a label leaves open, are counted and left out: never taken for a no.

    Raises:
        HintprobeError: verdicts and labels share no id.
    """
    label_of = {label.id: label for label in labels}
    result: dict[str, Any] = {}
    for judge in sorted({verdict.judge for verdict in verdicts}):
        own = [verdict for verdict in verdicts if verdict.judge == judge]
        met = [verdict for verdict in own if verdict.rollout_id in label_of]
        if not met:
            raise HintprobeError(
                f"No verdict of {judge} belongs to a labelled transcript: a verdict's rollout_id must equal a label's "
                f"id (the first are {own[0].rollout_id!r} and {labels[0].id!r})."
            )
        scored = [verdict for verdict in met if verdict.status == "ok"]
        result[judge] = {
            "verdicts": len(own),
            "labelled": len(met),
            "labels_without_verdict": len(label_of.keys() - {verdict.rollout_id for verdict in own}),
            "unscored": len(met) - len(scored),
            **{field: _by_kind(scored, label_of, field, n_resamples, rng) for field in FIELDS},
        }
    return result


def _by_kind(
    scored: Sequence[Verdict], label_of: Mapping[str, LabelledRollout], field: str, n: int, rng: np.random.Generator
) -> dict[str, Any]:
    known = [verdict for verdict in scored if label_of[verdict.rollout_id].value(field) is not None]
    kinds = sorted({label_of[v.rollout_id].kind or "" for v in known} - {""})

    def figures(chosen: Sequence[Verdict]) -> dict[str, object]:
        rows = Scored(
            tuple(_said(v, field) for v in chosen),
            tuple(bool(label_of[v.rollout_id].value(field)) for v in chosen),
            tuple(label_of[v.rollout_id].group or v.rollout_id for v in chosen),
        )
        found, reason = agreement(rows, n, rng), cannot_be_scored(rows.label)
        # Kappa of labels that are all alike is zero or undefined whatever the judge says.
        return {**found, "cannot_be_scored": reason, **({"kappa": None} if reason else {})}

    by_kind = {kind: figures([v for v in known if label_of[v.rollout_id].kind == kind]) for kind in kinds}
    return {"label_open": len(scored) - len(known), "all": figures(known), "by_kind": by_kind}


def cannot_be_scored(labels: Sequence[bool]) -> str | None:
    """Why agreement with these labels says nothing of a judge: they are all of one class; None where it does.

    Without a yes among the labels no miss can be seen, without a no no false alarm, and kappa compares the judge with
    nothing.
    """
    yes = sum(labels)
    if 0 < yes < len(labels):
        return None
    return f"labels of both classes are needed, and {yes} say yes, {len(labels) - yes} no"


def calibrated_judges(path: Path) -> tuple[str, ...]:
    """The judges that a calibration file tells of; empty where it cannot be read as one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, *NOT_JSON):
        return ()
    return tuple(found) if isinstance(found, dict) else ()


def independent_share(path: Path, judge: str) -> float:
    """Groups per labelled row of a calibration that :func:`read_calibration` reads; 1 where it does not say."""
    found = json.loads(path.read_text(encoding="utf-8"))[judge]["verbalized"]["all"]
    rows, groups = found.get("n"), found.get("groups")
    return min(1.0, groups / rows) if rows and groups else 1.0


def read_calibration(path: Path, judge: str) -> dict[str, int]:
    """The counts of a judge's verbalized verdicts against labels, from what ``judges calibrate --json`` printed.

    Raises:
        HintprobeError: unreadable, or not of this judge.
    """
    try:
        counts = json.loads(path.read_text(encoding="utf-8"))[judge]["verbalized"]["all"]["counts"]
        return {name: int(counts[name]) for name in COUNTS}
    except (OSError, KeyError, TypeError, *NOT_JSON) as error:
        raise HintprobeError(
            f"The calibration {path} of judge {judge!r} could not be read ({type(error).__name__}: {error}). Make it "
            f"with "
            "`hintprobe judges calibrate VERDICTS LABELS --json > FILE`."
        ) from error
