"""Finished parts of a stage that takes long: a stage that was stopped goes on where it was."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from activations.errors import HintprobeError
from experiments.records import Record
from experiments.records.files import is_sound, signed
from experiments.records.tables import read_json, write_json

Part = TypeVar("Part", bound=Record)


class FinishedParts:
    """One file for each part, written whole, with a checksum; what is damaged is made again.

    A part must not depend on which parts were made before it: its random numbers come from a stream of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "finished"

    def made(self, name: str, kind: type[Part], make: Callable[[], Part]) -> Part:
        """The part of this name as it was made before, or made now and kept.

        Args:
            name: unique in the stage, fit for a file's name.
        """
        path = self.folder / f"{name}.json"
        if (kept := self._kept(path, kind)) is not None:
            return kept
        part = make()
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(path, signed({"part": part.model_dump(mode="json")}))
        return part

    def _kept(self, path: Path, kind: type[Part]) -> Part | None:
        if not path.exists():
            return None
        try:
            found = read_json(path)
            return kind.model_validate(found["part"]) if is_sound(found) else None
        except (HintprobeError, ValidationError, KeyError):
            return None

    def clear(self) -> None:
        """Remove the parts, once what they make up is written."""
        shutil.rmtree(self.folder, ignore_errors=True)
