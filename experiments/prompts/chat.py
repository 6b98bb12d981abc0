"""Messages → the exact text and tokens a model reads, with every named span carried through the chat template."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from activations.errors import HintprobeError
from activations.spans import Encoded, assert_covers, encode, tokens_of_span
from experiments.records import Message, Prompt

PLAIN_TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n\n{% endfor %}assistant:"
"""Used, and recorded, for base models that come without a chat template."""

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
"""What templates that print a date or a time are told: a run that goes on tomorrow must not change its prompts."""

_CODES = "aAbBcCdDeFfgGhHIjmMnpPrRSTuUVwWxXyYZz"
_CALENDAR = (
    "{% macro strftime_now(form) %}{{ form"
    + "".join(f" | replace('%-{code}', '{NOW.strftime('%' + code).lstrip('0') or '0'}')" for code in "dmHIMSjyeU")
    + "".join(f" | replace('%{code}', {NOW.strftime('%' + code)!r})" for code in _CODES)
    + " }}{% endmacro %}"
)
"""Takes the place of the function that ``transformers`` gives to templates; a call cannot be handed in as a value."""

_MARKS = [chr(code) for code in range(0xF0000, 0xF0010)]
"""Private-use characters that stand around a message while the template runs."""

_ANY_MARK = re.compile(f"[{_MARKS[0]}-{_MARKS[-1]}]")

Characters = dict[str, tuple[int, int]]
"""Per named place, its first character in the templated text and one past its last."""


@dataclass(frozen=True)
class RenderedPrompt:
    """A prompt as the model reads it.

    Attributes:
        characters: characters of each named place in the text.
        places: token indices of each named place.
    """

    encoded: Encoded
    characters: Characters
    places: dict[str, range]


def template_note(tokenizer: Any) -> str | None:
    """What a user should know before a run: that the model has no chat template; None where it has one."""
    if tokenizer.chat_template:
        return None
    return (
        "The tokenizer has no chat template, so turns are written as plain text ('user: …', 'assistant:'). That is "
        "right for a base model; for a chat model put its template into its folder as `chat_template.jinja`, or its "
        "answers will say little about it."
    )


def _begins_text(tokenizer: Any) -> bool:
    """The tokenizer puts a begin-of-text token before every text of its own accord."""
    written = tokenizer("a", add_special_tokens=True)["input_ids"] if tokenizer.bos_token else []
    return len(written) > 0 and written[0] == tokenizer.bos_token_id


def _source(tokenizer: Any) -> str:
    """The template's text, with a calendar that stands still where it asks for the date.

    Without a template: plain turns after the begin-of-text token that the tokenizer means.
    """
    if not tokenizer.chat_template:
        return ("{{ bos_token }}" if _begins_text(tokenizer) else "") + PLAIN_TEMPLATE
    template = str(tokenizer.get_chat_template())
    return _CALENDAR + template if "strftime_now" in template else template


def apply_template(
    tokenizer: Any, messages: Sequence[Mapping[str, str]], options: Mapping[str, Any], answered: bool = False
) -> str:
    """The text that a tokenizer's chat template makes of some turns.

    Args:
        options: further variables of the template, such as ``enable_thinking``.
        answered: the last turn is the assistant's, and nothing is written after it.

    Raises:
        HintprobeError: the template refuses these turns, or cannot be run.
    """
    try:
        text = tokenizer.apply_chat_template(
            list(messages),
            tokenize=False,
            add_generation_prompt=not answered,
            chat_template=_source(tokenizer),
            **options,
        )
    except Exception as error:  # a template is somebody else's program, and may end in any way
        raise _refusal(tokenizer, messages, error) from error
    return str(text)


def _refusal(tokenizer: Any, messages: Sequence[Mapping[str, str]], error: Exception) -> HintprobeError:
    from jinja2 import TemplateError

    roles = ", ".join(message["role"] for message in messages)
    said = " ".join(str(error).split())
    if isinstance(tokenizer.chat_template, Mapping):
        names = ", ".join(map(str, tokenizer.chat_template))
        return HintprobeError(
            f"The tokenizer has several chat templates ({names}) and none could be used: {said}. Save the one that you "
            "want as `chat_template.jinja` in the model's folder."
        )
    if isinstance(error, TemplateError):
        return HintprobeError(
            f"The chat template refuses the turns {roles}: {said}. If it has no system role, put the text of "
            "`generate.system` into `generate.instruction`; if it takes one user turn only, drop consistency from "
            "`hints.kinds`."
        )
    return HintprobeError(
        f"The chat template fails on the turns {roles}: {type(error).__name__}: {said}. Check "
        "`generate.template_options`, or save a working template as `chat_template.jinja` in the model's folder."
    )


def _marked(message: Message, before: str, after: str) -> str:
    """The content with marks inside its outer white space, so that a template trims it as it would without them."""
    content = message.content
    body = content.strip()
    start = len(content) - len(content.lstrip())
    return content[:start] + before + body + after + content[start + len(body) :]


def _bodies(tokenizer: Any, text: str, messages: Sequence[Message], options: Mapping[str, Any]) -> list[int]:
    """Where each message's content, without its outer white space, begins in the templated text.

    The template runs a second time with a mark before and after every content. It has kept a content whole if both
    marks come out, with the content between them, and taking the marks out again gives the text.
    """
    if _ANY_MARK.search("".join(message.content for message in messages)):
        raise HintprobeError(
            f"A message holds a character from U+{ord(_MARKS[0]):X} to U+{ord(_MARKS[-1]):X}, private characters that "
            "hintprobe uses to find places after the chat template. Remove it from the question."
        )
    pairs = [(_MARKS[2 * k], _MARKS[2 * k + 1]) for k in range(len(messages))]
    marked = apply_template(
        tokenizer,
        [
            {"role": message.role, "content": _marked(message, *pair)}
            for message, pair in zip(messages, pairs, strict=True)
        ],
        options,
    )
    starts = []
    ordered = sorted(at for pair in pairs for mark in pair if (at := marked.find(mark)) >= 0)
    for message, (before, after) in zip(messages, pairs, strict=True):
        if marked.count(before) != 1 or marked.count(after) != 1:
            raise HintprobeError(
                f"The chat template leaves out a {message.role} turn or repeats it, so the places named in it are "
                f"lost: {message.content[:80]!r}. Use another template (`chat_template.jinja` in the model's folder) "
                "or drop the kinds of hint that need this turn."
            )
        first, last = marked.index(before), marked.index(after)
        if marked[first + 1 : last] != message.content.strip():
            raise HintprobeError(
                f"The chat template changes a {message.role} turn beyond trimming it, so the places named in it are "
                f"lost: {message.content[:80]!r} became {marked[first + 1 : last][:80]!r}."
            )
        starts.append(first - ordered.index(first))
    for pair in pairs:
        marked = marked.replace(pair[0], "").replace(pair[1], "")
    if marked != text:
        raise HintprobeError(
            "The chat template writes other text around the messages when their content changes, so the places named "
            "in them cannot be found. Use another template (`chat_template.jinja` in the model's folder)."
        )
    return starts


def _follow(prompt: Prompt, starts: Sequence[int]) -> Characters:
    """Characters of every named place in the templated text."""
    characters = {}
    for name, span in prompt.spans.items():
        content = prompt.messages[span.message].content
        lost = len(content) - len(content.lstrip())
        first, last = max(span.start - lost, 0), min(span.end - lost, len(content.strip()))
        characters[name] = (starts[span.message] + first, starts[span.message] + last)
    return characters


def render_chat(tokenizer: Any, prompt: Prompt, options: Mapping[str, Any] | None = None) -> RenderedPrompt:
    """Apply a tokenizer's chat template and find every named place's tokens.

    Args:
        options: further variables of the template, such as ``enable_thinking``.

    Raises:
        HintprobeError: the template refuses, drops or changes a turn, or the tokens found do not spell the place.
    """
    options = dict(options or {})
    text = apply_template(tokenizer, [message.model_dump() for message in prompt.messages], options)
    characters = _follow(prompt, _bodies(tokenizer, text, prompt.messages, options))
    encoded = encode(tokenizer, text)
    return RenderedPrompt(encoded, characters, place_spans(tokenizer, encoded, characters))


def place_spans(tokenizer: Any, encoded: Encoded, characters: Mapping[str, tuple[int, int]]) -> dict[str, range]:
    """Token range of every named place, checked on decoded text."""
    places = {}
    for name, (start, end) in characters.items():
        tokens = tokens_of_span(encoded, start, end)
        assert_covers(tokenizer, encoded, tokens, encoded.text[start:end])
        places[name] = tokens
    return places
