"""The folder of one training: whose it is, its checkpoints, and what was logged at each step."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from experiments.records.tables import RecordTable, read_json, write_json
from experiments.records.trajectory import StepRow
from experiments.training.config import TrainingConfig

_ONLY_TO_GO_ON = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin")
"""Files of a checkpoint that only a resumed training reads."""


@dataclass(frozen=True)
class Workplace:
    """Where a training keeps what it makes."""

    folder: Path

    @property
    def checkpoints(self) -> Path:
        """One folder per checkpoint, ``checkpoint-STEP``."""
        return self.folder / "checkpoints"

    @property
    def record(self) -> Path:
        """What is trained, and how far it has come."""
        return self.folder / "training.json"

    @property
    def steps(self) -> RecordTable[StepRow]:
        """What was logged, step by step."""
        return RecordTable(self.folder / "steps.jsonl", StepRow)

    def claim(self, config: TrainingConfig, base: str) -> dict[str, Any]:
        """Take the folder for a training, or find it taken for the same one; more steps of the same are the same.

        Args:
            base: fingerprint of the model at step 0.

        Raises:
            HintprobeError: it holds another training, or cannot be written.
        """
        wanted = {"decides": what_decides(config), "base": base}
        if self.record.exists():
            record: dict[str, Any] = read_json(self.record)
            if {key: record.get(key) for key in wanted} != wanted:
                raise HintprobeError(
                    f"The folder {self.folder} holds a training of another configuration or model. Give the run "
                    "another `name`, or delete the folder."
                )
            return record
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            write_json(self.record, {**wanted, "steps_done": 0})
        except OSError as error:
            raise HintprobeError(
                f"The folder {self.folder} cannot be written: {error.strerror or error}. Choose another `cache`."
            ) from error
        return {**wanted, "steps_done": 0}

    def found(self) -> dict[int, Path]:
        """Checkpoints that were written to their end, by step; one cut short by a stop is removed."""
        whole: dict[int, Path] = {}
        for path in self.checkpoints.glob("checkpoint-*"):
            if (path / "trainer_state.json").exists():  # the trainer writes it last
                whole[int(path.name.rpartition("-")[2])] = path
            else:
                shutil.rmtree(path)
        return dict(sorted(whole.items()))

    def slim(self, keep: int | None) -> None:
        """Drop what only a resumed training reads from every checkpoint but the one of step ``keep``."""
        for step, path in self.found().items():
            if step != keep:
                for name in _ONLY_TO_GO_ON:
                    (path / name).unlink(missing_ok=True)


def what_decides(config: TrainingConfig) -> dict[str, Any]:
    """Everything that the weights at a step depend on, beside the model."""
    aside = {"steps", "save_every", "micro", "gradient_checkpointing", "vllm"}
    measure = config.measure
    return {
        "train": config.train.model_dump(mode="json", exclude=aside),
        "seed": config.seed,
        "questions": measure.questions.model_dump(mode="json"),
        "shots": measure.hints.shots,
        "wordings": measure.hints.wordings,
        "prompt": [measure.generate.system, measure.generate.instruction, measure.generate.template_options],
    }
