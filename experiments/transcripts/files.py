"""Rows of other people's files: JSON lines, JSON arrays, or a folder of them whose names say what the rows do not."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from experiments.transcripts.fields import TranscriptMap

Row = dict[str, Any]
MAPS = Path(__file__).parent / "maps"


def map_path(given: Path) -> Path:
    """A map of fields: a file, or a shipped one by its bare name.

    Raises:
        HintprobeError: there is neither.
    """
    if given.exists():
        return given
    shipped = MAPS / f"{given.name}.yaml"
    if given.name == str(given) and shipped.exists():
        return shipped
    names = ", ".join(sorted(path.stem for path in MAPS.glob("*.yaml")))
    raise HintprobeError(f"There is no field map {given}: it is neither a file nor a shipped one ({names}).")


def rows_of_file(path: Path) -> Iterator[tuple[int, Row]]:
    """The rows of a file, numbered from 1: a JSON array, or one JSON object a line; ``.gz`` is read too.

    Raises:
        HintprobeError: it cannot be read, or a row is no JSON object.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise HintprobeError(
            f"The file {path} could not be read: {error}. Give UTF-8 JSON lines or an array."
        ) from error
    if text.lstrip()[:1] == "[":
        try:
            rows = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise HintprobeError(f"{path} begins like a JSON array but is not one: {error}.") from error
        found = list(enumerate(rows, 1))
    else:
        found = [(number, _line(line, number, path)) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, row in found:
        if not isinstance(row, dict):
            raise HintprobeError(f"Row {number} of {path} is not a JSON object.")
        yield number, row


def _line(line: str, number: int, path: Path) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise HintprobeError(f"Line {number} of {path} is not JSON: {error}.") from error


def rows_of_folder(folder: Path, fields: TranscriptMap) -> Iterator[tuple[int, Row]]:
    """The rows of every file of a folder that the map's pattern names, with what the name says under ``file``.

    Raises:
        HintprobeError: the map has no pattern, or no file's name matches it.
    """
    if fields.files is None:
        raise HintprobeError(
            f"{folder} is a folder, and the field map does not say which of its files to read: give it `files`, a "
            "regular expression on names such as results/(?P<kind>\\w+)_(?P<direction>correct|incorrect).jsonl."
        )
    pattern = re.compile(fields.files)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    matched = [(path, match) for path in paths if (match := pattern.search(path.relative_to(folder).as_posix()))]
    if not matched:
        raise HintprobeError(
            f"No file under {folder} has a name that matches the map's pattern {fields.files!r}; there are "
            f"{len(paths)} files, such as {paths[0].relative_to(folder).as_posix() if paths else 'none'}."
        )
    count = 0
    for path, match in matched:
        for _, row in rows_of_file(path):
            count += 1
            yield count, {**row, "file": {**match.groupdict(), "name": path.relative_to(folder).as_posix()}}
