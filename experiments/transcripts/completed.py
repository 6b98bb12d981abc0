"""Transcripts that a saved probe can score: the prompt exactly as the model read it, and what it wrote."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from activations.errors import HintprobeError
from activations.spans import encode
from experiments.answers.parser import parse_answer
from experiments.answers.splitting import split_completion
from experiments.prompts.chat import render_chat
from experiments.records import Message, Prompt, Rollout
from experiments.transcripts.record import first_problem, numbered_lines


class CompletedTranscript(BaseModel):
    """A prompt with its completion; other fields of a line are passed over, so that ``rollouts.jsonl`` will do."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(description="unique name; scores carry it")
    prompt_text: str | None = Field(None, description="the prompt as the chat template wrote it")
    messages: tuple[Message, ...] = Field((), description="chat turns, in place of prompt_text; ends with the user's")
    completion_text: str = Field(description="what the model wrote, think tags included")
    places: dict[str, tuple[int, int]] = Field(
        default_factory=dict,
        description="characters of prompt_text of `hint`, `pointer` and `question`, for probes that read there",
    )
    hint_text: str | None = Field(None, description="the hint's words, in place of places.hint")
    completion_ids: tuple[int, ...] = Field((), description="token ids of the completion, where they are known")
    finish_reason: str = Field("length", description="stop: the completion_ids end with an end token")
    n_options: int = Field(10, description="options of the question", ge=2, le=10)

    @model_validator(mode="before")
    @classmethod
    def _short_name(cls, data: Any) -> Any:
        """Accept `completion` for `completion_text`."""
        if isinstance(data, Mapping) and "completion" in data and "completion_text" not in data:
            return {**data, "completion_text": data["completion"]}
        return data

    @model_validator(mode="after")
    def _has_prompt(self) -> "CompletedTranscript":
        if self.prompt_text is None and not self.messages:
            raise ValueError("a transcript needs prompt_text or messages")
        return self


class OpenTranscript(CompletedTranscript):
    """A prompt, with or without a completion; an empty one is still to be written."""

    completion_text: str = Field("", description="what the model wrote; empty: it is to be written")


def read_completed(path: Path, form: type[CompletedTranscript] = CompletedTranscript) -> list[CompletedTranscript]:
    """Read transcripts from JSON lines (``.gz`` too).

    Args:
        form: what a line must hold.

    Raises:
        HintprobeError: the file is missing or empty, a line is not a transcript, or an id comes twice.
    """
    found: dict[str, CompletedTranscript] = {}
    for number, line in numbered_lines(path):
        try:
            transcript = form.model_validate_json(line)
        except ValidationError as error:
            raise HintprobeError(
                f"Line {number} of {path} cannot be scored: {first_problem(error)}. Expected one JSON object a line "
                "with id, prompt_text (or messages) and completion."
            ) from error
        if transcript.id in found:
            raise HintprobeError(f"Line {number} of {path} repeats the id {transcript.id!r}; every line needs its own.")
        found[transcript.id] = transcript
    if not found:
        raise HintprobeError(f"The file {path} holds no transcript. Expected one JSON object a line.")
    return list(found.values())


def prompt_of(tokenizer: Any, transcript: CompletedTranscript) -> str:
    """The prompt as the model reads it.

    Raises:
        HintprobeError: the chat template cannot write the messages.
    """
    if transcript.prompt_text is not None:
        return transcript.prompt_text
    return render_chat(tokenizer, Prompt(messages=transcript.messages, spans={})).encoded.text


def as_rollout(tokenizer: Any, transcript: CompletedTranscript) -> Rollout:
    """The record that positions are found in.

    Raises:
        HintprobeError: the chat template cannot write the messages.
    """
    prompt = Prompt(messages=transcript.messages, spans={})
    text = prompt_of(tokenizer, transcript)
    completion = transcript.completion_text
    split = split_completion(completion, text)
    return Rollout(
        id=transcript.id,
        item_id=transcript.id,
        condition="hinted",
        index=0,
        prompt=prompt,
        prompt_text=text,
        prompt_ids=encode(tokenizer, text).ids,
        completion_ids=transcript.completion_ids or encode(tokenizer, completion).ids,
        completion_text=completion,
        cot=split.cot,
        answer_text=split.answer_text,
        answer=parse_answer(split.answer_text, transcript.n_options) if split.closed else None,
        thinking=split.thinking,
        thinking_end=split.closing,
        answer_span=split.answer,
        truncated=False,
        finish_reason="stop" if transcript.completion_ids and transcript.finish_reason == "stop" else "length",
        seed=0,
        temperature=0.0,
        margins=(),
        places=_places(transcript, text),
        ids_source="model" if transcript.completion_ids else "retokenised",
    )


def _places(transcript: CompletedTranscript, text: str) -> dict[str, tuple[int, int]]:
    """The places given, and the hint's where its words stand in the prompt exactly once."""
    places = dict(transcript.places) if transcript.prompt_text is not None else {}
    hint = transcript.hint_text
    if hint and "hint" not in places and text.count(hint) == 1:
        at = text.index(hint)
        places["hint"] = (at, at + len(hint))
    return places
