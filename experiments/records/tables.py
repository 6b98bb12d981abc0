"""Records on disk: one JSON line each, appended as they come, readable after a kill at any instant."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Generic, TypeVar

import xxhash
from pydantic import ValidationError

from experiments.records.files import (
    SUMS,
    damaged,
    is_listed,
    read_bytes,
    read_checked,
    read_json,
    set_aside,
    write_atomically,
    write_json,
    writing,
)
from experiments.records.rollouts import Record

__all__ = ["RecordTable", "read_json", "write_atomically", "write_json"]

R = TypeVar("R", bound=Record)


class RecordTable(Generic[R]):
    """A JSON-lines file of one kind of record.

    A table that is appended to over several starts has a checksum of every line beside it (``NAME.sums``), written
    before the line: a line without one was damaged.

    Attributes:
        lost: damaged lines that the last :meth:`resume` left out, so that they are made again.
    """

    def __init__(self, path: Path, record: type[R]) -> None:
        self.path = path
        self.record = record
        self.lost = 0

    def read(self) -> list[R]:
        """All complete records, one of each key; nothing on disk is changed, for another process may be writing.

        A last line without its end is left out: it was cut by a kill, or is being written now.

        Raises:
            HintprobeError: the table cannot be read, is not what its finished stage wrote, or holds a damaged line.
        """
        lines = self._lines(read_checked(self.path)) if self.path.exists() or is_listed(self.path) else []
        sums = self._sums()
        records = []
        for line in lines:
            record = None if sums is not None and _sum(line) not in sums else self._parsed(line)
            if record is None:
                raise damaged(self.path, f"holds a line that is damaged or is not a {self.record.__name__}")
            records.append(record)
        return _one_of_each(records)

    def resume(self) -> list[R]:
        """What a stopped writer left, made ready for :meth:`append`. Only the one writer of a table may call this.

        A last line cut by a kill is removed, and of lines of one key all but the last. Damaged lines are left out and
        counted in ``lost``; the table as it was found is then kept beside, under a name that nobody reads.

        Raises:
            HintprobeError: the table cannot be read or written.
        """
        self.lost = 0
        found = read_bytes(self.path) if self.path.exists() else b""
        sums = self._sums()
        kept: dict[object, tuple[bytes, R]] = {}
        for number, line in enumerate(self._lines(found)):
            record = None if sums is not None and _sum(line) not in sums else self._parsed(line)
            if record is None:
                self.lost += 1
            else:
                kept[_key(record) or number] = line, record
        if self.lost:
            set_aside(self.path)
        lines = [line for line, _ in kept.values()]
        whole = b"".join(line + b"\n" for line in lines)
        if whole != found:
            write_atomically(self.path, whole.decode("utf-8"))
        if sums is None or self.lost:
            write_atomically(self._sums_path, "".join(_sum(line) + "\n" for line in lines))
        return [record for _, record in kept.values()]

    def append(self, records: Iterable[R]) -> None:
        """Add records and flush them to disk.

        Raises:
            HintprobeError: the disk is full, or the file cannot be written.
        """
        lines = [record.model_dump_json().encode() for record in records]
        with writing(self.path):
            if self._sums_path.exists():
                with self._sums_path.open("ab") as file:  # first: a line without a sum would count as damaged
                    file.write("".join(_sum(line) + "\n" for line in lines).encode())
            with self.path.open("ab") as file:
                file.write(b"".join(line + b"\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())

    def replace(self, records: Iterable[R]) -> None:
        """Write the whole table anew, in one atomic step."""
        lines = [record.model_dump_json() for record in records]
        if self._sums_path.exists():
            with writing(self.path), self._sums_path.open("ab") as file:
                file.write("".join(_sum(line.encode()) + "\n" for line in lines).encode())
        write_atomically(self.path, "".join(line + "\n" for line in lines))

    @property
    def _sums_path(self) -> Path:
        return self.path.with_name(self.path.name + SUMS)

    def _sums(self) -> set[str] | None:
        if not self._sums_path.exists():
            return None
        return set(read_bytes(self._sums_path).decode("ascii", "replace").split())

    @staticmethod
    def _lines(data: bytes) -> list[bytes]:
        return data.split(b"\n")[:-1]

    def _parsed(self, line: bytes) -> R | None:
        try:
            return self.record.model_validate_json(line)
        except ValidationError:
            return None


def _sum(line: bytes) -> str:
    return xxhash.xxh3_64_hexdigest(line)


def _key(record: Record) -> tuple[object, ...]:
    return tuple(getattr(record, field) for field in record.key_fields)


def _one_of_each(records: list[R]) -> list[R]:
    """The last record of each key, where the first of them stood; records without a key stay as they are."""
    if not records or not records[0].key_fields:
        return records
    return list({_key(record): record for record in records}.values())
