"""Who answers a judge's questions: an OpenAI-compatible server, Anthropic's, or a model loaded here."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from activations.errors import HintprobeError
from experiments.config import JudgeModel
from experiments.config.endpoint import Endpoint
from experiments.engines.clients import Client, EndpointError, Usage
from experiments.engines.replies import Reply
from experiments.records import Record
from experiments.records.files import is_sound, read_json, signed, write_json

Job = TypeVar("Job")
Result = TypeVar("Result")

UNFINISHED = ("length", "content_filter", "other", "refusal", "max_tokens")
"""Finish reasons of replies that are no answer."""
_REFUSALS = (400, 415, 422, 501)
ANTHROPIC_URL, ANTHROPIC_KEY = "https://api.anthropic.com", "ANTHROPIC_API_KEY"


class Asker(Protocol):
    """Answers one chat at a time; several at once where ``each`` is given many."""

    endpoint: Endpoint
    usage: Usage

    def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int,
        temperature: float | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Reply:
        """One answer.

        Raises:
            EndpointError: no usable one.
        """
        ...

    def each(self, jobs: Iterable[Job], call: Callable[[Job], Result], keep: Callable[[Job, Result], None]) -> None:
        """Run ``call`` over jobs; ``keep`` sees each result."""
        ...


class AnthropicClient(Client):
    """The same client in front of Anthropic's own API."""

    def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int,
        temperature: float | None = None,
        seed: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Reply:
        """One message; the system turn goes where that API wants it. Its library takes no temperature any more.

        Raises:
            EndpointError: no usable reply after all retries.
            BudgetSpentError: the budget is used up.
        """
        system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
        turns = [dict(m) for m in messages if m["role"] != "system"]
        return self._ask(lambda: self._create(system, turns, max_tokens), _read_anthropic)

    def _create(self, system: str, turns: list[dict[str, str]], max_tokens: int) -> Any:
        import anthropic

        try:
            return self._openai.messages.create(
                model=self.endpoint.model, system=system, messages=turns, max_tokens=max_tokens
            )
        except anthropic.APIStatusError as error:
            raise self._error(f"answered {error.status_code}: {error.message[:240]}", error.status_code) from error
        except anthropic.APIError as error:
            raise self._error(f"could not be reached or read: {error.message[:240]}") from error

    def _connect(self) -> Any:
        try:
            from anthropic import Anthropic
        except ImportError as error:
            raise HintprobeError(
                "A judge with `provider: anthropic` needs the anthropic library; install it with "
                "`pip install 'hintprobe[anthropic]'`."
            ) from error
        limits = self.endpoint
        return Anthropic(
            base_url=limits.base_url, api_key=self._key(), max_retries=limits.retries, timeout=limits.timeout
        )


def _read_anthropic(answered: Any) -> Reply:
    text = "".join(block.text for block in answered.content if block.type == "text")
    return Reply(
        text=text,
        reasoning=None,
        finish_reason="length" if answered.stop_reason == "max_tokens" else "stop",
        model=answered.model,
        prompt_tokens=answered.usage.input_tokens,
        completion_tokens=answered.usage.output_tokens,
    )


def open_asker(model: JudgeModel) -> Asker:
    """The asker of a configured judge.

    Raises:
        HintprobeError: no model or address, no key, or no library.
    """
    endpoint = model.endpoint
    if model.provider == "huggingface":
        from experiments.judges.local import LocalModel

        if not endpoint.model:
            raise HintprobeError("A judge with `provider: huggingface` needs `endpoint.model`, a folder or hub id.")
        return LocalModel(endpoint)
    if model.provider == "openai":
        return Client(endpoint)
    filled = {"base_url": endpoint.base_url or ANTHROPIC_URL, "api_key_env": endpoint.api_key_env or ANTHROPIC_KEY}
    return AnthropicClient(endpoint.model_copy(update=filled))


@dataclass
class KeptAnswers:
    """Answers by content: the same question to the same model is asked once, in any run that shares the folder."""

    folder: Path
    asker: Asker
    hits: int = 0
    refused: set[str] = field(default_factory=set)

    def ask(
        self, messages: Sequence[Mapping[str, str]], model: JudgeModel, schema: type[Record] | None = None
    ) -> Reply:
        """The kept answer, or a new one; kept unless it is empty, cut or filtered, which another try may mend.

        Args:
            schema: the record whose JSON schema the server is to hold the answer to.

        Raises:
            EndpointError: no usable answer; nothing is kept then.
        """
        extra: dict[str, Any] = dict(model.sampling)
        if schema is not None:
            described = {"name": schema.__name__.lower(), "schema": schema.model_json_schema(), "strict": True}
            extra["response_format"] = {"type": "json_schema", "json_schema": described}
        question = {
            "model": self.asker.endpoint.model,
            "messages": [dict(m) for m in messages],
            "max_tokens": model.max_tokens,
            **({"temperature": model.temperature} if model.temperature != 0 else {}),
            **({"extra": extra} if extra else {}),
        }
        name = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
        path = self.folder / name[:2] / f"{name}.json"
        if path.exists():
            try:
                kept = read_json(path)
                if is_sound(kept):
                    self.hits += 1
                    return Reply(str(kept["text"]), None, kept["finish_reason"], str(kept["model"]))
            except (HintprobeError, KeyError):
                path.unlink(missing_ok=True)  # a file cut by a full disk is no answer
        reply = self._asked(messages, model, extra)
        if reply.text.strip() and reply.finish_reason not in UNFINISHED:
            path.parent.mkdir(parents=True, exist_ok=True)
            found = {"text": reply.text, "finish_reason": reply.finish_reason, "model": reply.model}
            write_json(path, signed(found))
        return reply

    def _asked(self, messages: Sequence[Mapping[str, str]], model: JudgeModel, extra: Mapping[str, Any]) -> Reply:
        """Ask; a part of the request that the server refuses by name is left out, now and from then on."""
        while True:
            sent = {key: value for key, value in extra.items() if key not in self.refused}
            turns = without_system(messages) if "system" in self.refused else messages
            temperature = None if "temperature" in self.refused else model.temperature
            try:
                return self.asker.chat(turns, max_tokens=model.max_tokens, temperature=temperature, extra=sent)
            except EndpointError as error:
                parts = {*(["temperature"] if temperature is not None else []), *sent, "system"} - self.refused
                named = {part for part in parts if re.search(rf"\b{re.escape(part)}\b", str(error))}
                if error.status not in _REFUSALS or not named:
                    raise
                self.refused |= named


def without_system(messages: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """The same chat with what the system turn says at the head of the first user turn."""
    said = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
    turns = [dict(m) for m in messages if m["role"] != "system"]
    if said and turns:
        turns[0]["content"] = f"{said}\n\n{turns[0]['content']}"
    return turns


__all__ = ["AnthropicClient", "Asker", "EndpointError", "KeptAnswers", "open_asker"]
