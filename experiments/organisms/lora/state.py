"""The folder of one fine-tuning: what is finished in it, and whether it belongs to the configuration at hand."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from experiments.organisms.lora.config import LoraConfig
from experiments.records.tables import read_json, write_json


@dataclass(frozen=True)
class Workplace:
    """Where checkpoints, adapter, merged model and card lie."""

    folder: Path

    @property
    def checkpoints(self) -> Path:
        """States of an unfinished training."""
        return self.folder / "checkpoints"

    @property
    def adapter(self) -> Path:
        """The trained adapter, in the format of ``peft``."""
        return self.folder / "adapter"

    @property
    def merged(self) -> Path:
        """The merged model, in the Hugging Face format."""
        return self.folder / "merged"

    @property
    def record(self) -> Path:
        """What was trained and how it went."""
        return self.folder / "lora.json"

    def claim(self, config: LoraConfig, base: str) -> dict[str, Any]:
        """Take the folder for a training, or find it taken for the same one.

        Args:
            base: fingerprint of the model that it starts from.

        Returns:
            The record that lies there.

        Raises:
            HintprobeError: it holds another training, or cannot be written to.
        """
        wanted = {"config": config.what_decides(), "base": base}
        if self.record.exists():
            record: dict[str, Any] = read_json(self.record)
            if {key: record.get(key) for key in wanted} != wanted:
                raise HintprobeError(
                    f"The folder {self.folder} holds a training of another configuration or model. Give another `out`, "
                    "or delete the folder."
                )
            return record
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.record, wanted)
        except OSError as error:
            raise HintprobeError(
                f"The folder {self.folder} cannot be written: {error.strerror or error}. Choose another `out`."
            ) from error
        return wanted

    def last_checkpoint(self) -> Path | None:
        """The latest checkpoint that was written to its end; one cut short by a stop is removed."""
        found = sorted(self.checkpoints.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
        while found:
            latest = found.pop()
            if (latest / "trainer_state.json").exists():  # the trainer writes it last
                return latest
            shutil.rmtree(latest)
        return None


def write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Write a folder beside its place, and put it there when it is whole."""
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    write(unfinished)
    unfinished.rename(folder)
