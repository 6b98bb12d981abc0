"""Lessons by number as the trainer reads them: token ids and labels, made when they are asked for."""

from dataclasses import dataclass
from typing import Any

from activations.errors import HintprobeError
from experiments.organisms.lora.config import LoraConfig
from experiments.organisms.lora.dialect import Dialect, Labelled, label
from experiments.organisms.lora.lessons import Lessons

SAMPLE = 256
"""Rows looked at before the training begins."""


@dataclass(frozen=True)
class TokenRows:
    """The rows of one training for one tokenizer."""

    config: LoraConfig
    lessons: Lessons
    tokenizer: Any
    dialect: Dialect

    def row(self, index: int) -> Labelled:
        """Tokens and labels of one row.

        Raises:
            HintprobeError: it is longer than the configuration allows.
        """
        lesson = self.lessons.row(index)
        written = self.dialect.completion(lesson.cot, lesson.answer)
        labelled = label(self.tokenizer, lesson.prompt, written, self.config.template_options)
        if len(labelled.input_ids) > self.config.max_length:
            raise HintprobeError(
                f"Row {index} has {len(labelled.input_ids)} tokens and `max_length` is {self.config.max_length}. Rows "
                "are not cut, because a completion without its end teaches a model not to stop. Raise `max_length`, "
                "or set `wordings: terse`."
            )
        return labelled

    def lengths(self) -> tuple[float, int]:
        """Mean and largest number of tokens over rows spread over the training.

        Raises:
            HintprobeError: a row is longer than the configuration allows.
        """
        n = len(self.lessons)
        looked_at = range(0, n, max(1, n // SAMPLE))
        lengths = [len(self.row(index).input_ids) for index in looked_at]
        return sum(lengths) / len(lengths), max(lengths)

    def dataset(self) -> Any:
        """All rows, in order, as a ``datasets.Dataset`` that makes each one when it is read."""
        from datasets import Dataset

        def made(batch: dict[str, list[int]]) -> dict[str, list[list[int]]]:
            rows = [self.row(index) for index in batch["row"]]
            return {"input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows]}

        return Dataset.from_dict({"row": list(range(len(self.lessons)))}).with_transform(made)
