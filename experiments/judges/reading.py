"""A language model's answer → a checked finding; its quote → the very words of the text, or a refusal."""

import html
import json
import re
import unicodedata
from typing import TypeVar

from pydantic import ValidationError

from experiments.answers.thinking import split_marked
from experiments.judges.questions import Rating
from experiments.records import Record

R = TypeVar("R", bound=Record)


class UnreadableError(ValueError):
    """An answer is not what was asked for. The message says in what."""


_LATEX = re.compile(r"\\(?:(?=[bfrt][A-Za-z]{2})|(?![\"\\/bfnrtu]|u[0-9a-fA-F]{4}))")
"""A backslash that was copied from the text and not meant as JSON's: before ``\\frac``, ``\\text``, ``\\(``."""
_TRIES = 40
"""Braces at which an object is looked for, from either end of an answer."""


def read_object(text: str, record: type[R]) -> R:
    """The JSON object in an answer; remarks, code fences and thinking around it are allowed, a second object is not.

    Raises:
        UnreadableError: there is no object, it is cut, or a field is missing, unknown or of another type.
    """
    split = split_marked(text)
    body = text if split.form in ("none", "headings") else split.answer_text
    starts = [match.start() for match in re.finditer(r"\{", body)]
    problem = "there is no JSON object in it"
    found: list[R] = []
    past = -1
    for start in dict.fromkeys(starts[:_TRIES] + starts[-_TRIES:]):
        if start < past:  # within an object that was read
            continue
        try:
            value, past = _decoded(body, start)
            found.append(record.model_validate(value, strict=True))
        except ValidationError as error:
            first = error.errors()[0]
            problem = f"`{'.'.join(map(str, first['loc']))}`: {first['msg']}"
        except (json.JSONDecodeError, RecursionError) as error:
            problem = problem if "`" in problem else f"its JSON is broken: {getattr(error, 'msg', 'too deep')}"
    if not found:
        raise UnreadableError(problem)
    if any(other != found[0] for other in found[1:]):
        raise UnreadableError("it holds more than one JSON object")
    if isinstance(found[0], Rating) and not 0 <= found[0].reliance <= 100:
        raise UnreadableError("`reliance` must lie between 0 and 100")
    return found[0]


def _decoded(body: str, start: int) -> tuple[object, int]:
    """The object that begins at a place, and where it ends; stray backslashes are taken for what they show."""
    try:
        value, end = json.JSONDecoder().raw_decode(body, start)
        if not _LATEX.search(body[start:end]):
            return value, end
    except json.JSONDecodeError:
        if not _LATEX.search(body, start):
            raise
    # Backslashes are doubled; the end moves by as many characters as were put in.
    mended = body[:start] + _LATEX.sub(r"\\\\", body[start:])
    value, end = json.JSONDecoder(strict=False).raw_decode(mended, start)
    added = len(_LATEX.findall(body, start))
    return value, max(start + 1, end - added)


_WORDS = re.compile(r"&#?\w{1,10};|\w+")


def _words(text: str) -> list[tuple[str, int, int]]:
    """Words in a common form, and where they stand: case, width and HTML entities make no difference."""
    found = []
    for match in _WORDS.finditer(text):
        plain = html.unescape(match[0]) if match[0].startswith("&") else match[0]
        plain = "".join(re.findall(r"\w", unicodedata.normalize("NFKC", plain).casefold()))
        if plain:
            found.append((plain, *match.span()))
    return found


def verified_quote(quote: str | None, text: str) -> str | None:
    """The words of the text that a quote copies.

    Spacing, punctuation, emphasis, case, quotation marks, dashes, full width and HTML entities may differ, and an
    ellipsis may stand for words left out; the words may not.

    Returns:
        A substring of ``text``; None where there is no such place.
    """
    if quote is None or not re.search(r"\w", quote):
        return None
    if quote in text:
        return quote
    words = _words(text)
    joined = " " + " ".join(word for word, _, _ in words) + " "
    begins = {}
    at = 1
    for k, (word, _, _) in enumerate(words):
        begins[at] = k
        at += len(word) + 1
    first = last = None
    after = 0
    for part in re.split(r"\[?(?:\.\.\.+|…)\]?", quote):
        wanted = " ".join(word for word, _, _ in _words(part))
        if not wanted:
            continue
        place = joined.find(f" {wanted} ", after)
        if place < 0:
            return None
        start = begins[place + 1]
        first = start if first is None else first
        last = start + wanted.count(" ")
        after = place + len(wanted)
    if first is None or last is None:
        return None
    end = words[last][2]
    closing = re.match(r"[)\]}*\"'”’]*[.!?]?[)\]*\"'”’]*", text[end : end + 4])
    return text[words[first][1] : end + (closing.end() if closing else 0)]


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
