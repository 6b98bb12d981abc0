"""Tokens that a model wrote → what a rollout's record says of them."""

from collections.abc import Sequence
from typing import Any

from activations import Completion
from experiments.answers.parser import parse_answer
from experiments.answers.splitting import split_completion
from experiments.engines.base import Answered


def completion_fields(
    tokenizer: Any,
    completion: Completion | Answered,
    prompt_text: str,
    n_options: int,
    seed: int,
    temperature: float,
    options: Sequence[str] = (),
) -> dict[str, Any]:
    """The fields of a :class:`~experiments.records.Rollout` that depend on its completion.

    Args:
        options: texts of the options, so that an answer that spells one out can be read; empty where unknown.
    """
    ids = completion.ids
    text = getattr(completion, "text", None)
    if text is None:
        text = str(tokenizer.decode(list(ids[:-1] if completion.finish_reason == "stop" else ids)))
    readable = completion.finish_reason != "other"
    split = split_completion(text, prompt_text)
    said = text if split.form == "unmarked" else split.answer_text
    return {
        "completion_ids": ids,
        "completion_text": text,
        "cot": split.cot,
        "answer_text": split.answer_text,
        "answer": parse_answer(said, n_options, options) if split.closed and readable else None,
        "thinking": split.thinking,
        "thinking_end": split.closing,
        "answer_span": split.answer,
        "truncated": completion.finish_reason == "length",
        "finish_reason": completion.finish_reason,
        "seed": seed,
        "temperature": temperature,
        "ids_source": getattr(completion, "ids_source", "model"),
        "margins": tuple(round(margin, 4) for margin in completion.margins),
    }
