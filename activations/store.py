"""A cache of activations, found by content: the same model, tokens and site are never computed twice."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from activations.model_store import IDENTITY, ModelStore, read_note
from activations.models import LoadedModel
from activations.shard import FORMAT, VERSION, check_version
from activations.sites import Site, decoder_blocks, residual_sites
from activations.users import unfinished_name
from activations.view import ActivationView


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
        store.hold()
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
    ) -> ActivationView:
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

        view = ActivationView.of(self.of(loaded), rows, positions, row_ids)
        wanted = residual_sites(len(decoder_blocks(loaded.model))) if sites is None else sites
        fill(loaded, view.store, rows, list(zip(*positions.values(), strict=True)), wanted, **options)
        return view

    def parts(self) -> list[str]:
        """Names of all parts."""
        return sorted(note.parent.name for note in self.path.glob(f"*/{IDENTITY}"))
