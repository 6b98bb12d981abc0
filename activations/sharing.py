"""Parts of a store to and from any address that fsspec knows: a folder, S3, GCS, the Hugging Face hub.

Shards are named by their content and never change, so what is there is not sent again, a transfer that was stopped goes
on where it was, and several may run at once. Nothing is deleted on either side.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from activations.model_store import IDENTITY, ModelStore, read_note
from activations.shard import FORMAT, SUFFIX, VERSION, GoneShardError, check_version, read_index
from activations.shard_values import verify_shard
from activations.store import ActivationStore, part_name
from activations.users import unfinished_name

_PART = re.compile(r"[0-9a-f]{16}")
_SHARD = re.compile(rf"([0-9a-f]{{32}}){re.escape(SUFFIX)}")
_NOTE_BYTES = 2**20


@dataclass(frozen=True)
class Sent:
    """What a transfer of one part did: shards sent, their bytes, and shards that were there already."""

    part: str
    sent: int
    n_bytes: int
    there: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Remote:
    """A folder of parts at an address."""

    fs: Any
    root: str
    address: str

    @classmethod
    def at(cls, address: str) -> "Remote":
        """The store at an address, such as ``s3://bucket/store``, ``hf://datasets/me/store`` or a folder.

        Raises:
            HintprobeError: no such protocol, or its library is not installed.
        """
        import fsspec

        try:
            fs, root = fsspec.core.url_to_fs(address)
        except (ImportError, ValueError) as error:
            raise HintprobeError(
                f"The address {address!r} cannot be used: {error}. Give a folder, or an address of a protocol whose "
                "fsspec library is installed (s3:// needs s3fs, gs:// gcsfs, hf:// nothing more)."
            ) from error
        return cls(fs, root.rstrip("/"), address)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Failures of the other side in one paragraph.

        Raises:
            HintprobeError: the other side refused, is not reachable, or this side cannot be written.
        """
        try:
            yield
        except HintprobeError:
            raise
        except Exception as error:  # every protocol's library has exceptions of its own
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise HintprobeError(
                f"The transfer with {self.address} stopped: {reason[0]} ({type(error).__name__}). Files sent before "
                "are complete; run the same command again to resume."
            ) from error

    def path(self, part: str, name: str) -> str:
        """Where a file of a part lies."""
        return f"{self.root}/{part}/{name}"

    def parts(self) -> list[str]:
        """Names of the parts there."""
        with self.told():
            self.fs.invalidate_cache()
            found = self.fs.ls(self.root, detail=False) if self.fs.exists(self.root) else []
            names = [str(path).rstrip("/").rpartition("/")[2] for path in found]
            return sorted(name for name in names if _PART.fullmatch(name) and self.fs.exists(self.path(name, IDENTITY)))

    def shards(self, part: str) -> dict[str, int]:
        """Names of a part's shards there, and their bytes."""
        with self.told():
            folder = f"{self.root}/{part}"
            entries = self.fs.ls(folder, detail=True) if self.fs.exists(folder) else []
            sizes = {str(entry["name"]).rpartition("/")[2]: int(entry["size"] or 0) for entry in entries}
            return {name: size for name, size in sizes.items() if _SHARD.fullmatch(name)}


def _chosen(known: Sequence[str], wanted: Sequence[str], where: str) -> list[str]:
    unknown = sorted(set(wanted) - set(known))
    if unknown or not known:
        raise HintprobeError(
            f"{where} has no part {', '.join(unknown) or 'at all'}. It has: {', '.join(known) or 'none'}."
        )
    return [name for name in known if name in wanted or not wanted]


def push(store: ActivationStore, address: str, parts: Sequence[str] = ()) -> list[Sent]:
    """Send parts to an address. A shard is verified before it is sent, and its size there is looked at afterwards.

    Raises:
        HintprobeError: no such part, a damaged shard, or the other side cannot be written.
    """
    remote = Remote.at(address)
    return [_push_part(store, remote, part) for part in _chosen(store.parts(), parts, str(store.path))]


