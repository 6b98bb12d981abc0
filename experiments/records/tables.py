"""Records on disk: one JSON line each, appended as they come, readable after a kill at any instant."""

import json
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from activations.errors import HintprobeError
from experiments.records import Record

R = TypeVar("R", bound=Record)


class RecordTable(Generic[R]):
    """A JSON-lines file of one kind of record."""

    def __init__(self, path: Path, record: type[R]) -> None:
        self.path = path
        self.record = record

    def read(self) -> list[R]:
        """All complete records. A last line cut by a kill is left out, and overwritten by the next append.

        Raises:
            HintprobeError: a line in the middle is not a record.
        """
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8")
        lines = text.split("\n")
        complete, last = lines[:-1], lines[-1]
        if last:
            with self.path.open("r+b") as file:
                file.truncate(len(text.encode()) - len(last.encode()))
        try:
            return [self.record.model_validate_json(line) for line in complete]
        except ValidationError as error:
            raise HintprobeError(
                f"The table {self.path} holds a line that is not a {self.record.__name__}: "
                f"{error.errors()[0]['msg']}. Move the file away, and the stage writes it anew."
            ) from error

    def append(self, records: Iterable[R]) -> None:
        """Add records and flush them to disk."""
        text = "".join(record.model_dump_json() + "\n" for record in records)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def replace(self, records: Iterable[R]) -> None:
        """Write the whole table anew, in one atomic step."""
        write_atomically(self.path, "".join(record.model_dump_json() + "\n" for record in records))


def write_atomically(path: Path, text: str) -> None:
    """Write to a name of its own and rename: a reader sees the old file or the new one, whoever else writes."""
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically; a number that is not finite is an error, not an invalid file."""
    write_atomically(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
