"""Looking after a store: what is in it, is it whole, and putting aside what is not. Nothing here deletes by itself."""

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from activations.shard import UNFINISHED, DamagedShardError, is_abandoned, read_index
from activations.shard_values import verify_shard
from activations.sites import Site
from activations.store import IDENTITY, ActivationStore, ModelStore, read_note

ASIDE = "aside"
"""Folder within a part that damaged and unfinished files are moved to."""


@dataclass(frozen=True)
class PartSummary:
    """What one part of a store holds.

    Attributes:
        part: name of its folder.
        identity: whose activations they are: name, model, tokenizer, dtype, attention and the like.
        n_bytes: size of the shards' files.
        rows: distinct rows of each shard, added up.
        unfinished: files that a writer has not finished, or never will.
        aside: files that were moved aside.
        unreadable: the first shard that cannot be read, in words.
    """

    part: str
    identity: dict[str, Any]
    shards: int
    n_bytes: int
    rows: int
    entries: int
    sites: list[str]
    unfinished: int
    aside: int
    unreadable: str | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def _unfinished(folder: Path) -> list[Path]:
    return sorted(folder.glob(f".*{UNFINISHED}"))


def summarise(store: ActivationStore, part: str) -> PartSummary:
    """What a part holds, told from the indexes of its shards.

    Raises:
        HintprobeError: its note is damaged.
    """
    folder = store.path / part
    paths = ModelStore(folder).paths()
    rows = entries = 0
    sites: set[str] = set()
    unreadable = None
    for path in paths:
        try:
            index = read_index(path)
        except HintprobeError as error:
            unreadable = unreadable or str(error)
            continue
        rows, entries = rows + len(index.entries.rows), entries + len(index.entries)
        sites |= set(index.sites)
    return PartSummary(
        part=part,
        identity=read_note(folder),
        shards=len(paths),
        n_bytes=sum(path.stat().st_size for path in paths),
        rows=rows,
        entries=entries,
        sites=[str(site) for site in sorted(map(Site.parse, sites))],
        unfinished=len(_unfinished(folder)),
        aside=len(list((folder / ASIDE).glob("*"))),
        unreadable=unreadable,
    )


def complaints(store: ActivationStore, part: str) -> Iterator[tuple[Path, HintprobeError | None]]:
    """Every shard of a part, read as a whole, with what is wrong with it."""
    for path in ModelStore(store.path / part).paths():
        try:
            verify_shard(path)
        except HintprobeError as error:
            yield path, error
        else:
            yield path, None


@dataclass(frozen=True)
class Moved:
    """A file that was moved aside, and why."""

    path: Path
    to: Path
    reason: str


def repair(store: ActivationStore, part: str) -> list[Moved]:
    """Move damaged shards and abandoned unfinished files into the folder ``aside``; living writers are left alone.

    What is merely not readable here (permissions, a newer version) stays where it is.

    Raises:
        HintprobeError: the folder cannot be written.
    """
    folder = store.path / part
    found = [(path, "left behind by a writer that is gone") for path in _unfinished(folder) if is_abandoned(path)]
    found += [(path, str(error)) for path, error in complaints(store, part) if isinstance(error, DamagedShardError)]
    return [_move(path, reason) for path, reason in found]


def _move(path: Path, reason: str) -> Moved:
    to = path.parent / ASIDE / path.name.removeprefix(".")
    try:
        to.parent.mkdir(exist_ok=True)
        if to.exists():
            to = to.with_name(f"{uuid.uuid4().hex[:8]}-{to.name}")
        os.rename(path, to)
    except OSError as error:
        raise HintprobeError(
            f"{path} could not be moved to {to.parent}: {error.strerror}. It is untouched. Give write access to the "
            "store and run repair again."
        ) from error
    return Moved(path, to, reason)


def removable(store: ActivationStore, parts: Sequence[str], aside: bool, unfinished: bool) -> list[Path]:
    """What a clean-up would delete: whole parts, files moved aside, files of writers that are gone.

    Raises:
        HintprobeError: there is no such part.
    """
    for part in parts:
        if part not in store.parts():
            raise HintprobeError(f"{store.path} has no part {part!r}. It has: {', '.join(store.parts()) or 'none'}.")
    found = [store.path / part for part in parts]
    for folder in (store.path / part for part in store.parts() if part not in parts):
        found += sorted((folder / ASIDE).glob("*")) if aside else []
        found += [path for path in _unfinished(folder) if is_abandoned(path)] if unfinished else []
    return found


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    return (
        sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size
    )


def remove(paths: Sequence[Path]) -> None:
    """Delete them. A part loses its note first: what a kill leaves of it is then no part any more.

    Raises:
        HintprobeError: something cannot be deleted.
    """
    try:
        for path in paths:
            if path.is_dir():
                (path / IDENTITY).unlink(missing_ok=True)
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise HintprobeError(
            f"{path} could not be deleted: {error.strerror}. Give write access to the store and run the same again."
        ) from error