def _push_part(store: ActivationStore, remote: Remote, part: str) -> Sent:
    folder = store.path / part
    check_version(folder, int(read_note(folder).get("version", VERSION)))
    there, sent, n_bytes, skipped = remote.shards(part), 0, 0, 0
    with remote.told():
        remote.fs.makedirs(f"{remote.root}/{part}", exist_ok=True)
    for path in ModelStore(folder).paths():
        try:
            size = path.stat().st_size
            if there.get(path.name) == size:
                skipped += 1
            else:
                verify_shard(path)
                with remote.told():
                    remote.fs.put_file(str(path), remote.path(part, path.name))
                    arrived = int(remote.fs.info(remote.path(part, path.name))["size"])
                if arrived != size:
                    raise HintprobeError(
                        f"{path.name} has {arrived} bytes at {remote.address} and {size} here. Push again."
                    )
                sent, n_bytes = sent + 1, n_bytes + size
        except (GoneShardError, FileNotFoundError):
            continue  # merged into another meanwhile, which is sent too or by the next push
    with remote.told():  # last: a part without its note is not taken for one
        remote.fs.put_file(str(folder / IDENTITY), remote.path(part, IDENTITY))
    return Sent(part, sent, n_bytes, skipped)


def pull(store: ActivationStore, address: str, parts: Sequence[str] = ()) -> list[Sent]:
    """Fetch parts from an address. A shard is verified as a whole before it gets its name here.

    Raises:
        HintprobeError: no such part, a shard there is damaged or half sent, or the folder here cannot be written.
    """
    remote = Remote.at(address)
    return [_pull_part(store, remote, part) for part in _chosen(remote.parts(), parts, address)]


def _pull_part(store: ActivationStore, remote: Remote, part: str) -> Sent:
    note = _note(remote, part)
    folder = store.path / part
    here = {path.name for path in ModelStore(folder).paths()}
    sent, n_bytes, skipped = 0, 0, 0
    with remote.told():
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / IDENTITY).exists():
            _put_in_place(folder / IDENTITY, lambda to: to.write_bytes(note))
    for name, size in sorted(remote.shards(part).items()):
        if name in here:
            skipped += 1
        else:
            with remote.told():
                _put_in_place(folder / name, lambda to, name=name: _fetch(remote, part, name, to))  # type: ignore[misc]
            sent, n_bytes = sent + 1, n_bytes + size
    return Sent(part, sent, n_bytes, skipped)


def _note(remote: Remote, part: str) -> bytes:
    """A part's note, whose identity must be the one that names the part: another model's never gets in."""
    with remote.told():
        data: bytes = remote.fs.cat_file(remote.path(part, IDENTITY), start=0, end=_NOTE_BYTES)
    try:
        note = {str(key): value for key, value in json.loads(data).items()}
        version = int(note["version"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise HintprobeError(
            f"{remote.path(part, IDENTITY)} at {remote.address} is not an identity file of a part ({error})."
        ) from error
    check_version(Path(remote.path(part, IDENTITY)), version)
    identity = {key: value for key, value in note.items() if key not in ("format", "version", "name")}
    if note.get("format") != FORMAT or part_name(identity) != part:
        raise HintprobeError(
            f"The identity of the part {part} at {remote.address} is another than its name says (model "
            f"{note.get('name')}). Nothing of it was taken."
        )
    return data


def _fetch(remote: Remote, part: str, name: str, to: Path) -> None:
    remote.fs.get_file(remote.path(part, name), str(to))
    try:
        verify_shard(to)
        sound = read_index(to).content[:32] + SUFFIX == name
    except HintprobeError:
        sound = False
    if not sound:
        raise HintprobeError(
            f"The shard {name} at {remote.address} is damaged, or still being sent. Nothing from it was taken; push it "
            "again from a store where it is undamaged, then pull again."
        )


def _put_in_place(path: Path, write: Callable[[Path], Any]) -> None:
    temporary = path.with_name(unfinished_name())
    try:
        write(temporary)
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
