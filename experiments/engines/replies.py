"""What a server answered, read field by field: what it did not give is None, never assumed."""

from collections.abc import Sequence
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
    tops = [[alternative.logprob for alternative in token.top_logprobs] for token in content or ()]
    return Reply(
        text=_text(message.content, allow_none=True),
        reasoning=getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None),
        logprobs=tuple(token.logprob for token in content) if content else None,
        margins=_margins(tops),
        **_common(answered, choice),
    )


def read_completion(answered: Any) -> Reply:
    """A reply of ``/completions``.

    Raises:
        AttributeError, IndexError, TypeError, ValueError: it is none.
    """
    choice = answered.choices[0]
    given = choice.logprobs
    scores = getattr(given, "token_logprobs", None) if given is not None else None
    tops = [list(alternatives.values()) for alternatives in (getattr(given, "top_logprobs", None) or ())]
    return Reply(
        text=_text(choice.text),
        reasoning=None,
        logprobs=tuple(scores) if scores else None,
        margins=_margins(tops),
        **_common(answered, choice),
    )


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
    if not isinstance(value, str):
        raise TypeError(f"text expected, and {type(value).__name__} given")
    return value


def _ids(value: Sequence[int] | None) -> tuple[int, ...] | None:
    return None if value is None else tuple(int(token) for token in value)


def _margins(tops: Sequence[Sequence[float]]) -> tuple[float, ...] | None:
    """Best minus second best at each token; None unless every token has two alternatives."""
    if not tops or any(len(alternatives) < 2 for alternatives in tops):
        return None
    best = [sorted(alternatives, reverse=True)[:2] for alternatives in tops]
    return tuple(first - second for first, second in best)
