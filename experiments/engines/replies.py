"""What a server answered, read field by field: what it did not give is None, never assumed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One completion of an endpoint.

    Attributes:
        text: the visible text.
        reasoning: the chain of thought, where the server parts it from the text itself.
        finish_reason: as the server words it; ``stop`` and ``length`` are the usual ones.
        model: the model that the server says has answered.
        prompt_tokens: as the server counts them; None where it does not.
        completion_tokens: the same for the completion.
        prompt_ids: token ids of the prompt, where the server returns them.
        completion_ids: token ids of the completion, where the server returns them.
        logprobs: log-probability of each completion token, where the server returns them.
        margins: difference of the two best log-probabilities at each completion token, nats.
    """

    text: str
    reasoning: str | None
    finish_reason: str | None
    model: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_ids: tuple[int, ...] | None = None
    completion_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    margins: tuple[float, ...] | None = None


def read_chat(answered: Any) -> Reply:
    """A reply of ``/chat/completions``.

    Raises:
        AttributeError, IndexError, TypeError, ValueError: it is none.
    """
    choice = answered.choices[0]
    message = choice.message
    content = getattr(choice.logprobs, "content", None) if choice.logprobs is not None else None
    chosen, tops = _chat_scores(content or ())
    return Reply(
        text=_text(message.content, allow_none=True),
        reasoning=_reasoning(message),
        logprobs=tuple(chosen) if chosen else None,
        margins=_margins(tops, chosen),
        **_common(answered, choice),
    )


def read_completion(answered: Any) -> Reply:
    """A reply of ``/completions``.

    Raises:
        AttributeError, IndexError, TypeError, ValueError: it is none.
    """
    choice = answered.choices[0]
    chosen, tops = _scores(choice.logprobs)
    return Reply(
        text=_text(choice.text),
        reasoning=None,
        logprobs=tuple(chosen) if chosen else None,
        margins=_margins(tops, chosen),
        **_common(answered, choice),
    )


def _scores(given: Any) -> tuple[list[float], list[list[float]]]:
    """Log-probability of each token taken, and of its alternatives; both empty where the server tells none."""
    content = getattr(given, "content", None)
    if content:  # llama.cpp answers with the chat API's form here too
        return _chat_scores(content)
    chosen = list(getattr(given, "token_logprobs", None) or ())
    return chosen, [list(found.values()) for found in (getattr(given, "top_logprobs", None) or ())]


def _chat_scores(content: Any) -> tuple[list[float], list[list[float]]]:
    read = [_entry(token) for token in content]
    return [score for score, _ in read], [others for _, others in read]


def _entry(token: Any) -> tuple[float, list[float]]:
    """One token of the chat API's form; what the library does not model arrives as mappings."""
    tops = _field(token, "top_logprobs") or ()
    return float(_field(token, "logprob")), [float(_field(top, "logprob")) for top in tops]


def _field(value: Any, name: str) -> Any:
    return value[name] if isinstance(value, Mapping) else getattr(value, name)


def _common(answered: Any, choice: Any) -> dict[str, Any]:
    usage = answered.usage
    return {
        "finish_reason": choice.finish_reason,
        "model": _text(answered.model),
        "prompt_tokens": getattr(usage, "prompt_tokens", None),
        "completion_tokens": getattr(usage, "completion_tokens", None),
        "prompt_ids": _ids(getattr(choice, "prompt_token_ids", None) or getattr(answered, "prompt_token_ids", None)),
        "completion_ids": _ids(getattr(choice, "token_ids", None)),
    }


def _text(value: Any, allow_none: bool = False) -> str:
    if value is None and allow_none:
        return ""
    if isinstance(value, list):  # content in parts, some of which may be thinking
        return "".join(str(_part(part, "text")) for part in value if _part(part, "type") == "text")
    if not isinstance(value, str):
        raise TypeError(f"text expected, and {type(value).__name__} given")
    return value


def _part(part: Any, name: str) -> Any:
    return part.get(name) if isinstance(part, Mapping) else getattr(part, name, None)


def _reasoning(message: Any) -> str | None:
    """The chain of thought, from a field of its own or from content in parts; None where there is none."""
    for name in ("reasoning_content", "reasoning"):
        if isinstance(given := getattr(message, name, None), str) and given:
            return given
    if not isinstance(message.content, list):
        return None
    texts: list[str] = []
    for part in message.content:
        thought = _part(part, "thinking") or _part(part, "reasoning")
        if isinstance(thought, list):
            texts += [str(_part(piece, "text") or "") for piece in thought]
        elif isinstance(thought, str):
            texts.append(thought)
    return "\n".join(texts) or None


def _ids(value: Sequence[int] | None) -> tuple[int, ...] | None:
    return None if value is None else tuple(int(token) for token in value)


def _margins(tops: Sequence[Sequence[float]], chosen: Sequence[float]) -> tuple[float, ...] | None:
    """Best minus second best at each token; None unless every token has two alternatives.

    The completions API tells alternatives by their text, and two tokens of one text (parts of a character, say) then
    stand as one. The token that was taken is known by its own score, so that it counts beside the one that is left.
    """
    if not tops:
        return None
    taken: Sequence[float | None] = chosen if len(chosen) == len(tops) else [None] * len(tops)
    found = []
    for alternatives, own in zip(tops, taken, strict=True):
        known = list(alternatives)
        if own is not None and len(known) == 1 and own > known[0]:
            known.append(own)
        if len(known) < 2:
            return None
        first, second = sorted(known, reverse=True)[:2]
        found.append(first - second)
    return tuple(found)
