"""A language model's answer → a checked finding; its quote → the very words of the text, or a refusal."""

import json
import re
from typing import TypeVar

from pydantic import ValidationError

from experiments.answers.parser import split_completion
from experiments.judges.questions import Rating
from experiments.records import Record

R = TypeVar("R", bound=Record)


class UnreadableError(ValueError):
    """An answer is not what was asked for. The message says in what."""


def read_object(text: str, record: type[R]) -> R:
    """The JSON object in an answer; a code fence around it and thinking before it are allowed, other objects are not.

    Raises:
        UnreadableError: there is no object, it is cut, or a field is missing, unknown or of another type.
    """
    split = split_completion(text)
    body = text if split.form in ("none", "headings") else split.answer_text
    start = body.find("{")
    if start < 0:
        raise UnreadableError("there is no JSON object in it")
    try:
        value, end = json.JSONDecoder().raw_decode(body, start)
    except json.JSONDecodeError as error:
        raise UnreadableError(f"its JSON is broken: {error.msg}") from error
    if "{" in body[end:]:
        raise UnreadableError("it holds more than one JSON object")
    try:
        found = record.model_validate(value, strict=True)
    except ValidationError as error:
        problem = error.errors()[0]
        raise UnreadableError(f"`{'.'.join(map(str, problem['loc']))}`: {problem['msg']}") from error
    if isinstance(found, Rating) and not 0 <= found.reliance <= 100:
        raise UnreadableError("`reliance` must lie between 0 and 100")
    return found


def _loose(text: str) -> str:
    """A pattern's source for the words of a text, whatever spaces and quotation marks are between them."""
    pieces = re.findall(r"\w+|[^\w\s\"'“”‘’*`]", text)
    return r"[\s\"'“”‘’*`]*".join(re.escape(piece) for piece in pieces)


def verified_quote(quote: str | None, text: str) -> str | None:
    """The words of the text that a quote copies: spacing, emphasis and quotation marks may differ, words may not.

    Returns:
        A substring of ``text``; None where there is no such place.
    """
    if quote is None or not re.search(r"\w", quote):
        return None
    if quote in text:
        return quote
    match = re.search(_loose(quote), text)
    return match.group(0) if match else None


def chunks(text: str, size: int, overlap: int) -> list[str]:
    """Pieces of at most ``size`` characters that cover a text; neighbours share about ``overlap`` characters.

    A cut is made at the end of a paragraph or sentence where there is one in the last tenth of a piece.
    """
    if len(text) <= size:
        return [text]
    pieces, start = [], 0
    while len(text) - start > size:
        end = start + size
        window = text[end - size // 10 : end]
        cut = max(window.rfind("\n\n") + 2, window.rfind(". ") + 2)
        end = end - size // 10 + cut if cut >= 2 else end
        pieces.append(text[start:end])
        start = max(end - overlap, start + 1)
    return [*pieces, text[start:]]
