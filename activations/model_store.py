"""The part of a store that belongs to one model: its shards, what they hold, writing and reading."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from activations.entries import Entries, Entry
from activations.errors import HintprobeError
from activations.index import StoreIndex
from activations.shard import SUFFIX, DamagedShardError, GoneShardError, write_shard
from activations.shard_values import Shard, verify_shard
from activations.site_rows import SiteRows
from activations.sites import Site
from activations.users import mark, renew

if TYPE_CHECKING:
    from torch import Tensor

IDENTITY = "identity.json"


def size_text(n_bytes: int) -> str:
    """Bytes for people."""
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:,.1f} MB"


@dataclass
class ModelStore:
    """The part of a store that belongs to one model identity."""

    folder: Path
    _shards: dict[Path, Shard] = field(default_factory=dict, repr=False)
    _index: StoreIndex | None = field(default=None, repr=False)
    _mark: Path | None = field(default=None, repr=False)

    def hold(self) -> None:
        """Mark the folder as in use while this object lives, so that nobody deletes it meanwhile."""
        self._mark = self._mark or mark(self.folder, self)

    def paths(self) -> list[Path]:
        """The shards that are there now."""
        return sorted(self.folder.glob(f"*{SUFFIX}"))

    def every_path(self) -> Iterator[Path]:
        """Each shard once, those included that come while one goes through them: another process may be merging."""
        seen: set[Path] = set()
        while new := [path for path in self.paths() if path not in seen]:
            seen.update(new)
            yield from new

    def refresh(self) -> None:
        """Take note of shards that came or went since the last look, by this process or another.

        Raises:
            HintprobeError: a shard is damaged.
        """
        renew(self._mark)
        while (paths := self.paths()) != list(self._shards):
            try:
                self._shards = {path: self._shards.get(path) or Shard(path) for path in paths}
            except GoneShardError:
                continue  # it was merged into another between the look and the reading: look again
            self._index = None

    @property
    def index(self) -> StoreIndex:
        """Where each entry lies, as of the last refresh."""
        if self._index is None:
            self._index = StoreIndex([shard.index for shard in self._shards.values()])
        return self._index

    @property
    def sites(self) -> list[Site]:
        """Sites that at least one shard holds, as of the last refresh."""
        return sorted({Site.parse(name) for shard in self._shards.values() for name in shard.index.sites})

    def has(self, site: Site, entry: Entry) -> bool:
        """Is this entry there (as of the last refresh)?"""
        return bool(self.index.locate(str(site), Entries.of([entry])).found.all())

    def write(
        self, entries: Entries | Sequence[Entry], values: "Iterable[tuple[Site, Tensor]] | dict[Site, Tensor]"
    ) -> Path:
        """Add one shard; it is on disk when this returns.

        Args:
            values: per site ``[entry, *feature]``.

        Raises:
            HintprobeError: the folder cannot be written, or is full.
        """
        entries = entries if isinstance(entries, Entries) else Entries.of(entries)
        if isinstance(values, dict):
            values = sorted(values.items(), key=lambda pair: str(pair[0]))
        renew(self._mark)
        try:
            return write_shard(self.folder, entries, values)
        except OSError as error:
            raise self._unwritable(os.strerror(error.errno) if error.errno else str(error)) from error

    def _unwritable(self, reason: str) -> HintprobeError:
        return HintprobeError(
            f"Activations could not be written to {self.folder}: {reason}. Activations written before are safe. Free "
            "space or choose another place with `cache:` in the config, then run again."
        )

    def check_room(self, n_bytes: int) -> None:
        """Refuse what cannot be written, before anything is computed.

        Raises:
            HintprobeError: the folder is not writable, or the disk is too small; the message has both figures.
        """
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from error
        if not os.access(self.folder, os.W_OK):
            raise self._unwritable("permission denied or read-only")
        if n_bytes > free:
            raise HintprobeError(
                f"This capture needs {size_text(n_bytes)} on disk, and {self.folder} has {size_text(free)} free. "
                "Nothing was computed. Free space, choose another place with `cache:` in the config, or ask for fewer "
                "rows, positions or layers."
            )

    def rows(self, site: Site, entries: Entries | Sequence[Entry]) -> SiteRows:
        """Activations of a site, aligned with ``entries``, to be read as they are needed.

        Raises:
            HintprobeError: an entry is not in the store, or a shard is damaged.
        """
        entries = entries if isinstance(entries, Entries) else Entries.of(entries)
        while True:
            try:
                return self._rows(site, entries)
            except DamagedShardError:
                raise
            except HintprobeError:
                before = list(self._shards)
                self.refresh()  # another process may have merged the shards meanwhile, even several times
                if list(self._shards) == before:
                    raise

    def _rows(self, site: Site, entries: Entries) -> SiteRows:
        if not len(entries):
            raise HintprobeError(f"No positions of {site} were asked for.")
        where = self.index.locate(str(site), entries)
        lacking = int((~where.found).sum())
        if lacking:
            raise HintprobeError(
                f"{lacking} of {len(entries)} positions of {site} are not in the store {self.folder}. Run the capture "
                "stage first."
            )
        used, part = np.unique(where.shard, return_inverse=True)
        shards = list(self._shards.values())
        return SiteRows([shards[number].site(str(site)) for number in used.tolist()], part, where.slot)

    def read(self, site: Site, entries: Entries | Sequence[Entry]) -> "Float[Tensor, 'entry *feature']":
        """Activations of a site, aligned with ``entries``, in the dtype they were captured in.

        Raises:
            HintprobeError: an entry is not in the store, or its shard is damaged.
        """
        return self.rows(site, entries).torch()

    def shards(self) -> list[Shard]:
        """The shards, as of the last refresh."""
        return list(self._shards.values())

    def only(self, shards: Sequence[Shard]) -> "ModelStore":
        """The same store as if it held these shards alone."""
        return ModelStore(self.folder, {shard.path: shard for shard in shards})

    def verify(self) -> int:
        """Recompute the checksums of all shards; returns how many there are.

        Raises:
            HintprobeError: a shard is damaged; the message names it.
        """
        n_whole = 0
        for path in self.every_path():
            with suppress(GoneShardError):  # merged into another meanwhile
                verify_shard(path)
                n_whole += 1
        return n_whole


def read_note(folder: Path) -> dict[str, Any]:
    """Whose activations a part holds; empty where the note is lost, which concerns no reader.

    Raises:
        HintprobeError: the note is there and is not one.
    """
    path = folder / IDENTITY
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        return {**note, "version": int(note["version"])}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError, TypeError, KeyError) as error:
        raise HintprobeError(
            f"{path} does not say whose activations this folder holds ({error}). They are untouched; delete this one "
            "file, and the next capture with the model writes it again."
        ) from error
