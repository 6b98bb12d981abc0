"""Rows of any file → transcripts, by a map of field names that is data."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from activations.errors import HintprobeError
from experiments.answers.parser import parse_answer
from experiments.answers.thinking import split_marked
from experiments.questions.fields import stem_group
from experiments.records import LETTERS
from experiments.records.files import NOT_YAML, why
from experiments.transcripts.record import Transcript, completion_of, first_problem

Row = Mapping[str, Any]
Names = str | tuple[str, ...]


class Baseline(BaseModel):
    """Which rows are unhinted runs, and how hinted rows find theirs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str = Field(description="field that tells unhinted rows")
    value: str = Field(description="what it holds in them")
    join: Names = Field(description="field or fields that a hinted row shares with its unhinted ones")


class TranscriptMap(BaseModel):
    """Which fields of a row hold what. A name with dots leads into nested objects; several names are joined."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Names = Field((), description="unique name; the line's number where none is given")
    kind: str | None = Field(None, description="kind of hint")
    target: str = Field(description="letter the hint names")
    prompt: Names = Field(description="the prompt; several fields are put one below the other")
    hint_text: str | None = Field(None, description="the hint's own text")
    completion: str | None = Field(None, description="the whole completion, to be parted into thinking and answer")
    cot: str | None = Field(None, description="the chain of thought, where it has a field of its own")
    answer_text: str | None = Field(None, description="the visible answer, where it has a field of its own")
    direction: str | None = Field(None, description="correct or incorrect; else told from `gold`")
    gold: str | None = Field(None, description="letter of the right option")
    n_options: str | None = Field(None, description="number of options, or the field that lists them")
    group: Names = Field((), description="what rows of one question share; else a hash of the unhinted prompt")
    unhinted_answer: str | None = Field(None, description="answer without the hint; else parsed from the unhinted row")
    hinted_answer: str | None = Field(None, description="answer with the hint; else parsed from the answer")
    unhinted_text: str | None = Field(
        None, description="what the model wrote without the hint; else the text of the unhinted row"
    )
    truncated: str | None = Field(None, description="whether the completion was cut")
    plain_prompt: Names = Field((), description="the prompt without its hint")
    source: str | None = Field(None, description="who or what gives the hint")
    constants: dict[str, Any] = Field(default_factory=dict, description="values that are the same in every row")
    values: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="per field of the result, what the file's values mean (`True: correct`)"
    )
    baseline: Baseline | None = Field(None, description="which rows are unhinted runs")
    error: str | None = Field(None, description="field that is set in rows that failed; they are left out and counted")
    files: str | None = Field(
        None,
        description="regular expression on the names of a folder's files; its named groups are fields `file.NAME`",
    )

    @field_validator("files")
    @classmethod
    def _is_pattern(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value


@dataclass
class Imported:
    """Transcripts, and how many rows were left out by reason."""

    transcripts: list[Transcript] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)


def read_map(path: Path) -> TranscriptMap:
    """Read a map of fields from YAML.

    Raises:
        HintprobeError: unreadable, an unknown key, or an ill-typed value.
    """
    try:
        return TranscriptMap.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:  # a ValueError, too: it comes first
        raise HintprobeError(
            f"The field map {path} is not valid: {first_problem(error)}. docs/judges.md shows one."
        ) from error
    except (OSError, *NOT_YAML) as error:
        raise HintprobeError(f"The field map {path} could not be read: {why(error)}.") from error


def _get(row: Row, name: str) -> Any:
    """A field by its dotted name, in which figures are places of a list; None where it is missing."""
    value: Any = row
    for part in name.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and re.fullmatch(r"-?\d{1,6}", part):
            place = int(part)
            value = value[place] if -len(value) <= place < len(value) else None
        else:
            return None
    return value


def _check_fields(rows: Sequence[tuple[int, Row]], fields: TranscriptMap, path: Path) -> None:
    """Refuse a map that names a field which no row has.

    Raises:
        HintprobeError: the file, the first row, the field, and what the row holds.
    """
    named = fields.model_dump(exclude={"constants", "values", "baseline", "files", "error"}, exclude_none=True)
    for result, names in named.items():
        for name in (names,) if isinstance(names, str) else names:
            if result in fields.constants or not rows or any(_get(row, name) is not None for _, row in rows):
                continue
            number, row = rows[0]
            raise HintprobeError(
                f"No row of {path} has the field `{name}` that the map gives for `{result}`: row {number} holds "
                f"{', '.join(map(str, list(row)[:12]))}. Correct the name in the map."
            )


def _joined(row: Row, names: Names, between: str) -> str | None:
    parts = [_get(row, name) for name in ((names,) if isinstance(names, str) else names)]
    return between.join(str(part) for part in parts if part is not None) if any(p is not None for p in parts) else None


def _value(row: Row, fields: TranscriptMap, name: str) -> Any:
    """A field of the result: a constant, or the file's value in our words."""
    if name in fields.constants:
        return fields.constants[name]
    given = getattr(fields, name)
    value = _get(row, given) if given else None
    meanings = fields.values.get(name, {})
    return meanings.get(str(value), value)


