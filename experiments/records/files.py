"""Files of records: written in one step, checked against the marker of the stage that finished them.

A finished stage's marker (``done.json``) carries a checksum of every file beside it, so that whoever reads one of
them finds out that it was changed, cut or emptied since. Checksums are XXH3-128: made against accidents, not forgers.
"""

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import xxhash
import yaml

from activations.errors import HintprobeError

MARKER = "done.json"
CHECKSUM = "checksum"
SUMS = ".sums"
"""Ending of the file of line checksums beside a table that is appended to."""
UNCHECKED = (MARKER, "usage.json")
"""Files of a stage's folder that its marker says nothing of: itself, and what a server was asked over all restarts."""
_CHUNK = 2**22


def checksum(data: bytes) -> str:
    """XXH3-128 of bytes, hexadecimal."""
    return xxhash.xxh3_128_hexdigest(data)


NOT_JSON = (ValueError, RecursionError)
"""What reading JSON raises where it is none: bytes that are no text, a number of too many digits, a list too deep."""
NOT_YAML = (yaml.YAMLError, *NOT_JSON)


def why(error: Exception) -> str:
    """What is wrong with a text that could not be read, in words."""
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def signed(value: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with a checksum of its other entries."""
    rest = {key: entry for key, entry in value.items() if key != CHECKSUM}
    return {**rest, CHECKSUM: checksum(_canonical(rest))}


def is_sound(value: Any) -> bool:
    """Is this a JSON object as it was signed? One without a checksum, of an earlier version, is taken as it is."""
    if not isinstance(value, dict):
        return False
    return CHECKSUM not in value or signed(value)[CHECKSUM] == value[CHECKSUM]


def _canonical(value: Any) -> bytes:
    """The same bytes before a value is written and after it is read: keys are then strings, and tuples lists."""
    return json.dumps(json.loads(json.dumps(value)), sort_keys=True).encode()


def unwritable(path: Path, error: OSError) -> HintprobeError:
    """The message for a place that cannot be written."""
    return HintprobeError(
        f"The folder {path} cannot be written: {error.strerror or error}. Existing files are untouched. Free space, "
        "give write permission, or choose another folder with `cache:` in the config or `--cache`; then run again."
    )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell a full disk or a missing right in one paragraph.

    Raises:
        HintprobeError: the operating system refused.
    """
    try:
        yield
    except OSError as error:
        raise unwritable(path.parent, error) from error


def write_atomically(path: Path, text: str) -> None:
    """Write to a name of its own and rename: a reader sees the old file or the new one, whoever else writes.

    Raises:
        HintprobeError: the folder cannot be written.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    with writing(path):
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_marked(page: Path, mark: str, text: str) -> None:
    """Write a page's part between ``<!-- MARK -->`` and the next ``<!-- end -->`` anew.

    Raises:
        HintprobeError: no such page, or one without these marks.
    """
    begin, end = f"<!-- {mark} -->", "<!-- end -->"
    try:
        before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    except OSError as error:
        raise HintprobeError(f"The page {page} cannot be read: {error.strerror}.") from error
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise HintprobeError(f"The page {page} lacks {begin} and {end}, between which the text goes.")
    write_atomically(page, f"{before}{begin}\n{text}\n{end}{after}")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically; a number that is not finite is an error, not an invalid file."""
    write_atomically(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        HintprobeError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise HintprobeError(
            f"The file {path} cannot be read: {error.strerror or error}. Give read permission again, or put the file "
            "back; then run again."
        ) from error


def read_checked(path: Path) -> bytes:
    """The bytes of a file; where a finished stage's marker lies beside it, they are what the stage wrote.

    Raises:
        HintprobeError: it cannot be read, or is not what the stage wrote.
    """
    entry = _entry(path)
    if entry is not None and not path.exists():
        raise damaged(path, "is gone")
    data = read_bytes(path)
    if entry is not None and entry.get(CHECKSUM) != checksum(data):
        raise damaged(path, "was changed, or cut, since its stage wrote it")
    return data


def is_listed(path: Path) -> bool:
    """Does the marker beside a file name it? It then has to be there."""
    return _entry(path) is not None


def damaged(path: Path, what: str) -> HintprobeError:
    """The message for a file that is not what was written, with what makes it again."""
    if (path.parent / MARKER).exists():
        again = (
            f"Run `hintprobe run CONFIG` again: the stage {path.parent.name.rpartition('-')[0]} is then made again, "
            "and what follows from it; what is sound is kept."
        )
    else:
        again = "Run the command that writes it again: it keeps what is sound and makes the rest again."
    return HintprobeError(f"The file {path} {what}, so nothing was read from it. {again}")


def read_json(path: Path) -> Any:
    """Read a JSON file, checked where a marker tells what it has to be.

    Raises:
        HintprobeError: it cannot be read, is not JSON, or is not what its stage wrote.
    """
    try:
        return json.loads(read_checked(path).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise HintprobeError(
            f"The file {path} is not JSON ({str(error) or 'nested too deeply'}): it is damaged. Move it away, and run "
            "the command that writes it again."
        ) from error


def read_marker(folder: Path) -> tuple[dict[str, Any], str]:
    """What a stage's marker says, and why it cannot be taken; both empty where there is none.

    Raises:
        HintprobeError: it is there and cannot be read.
    """
    path = folder / MARKER
    if not path.exists():
        return {}, ""
    try:
        value = json.loads(read_bytes(path).decode("utf-8"))
    except (ValueError, RecursionError):
        return {}, f"{MARKER} is not JSON"
    if not is_sound(value):
        return {}, f"{MARKER} was changed since it was written"
    lacking = [key for key in ("stage", "signature", "account", "seconds", "forwards") if key not in value]
    return ({}, f"{MARKER} lacks {', '.join(lacking)}") if lacking else (value, "")


def files_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Checksum of every file of a stage's folder, and the number of records of every table."""
    found: dict[str, dict[str, Any]] = {}
    for name in _names(folder):
        digest, lines = _digest(folder / name)
        found[name] = {"records": lines, CHECKSUM: digest} if name.endswith(".jsonl") else {CHECKSUM: digest}
    return found


def content_of(folder: Path) -> str:
    """What the tables of a folder hold, whatever the order of their lines: equal where the records are equal."""
    total = xxhash.xxh3_128()
    for name in _names(folder):
        if name.endswith(".jsonl"):
            with (folder / name).open("rb") as file:
                lines = sorted(xxhash.xxh3_128_digest(line) for line in file)
            total.update(name.encode() + b"\0" + b"".join(lines))
    return total.hexdigest()


def faults_of(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Files that are not what the marker says, and in which way."""
    found = {}
    for name, entry in files.items():
        path = folder / name
        if not path.is_file():
            found[name] = "is gone"
            continue
        digest, lines = _digest(path)
        if digest != entry.get(CHECKSUM):
            expected = entry.get("records")
            found[name] = (
                f"holds {lines} records where {expected} were written"
                if expected is not None and lines != expected
                else "was changed since it was written"
            )
    return found


def set_aside(path: Path) -> None:
    """Rename a file or folder that cannot be used to a name that nobody reads."""
    if not path.exists():
        return
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    with writing(path), suppress(FileNotFoundError):  # another process was first
        path.rename(aside)


def _names(folder: Path) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    names = (path.relative_to(folder).as_posix() for path in paths)
    return sorted(
        name
        for name in names
        if name not in UNCHECKED
        and not any(part.startswith(".") or ".damaged-" in part for part in name.split("/"))
        and not name.endswith(SUMS)
    )


def _digest(path: Path) -> tuple[str, int]:
    """Checksum and number of lines of a file, a piece at a time."""
    total, lines = xxhash.xxh3_128(), 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                total.update(chunk)
                lines += chunk.count(b"\n")
    except OSError as error:
        raise HintprobeError(
            f"The file {path} cannot be read: {error.strerror or error}. Give read permission again, then run again."
        ) from error
    return total.hexdigest(), lines


def _entry(path: Path) -> dict[str, Any] | None:
    """What the marker beside a file says of it."""
    marker, fault = read_marker(path.parent) if path.name != MARKER else ({}, "")
    if fault:
        raise HintprobeError(
            f"The marker of {path.parent} cannot be trusted ({fault}), so nothing is read from that folder. Run "
            "`hintprobe run CONFIG` again: the stage is run again, and undamaged files are kept."
        )
    entry: dict[str, Any] | None = marker.get("files", {}).get(path.name)
    return entry
