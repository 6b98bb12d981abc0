"""Logs of Inspect (`.eval`, `.json`) as rows: one per sample and epoch, for :mod:`experiments.transcripts.fields`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from experiments.transcripts.fields import TranscriptMap

INSPECT_MAP = TranscriptMap.model_validate(
    {
        "id": ["id", "epoch"],
        "kind": "metadata.kind",
        "target": "metadata.target",
        "prompt": "prompt",
        "hint_text": "metadata.hint_text",
        "source": "metadata.source",
        "plain_prompt": "metadata.plain_prompt",
        "cot": "reasoning",
        "answer_text": "answer_text",
        "direction": "metadata.direction",
        "gold": "gold",
        "n_options": "choices",
        "group": "metadata.group",
        "unhinted_answer": "metadata.unhinted_answer",
        "unhinted_text": "metadata.unhinted_text",
        "truncated": "truncated",
        "error": "error",
    }
)
"""Used where no map is given: what is said of the hint stands in each sample's metadata."""


def inspect_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The samples of a log, numbered from 1.

    A row holds id, epoch, prompt, completion, reasoning (parts that the API marked as such, or think tags),
    answer_text, gold, choices, truncated, error, model, task and metadata.

    Raises:
        HintprobeError: inspect-ai is not installed, or the file is no log with samples.
    """
    try:
        from inspect_ai.log import read_eval_log
    except ImportError as error:
        raise HintprobeError(
            "Reading Inspect logs needs inspect-ai; install it with `pip install 'hintprobe[inspect]'`."
        ) from error
    try:
        log = read_eval_log(str(path))
    except Exception as error:  # any of a dozen, for a file that is no log
        raise HintprobeError(f"{path} could not be read as an Inspect log: {type(error).__name__}: {error}.") from error
    if not log.samples:
        raise HintprobeError(f"The Inspect log {path} holds no sample.")
    for number, sample in enumerate(log.samples, 1):
        yield number, {**_sample_row(sample), "model": log.eval.model, "task": log.eval.task}


def completion_parts(output: Any) -> tuple[str | None, str, bool]:
    """Chain of thought and visible answer of an output of Inspect, and whether the thinking was closed."""
    from experiments.answers.thinking import split_marked

    message = output.choices[0].message if output.choices else None
    reasoning, answer = _parts(message) if message is not None else (None, "")
    if reasoning is not None:
        return reasoning, answer.strip(), True
    split = split_marked(answer)
    return split.cot, split.answer_text.strip(), split.closed


def _sample_row(sample: Any) -> dict[str, Any]:
    reasoning, answer, closed = completion_parts(sample.output)
    stop = sample.output.choices[0].stop_reason if sample.output.choices else "unknown"
    targets = [sample.target] if isinstance(sample.target, str) else list(sample.target)
    return {
        "id": str(sample.id),
        "epoch": sample.epoch,
        "prompt": _seen(sample),
        "completion": sample.output.completion,
        "reasoning": reasoning,
        "answer_text": answer,
        "gold": targets[0] if targets else None,
        "choices": sample.choices or (sample.metadata or {}).get("n_options"),
        "truncated": stop in ("max_tokens", "model_length") or not closed,
        "error": sample.error.message if sample.error else None,
        "metadata": dict(sample.metadata or {}),
    }


def _seen(sample: Any) -> str:
    """The prompt that the model saw: what solvers added counts, and the sample's own input is only where it began."""
    messages = list(sample.messages or ())
    while messages and messages[-1].role != "assistant":
        messages.pop()
    before = messages[:-1] if messages else []
    if before:
        return "\n\n".join(message.text for message in before)
    return sample.input if isinstance(sample.input, str) else "\n\n".join(message.text for message in sample.input)


def _parts(message: Any) -> tuple[str | None, str]:
    """Reasoning and visible text of a message; None where nothing is marked as reasoning.

    Of reasoning that the provider has encrypted, its summary is read where there is one.
    """
    if isinstance(message.content, str):
        return None, message.content
    thoughts = []
    for part in message.content:
        if part.type == "reasoning":
            thoughts.append(getattr(part, "summary", None) if getattr(part, "redacted", False) else part.reasoning)
    text = "\n".join(part.text for part in message.content if part.type == "text")
    kept = [thought for thought in thoughts if thought]
    return ("\n".join(kept) if kept else None), text
