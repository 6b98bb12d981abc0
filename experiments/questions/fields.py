"""One row of any multiple-choice dataset → one :class:`Question`, by a map of field names that is data."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from activations.errors import HintprobeError
from experiments.config.field_map import FieldMap
from experiments.records import LETTERS, Question
from experiments.records.seeds import stable_int, stream

_LETTERED = re.compile(r"^\s*\(?([A-J])\s*[).:]\s*")


class BadRowError(HintprobeError):
    """A row is not a question. The message is a reason, and the reader adds where it stands."""


class BlankOptionError(BadRowError):
    """One of a row's options is blank. Published sets hold such rows: they are left out, and counted."""


def _is_blank(value: Any) -> bool:
    """Is a cell empty: no text in it, or a number that is none (NaN)?"""
    if isinstance(value, float):
        return not math.isfinite(value)
    return value is None or not str(value).strip()


def _is_text(value: str) -> bool:
    """Can it be written as UTF-8?"""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


_SENTENCE_END = re.compile(r"[?.,;:]+(?=\s|$)")


def stem_key(stem: str) -> str:
    """The stem as it is compared for being asked twice: case, spacing and the marks at the ends of words put aside.

    Everything else can make another question: 3 + 4 is not 3 - 4, and 0.5 not 05.
    """
    return " ".join(_SENTENCE_END.sub("", stem.casefold()).split())


def stem_group(stem: str) -> str:
    """Group of a question: hash of its stem in lower case without punctuation and spacing, so duplicates share it."""
    normal = "".join(character for character in stem.lower() if character.isalnum())
    return f"{stable_int(normal):016x}"


def _first(row: Mapping[str, Any], names: Sequence[str]) -> tuple[str, Any]:
    """The first of these fields that the row has, and its value."""
    for name in names:
        if row.get(name) is not None:
            return name, row[name]
    raise BadRowError(f"it has no field `{'` or `'.join(names)}`; its fields are {', '.join(map(str, row)) or 'none'}")


def _text(row: Mapping[str, Any], names: Sequence[str], default: str | None = None) -> str:
    if default is not None and all(row.get(name) is None for name in names):
        return default
    name, value = _first(row, names)
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise BadRowError(f"its field `{name}` holds {type(value).__name__}, and text was expected")
    return str(value)


def _lettered_fields(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields A, B, C and so on that the row fills; none where it fills fewer than two."""
    found = tuple(letter for letter in LETTERS if row.get(letter) not in (None, ""))
    if len(found) >= 2 and found != tuple(LETTERS[: len(found)]):
        raise BadRowError(f"it has the options {', '.join(found)}, and leaves one before the last empty")
    return found if len(found) >= 2 else ()


def _options(row: Mapping[str, Any], fields: FieldMap) -> tuple[list[str], list[str] | None]:
    """Option texts, and their own labels where the source has them."""
    names = fields.option_fields
    if not names and all(row.get(name) is None for name in fields.options):
        names = _lettered_fields(row)
    if names:
        return _filled([_value(row, name) for name in names], ", ".join(names)), None
    name, value = _first(row, fields.options)
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):  # a list in a cell of a CSV file
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            said = getattr(error, "msg", "") or "too deep, or a number too long"
            raise BadRowError(f"its field `{name}` is not a JSON list ({said})") from error
    labels = None
    if isinstance(value, Mapping):
        labels = [str(label) for label in value.get("label", ())] or None
        value = value.get("text")
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise BadRowError(f"its field `{name}` holds {type(value).__name__}, and a list of options was expected")
    texts = list(value)
    if any(not isinstance(text, str | int | float | None) for text in texts):
        raise BadRowError(f"its field `{name}` holds an option that is not text")
    if labels is not None and len(labels) != len(texts):
        raise BadRowError(f"its field `{name}` has {len(texts)} options and {len(labels)} labels")
    return _filled(texts, name), labels


def _value(row: Mapping[str, Any], name: str) -> Any:
    return None if row.get(name) is None else _text(row, (name,))


def _filled(values: Sequence[Any], where: str) -> list[str]:
    """Options as text.

    Raises:
        BlankOptionError: one of them is blank.
    """
    if blank := [str(i + 1) for i, value in enumerate(values) if _is_blank(value)]:
        raise BlankOptionError(f"option {', '.join(blank)} of its field `{where}` is blank")
    return [str(value) for value in values]


def _gold_index(value: Any, how: str, options: Sequence[str], labels: Sequence[str] | None) -> int:
    letters = LETTERS[: len(options)]
    text = str(value).strip()
    if how == "auto":
        number = isinstance(value, int | float) and not isinstance(value, bool)
        how = "label" if labels else "index" if number else "letter"
    if how == "index":
        if text.isdigit() and int(text) < len(options):
            return int(text)
        raise BadRowError(f"its gold {value!r} is not an index from 0 to {len(options) - 1}")
    if how == "letter":
        if len(text) == 1 and text in letters:
            return letters.index(text)
        raise BadRowError(f"its gold {value!r} is not one of the letters {letters} of its {len(options)} options")
    known = list(labels or ()) if how == "label" else list(options)
    if known.count(text if how == "label" else str(value)) != 1:
        raise BadRowError(f"its gold {value!r} does not name exactly one of its options {known}")
    return known.index(text if how == "label" else str(value))


def to_question(row: Mapping[str, Any], fields: FieldMap, name: str, source: str, seed: int) -> Question:
    """Read one row.

    Args:
        name: the question's id where the row has none.
        source: dataset the row comes from.
        seed: seed of the options' order where they are shuffled.

    Raises:
        BadRowError: the row lacks a field, or its values make no question of 2 to 10 options and one right answer.
    """
    stem = _text(row, fields.stem).strip()
    if not stem:
        raise BadRowError(f"its field `{_first(row, fields.stem)[0]}` is empty")
    options, labels = _options(row, fields)
    if not 2 <= len(options) <= len(LETTERS):
        raise BadRowError(f"it has {len(options)} option(s), but at least 2 and at most {len(LETTERS)} are expected")
    if fields.gold_is == "first":
        right = 0
    else:
        right = _gold_index(_first(row, fields.gold)[1], fields.gold_is, options, labels)
    if fields.lettered:
        options = [_LETTERED.sub("", option, count=1) for option in options]
    identity = _text(row, fields.id, name)
    subject, group = _text(row, fields.subject, ""), _text(row, fields.group, stem_group(stem))
    if not all(_is_text(text) for text in (stem, identity, subject, group, *options)):
        raise BadRowError("it holds half of a character pair (a lone surrogate), which is no text")
    order = list(range(len(options)))
    if fields.shuffle:
        order = [int(i) for i in stream(seed, "options", source, identity).permutation(len(options))]
    return Question(
        id=identity,
        stem=stem,
        options=tuple(options[i] for i in order),
        gold=LETTERS[order.index(right)],
        subject=subject,
        source=source,
        group=group,
    )
