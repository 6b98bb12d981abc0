"""Looking after a store: what is in it, is it whole, and putting aside what is not. Nothing here deletes by itself."""

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from stat import S_ISDIR
from typing import Any

from activations.errors import HintprobeError
from activations.model_store import IDENTITY, ModelStore, read_note
from activations.shard import DamagedShardError, GoneShardError, read_index
from activations.shard_values import verify_shard
from activations.sites import Site
from activations.store import ActivationStore
from activations.users import IN_USE, UNFINISHED, is_abandoned, users

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
    rows = entries = shards = n_bytes = 0
    sites: set[str] = set()
    unreadable = None
    for path in ModelStore(folder).paths():
        try:
            shards, n_bytes = shards + 1, n_bytes + path.stat().st_size
            index = read_index(path)
        except (GoneShardError, FileNotFoundError):
            shards -= 1  # merged into another meanwhile
            continue
        except HintprobeError as error:
            unreadable = unreadable or str(error)
            continue
        rows, entries = rows + len(index.entries.rows), entries + len(index.entries)
        sites |= set(index.sites)
    return PartSummary(
        part=part,
        identity=read_note(folder),
        shards=shards,
        n_bytes=n_bytes,
        rows=rows,
        entries=entries,
        sites=[str(site) for site in sorted(map(Site.parse, sites))],
        unfinished=len(_unfinished(folder)),
        aside=len(list((folder / ASIDE).glob("*"))),
        unreadable=unreadable,
    )


def complaints(store: ActivationStore, part: str) -> Iterator[tuple[Path, HintprobeError | None]]:
    """Every shard of a part, read as a whole, with what is wrong with it."""
    for path in ModelStore(store.path / part).every_path():
        try:
            verify_shard(path)
        except GoneShardError:
            continue  # merged into another meanwhile
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
    return [moved for path, reason in found if (moved := _move(path, reason))]


def _move(path: Path, reason: str) -> Moved | None:
    to = path.parent / ASIDE / path.name.removeprefix(".")
    try:
        to.parent.mkdir(exist_ok=True)
        if to.exists():
            to = to.with_name(f"{uuid.uuid4().hex[:8]}-{to.name}")
        os.rename(path, to)
    except FileNotFoundError:
        return None  # another process repaired it, or deleted it
    except OSError as error:
        raise HintprobeError(
            f"{path} could not be moved to {to.parent}: {error.strerror}. It is untouched. Give write access to the "
            "store and run repair again."
        ) from error
    return Moved(path, to, reason)


def removable(store: ActivationStore, parts: Sequence[str], aside: bool, unfinished: bool) -> list[Path]:
    """What a clean-up would delete: whole parts, files moved aside, files of processes that are gone.

    What a symbolic link leads to lies outside the store: of a part that is one, the link is named and nothing else.

    Raises:
        HintprobeError: there is no such part, or a process uses it.
    """
    for part in parts:
        if part not in store.parts():
            raise HintprobeError(f"{store.path} has no part {part!r}. It has: {', '.join(store.parts()) or 'none'}.")
        _check_unused(store.path / part)
    found = [store.path / part for part in parts]
    for folder in (store.path / part for part in store.parts() if part not in parts):
        if folder.is_symlink():
            continue
        aside_folder = folder / ASIDE
        if aside:
            found += [aside_folder] if aside_folder.is_symlink() else sorted(aside_folder.glob("*"))
        if unfinished:
            marks = [*_unfinished(folder), *sorted(folder.glob(f".*{IN_USE}"))]
            found += [path for path in marks if is_abandoned(path)]
    return found


def _check_unused(folder: Path) -> None:
    if not folder.is_symlink() and (found := users(folder)):
        raise HintprobeError(
            f"{folder} is in use by {', '.join(found)}. Nothing was deleted. Wait until that process has ended, or "
            "stop it, and run the same command again."
        )


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; what a symbolic link leads to does not count."""
    total = 0
    for file in path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]:
        with suppress(FileNotFoundError):  # gone meanwhile
            status = file.lstat()
            total += 0 if S_ISDIR(status.st_mode) else status.st_size
    return total


def remove(store: ActivationStore, paths: Sequence[Path]) -> None:
    """Delete them. A part loses its note first: what a kill leaves of it is then no part any more.

    Symbolic links are deleted as links; nothing outside the store is touched.

    Raises:
        HintprobeError: a path outside the store, a part that a process uses, or something that cannot be deleted.
    """
    inside = store.path.resolve()
    for path in paths:
        if not path.parent.resolve().is_relative_to(inside):
            raise HintprobeError(f"{path} does not lie inside the store {store.path}. It is untouched.")
    try:
        for path in paths:
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
            else:
                _check_unused(path)
                (path / IDENTITY).unlink(missing_ok=True)
                shutil.rmtree(path)
    except OSError as error:
        raise HintprobeError(
            f"{path} could not be deleted: {error.strerror}. Give write access to the store and run the same again."
        ) from error
