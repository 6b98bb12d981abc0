"""A cache of activations, found by content: the same model, tokens and site are never computed twice."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from activations.entries import Entries, Entry
from activations.errors import HintprobeError
from activations.index import StoreIndex
from activations.models import LoadedModel
from activations.rows import SiteRows
from activations.shard import FORMAT, SUFFIX, VERSION, check_version, unfinished_name, write_shard
from activations.shard_values import Shard, verify_shard
from activations.sites import Site

if TYPE_CHECKING:
    from activations.view import ActivationView

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

    def paths(self) -> list[Path]:
        """The shards that are there now."""
        return sorted(self.folder.glob(f"*{SUFFIX}"))

    def refresh(self) -> None:
        """Take note of shards that came or went since the last look, by this process or another.

        Raises:
            HintprobeError: a shard is damaged.
        """
        paths = self.paths()
        if paths != list(self._shards):
            self._shards = {path: self._shards.get(path) or Shard(path) for path in paths}
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
        self, entries: Entries | Sequence[Entry], values: Iterable[tuple[Site, Tensor]] | dict[Site, Tensor]
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
        try:
            return write_shard(self.folder, entries, values)
        except OSError as error:
            raise self._unwritable(os.strerror(error.errno) if error.errno else str(error)) from error

    def _unwritable(self, reason: str) -> HintprobeError:
        return HintprobeError(
            f"Activations could not be written to {self.folder}: {reason}. What was written before is safe. Free space "
            "or choose another place with `cache:` in the config, then run again."
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
        try:
            return self._rows(site, entries)
        except HintprobeError:
            before = list(self._shards)
            self.refresh()  # another process may have merged the shards meanwhile
            if list(self._shards) == before:
                raise
            return self._rows(site, entries)

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

    def read(self, site: Site, entries: Entries | Sequence[Entry]) -> Float[Tensor, "entry *feature"]:
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
        paths = self.paths()
        for path in paths:
            verify_shard(path)
        return len(paths)


def _write_note(path: Path, note: dict[str, Any]) -> None:
    """Write by renaming: another process may be reading, or writing the same."""
    temporary = path.with_name(unfinished_name())
    try:
        temporary.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def part_name(identity: dict[str, str]) -> str:
    """Name of the folder for a model identity and this version of the format."""
    text = json.dumps({**identity, "version": VERSION}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ActivationStore:
    """A folder of model stores."""

    root: Path | str

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.root)

    def of(self, loaded: LoadedModel) -> ModelStore:
        """The part that belongs to this model, made if need be.

        Raises:
            HintprobeError: the folder cannot be written.
        """
        folder = self.path / part_name(loaded.identity)
        note = folder / IDENTITY
        try:
            if not note.exists():
                folder.mkdir(parents=True, exist_ok=True)
                _write_note(note, {"format": FORMAT, "version": VERSION, "name": loaded.name, **loaded.identity})
        except OSError as error:
            raise HintprobeError(
                f"The activation store {self.root} cannot be written: {error.strerror or error}. Choose another place "
                "with `cache:` in the config."
            ) from error
        return self.named(folder.name)

    def named(self, name: str) -> ModelStore:
        """The part in the folder ``name``, without loading the model it belongs to.

        Raises:
            HintprobeError: there is no such folder, or it is of another version of the format.
        """
        folder = self.path / name
        if not folder.is_dir():
            raise HintprobeError(f"The activation store {self.root} has no part {name!r}. Run the capture stage again.")
        check_version(folder, int(read_note(folder).get("version", VERSION)))
        store = ModelStore(folder)
        store.refresh()
        return store

    def capture(
        self,
        loaded: LoadedModel,
        rows: Sequence[Sequence[int]],
        positions: Mapping[str, Sequence[int | None]],
        sites: Sequence[Site] | None = None,
        row_ids: Sequence[str] | None = None,
        **options: Any,
    ) -> "ActivationView":
        """Make sure that named positions of these rows are there, computing what is missing, and give a view of them.

        Args:
            rows: token ids of each row.
            positions: per name, the token index in each row, or None where a row has no such position.
            sites: the residual stream of every layer if not given.
            row_ids: the rows' names; their numbers if not given.
            options: further arguments of :func:`activations.fill`, such as ``token_budget`` and ``backend``.

        Raises:
            HintprobeError: see :func:`activations.fill`.
        """
        from activations.planner import fill
        from activations.sites import decoder_blocks, residual_sites
        from activations.view import ActivationView

        view = ActivationView.of(self.of(loaded), rows, positions, row_ids)
        wanted = residual_sites(len(decoder_blocks(loaded.model))) if sites is None else sites
        fill(loaded, view.store, rows, list(zip(*positions.values(), strict=True)), wanted, **options)
        return view

    def parts(self) -> list[str]:
        """Names of all parts."""
        return sorted(note.parent.name for note in self.path.glob(f"*/{IDENTITY}"))


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
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise HintprobeError(
            f"{path} does not say whose activations lie beside it ({error}). They are untouched; delete this one file, "
            "and the next capture with the model writes it again."
        ) from error