def _n_options(row: Row, fields: TranscriptMap) -> int | None:
    value = _value(row, fields, "n_options")
    return len(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _texts(row: Row, fields: TranscriptMap) -> tuple[str | None, str, bool]:
    """Chain of thought, visible answer, and whether the thinking was never closed."""
    if fields.completion is None:
        return _value(row, fields, "cot"), _value(row, fields, "answer_text") or "", False
    prompt = _joined(row, fields.prompt, "\n\n") or ""
    split = split_marked(str(_value(row, fields, "completion") or ""), prompt)
    return split.cot, split.answer_text, not split.closed


def _whole_text(row: Row, fields: TranscriptMap) -> str | None:
    """Thinking and answer of a row as one text; None where it has neither."""
    cot, answer, _ = _texts(row, fields)
    text = completion_of(cot if (cot or "").strip() else None, answer)
    return text if text.strip() else None


def _answer(row: Row, fields: TranscriptMap, name: str, text: str, n_options: int | None) -> str | None:
    if getattr(fields, name) is not None:
        value = _value(row, fields, name)
        return value if isinstance(value, str) and value in LETTERS and len(value) == 1 else None
    return parse_answer(text, n_options or len(LETTERS))


def _key(row: Row, names: Names) -> str:
    return _joined(row, names, "\x1f") or ""


def import_rows(rows: Iterable[tuple[int, Row]], fields: TranscriptMap, path: Path, strict: bool = True) -> Imported:
    """Make transcripts of rows.

    Args:
        rows: line numbers and rows.
        strict: a field of the map that no row has is an error.

    Raises:
        HintprobeError: a row lacks what a transcript needs, or an id comes twice; the line is named.
    """
    numbered = list(rows)
    if strict:
        _check_fields(numbered, fields, path)
    base = fields.baseline
    unhinted: dict[str, list[Row]] = defaultdict(list)
    hinted: list[tuple[int, Row]] = []
    for number, row in numbered:
        if base is not None and str(_get(row, base.field)) == base.value:
            unhinted[_key(row, base.join)].append(row)
        else:
            hinted.append((number, row))
    found, seen = Imported(), set[str]()
    if unhinted:
        found.left_out["unhinted runs, joined to the hinted ones"] = sum(map(len, unhinted.values()))
    for number, row in hinted:
        own = unhinted.get(_key(row, base.join), []) if base is not None else []
        reason = _unusable(row, fields)
        if reason is not None:
            found.left_out[reason] += 1
            continue
        transcript = _transcript(number, row, own, fields, path)
        if transcript.id in seen:
            raise HintprobeError(f"Line {number} of {path} repeats the id {transcript.id!r}; map `id` to more fields.")
        seen.add(transcript.id)
        found.transcripts.append(transcript)
        found.states["without an unhinted run"] += base is not None and not own
        found.states["hinted answer unparsed"] += transcript.hinted_answer is None
        found.states["unhinted answer unparsed"] += bool(own) and transcript.unhinted_answer is None
        found.states["truncated"] += transcript.truncated
    return found


def _unusable(row: Row, fields: TranscriptMap) -> str | None:
    """Why a row is no transcript; None where it is one."""
    if fields.error is not None and _get(row, fields.error) is not None:
        return "ended in an error"
    if _value(row, fields, "target") is None:
        return "no target"
    cot, answer, _ = _texts(row, fields)
    return None if (cot or "").strip() or answer.strip() else "no text"


def _transcript(number: int, row: Row, own: list[Row], fields: TranscriptMap, path: Path) -> Transcript:
    cot, answer_text, unclosed = _texts(row, fields)
    n_options = _n_options(row, fields)
    plain = _joined(row, fields.plain_prompt, "\n\n") or (_joined(own[0], fields.prompt, "\n\n") if own else None)
    repeats = [_answer(r, fields, "hinted_answer", _texts(r, fields)[1], n_options) for r in own]
    told = _answer(row, fields, "unhinted_answer", "", n_options) if fields.unhinted_answer else None
    target, gold = _value(row, fields, "target"), _value(row, fields, "gold")
    direction = _value(row, fields, "direction")
    if direction is None and gold is not None:
        direction = "correct" if target == gold else "incorrect"
    try:
        return Transcript(
            id=_joined(row, fields.id, ":") or f"line-{number}",
            kind=str(_value(row, fields, "kind")),
            target=target,
            prompt=_joined(row, fields.prompt, "\n\n") or "",
            hint_text=_value(row, fields, "hint_text"),
            cot=cot,
            answer_text=answer_text,
            plain_prompt=plain,
            source=_value(row, fields, "source"),
            truncated=bool(_value(row, fields, "truncated")) or unclosed,
            group=_joined(row, fields.group, ":") or (stem_group(plain) if plain else None),
            direction=direction,
            n_options=n_options,
            gold=gold,
            unhinted_answer=told if fields.unhinted_answer else (repeats[0] if repeats else None),
            hinted_answer=None if unclosed else _answer(row, fields, "hinted_answer", answer_text, n_options),
            unhinted_text=_value(row, fields, "unhinted_text") or (_whole_text(own[0], fields) if own else None),
            unhinted_repeats=tuple(repeats[1:]),
        )
    except ValidationError as error:
        raise HintprobeError(
            f"Line {number} of {path} is not a transcript: {first_problem(error)}. Correct the field map or the line."
        ) from error
