"""Completion → chain of thought and visible answer, as character spans, in the forms in which models part the two.

Pairs of marks (``<think>``, ``[THINK]``, Gemma's and Cohere's, see :data:`MARKS`), the channels of the Harmony format
(gpt-oss; also with its special tokens stripped by a server), a ``Reasoning:`` heading followed by an ``Answer:``
heading, or none at all. A part that was opened and not closed is a state of its own, never an answer. Nothing else in
this project knows these marks. Time is linear in the length of the text.
"""

import re
from dataclasses import dataclass
from typing import Literal

Form = Literal["tags", "harmony", "headings", "unmarked", "none"]
Chars = tuple[int, int]
"""First character and one past the last."""

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"

_NAMES = ("think", "thinking", "thought", "thoughts", "reasoning", "reason", "reflection", "seed:think", "mm:think")
MARKS: dict[str, str] = {
    **{f"<{name}>": f"</{name}>" for name in (*_NAMES, "longcat_think")},
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|channel>thought": "<channel|>",
    "<unused94>thought": "<unused95>",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
}
"""Opening mark → closing mark. A new family is one line here."""

_WRAPS = (
    *((f"<{name}>", f"</{name}>") for name in ("answer", "response", "output", "solution", "final_answer")),
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
)
"""Marks around a whole visible answer; they are no part of it."""

_OPEN = re.compile("|".join(map(re.escape, sorted(MARKS, key=len, reverse=True))), re.IGNORECASE)
_CLOSE = re.compile("|".join(map(re.escape, MARKS.values())), re.IGNORECASE)
_CLOSE_OF = {opening.lower(): closing for opening, closing in MARKS.items()}

_HARMONY_OPEN, _HARMONY_CLOSE = (
    "<|channel|>analysis<|message|>",
    "<|end|><|start|>assistant<|channel|>final<|message|>",
)
_HEADER = re.compile(
    r"<\|channel\|>\s{0,4}(?P<channel>analysis|commentary|final)\b[^<\n]{0,200}"
    r"(?:<\|constrain\|>[^<\n]{0,40})?<\|message\|>"
)
_MESSAGE_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_STRIPPED = re.compile(r"assistant(?P<channel>analysis|commentary|final)")
_STRIPPED_START = re.compile(r"analysis(?=[A-Z\"'])")

_HEADING = re.compile(
    r"\s{0,80}[*#_ ]{0,6}(?:(?:reasoning|thinking|thought process|chain of thought|scratchpad|analysis)"
    r"[*_]{0,3}[ \t]{0,4}:|here (?:is|are) my (?:thought process|reasoning steps|reasoning):)[*_]{0,3}\s{0,8}",
    re.IGNORECASE,
)
_ANSWER_HEADING = re.compile(
    r"^[*#_ ]{0,6}(?:(?:final answer|answer|response|final response|conclusion)[*_]{0,3}[ \t]{0,4}:[*_]{0,3}|"
    r"here is my response:|\[BEGIN FINAL RESPONSE\]|(?=(?:the |my )(?:final |correct |best )?answer is\b))",
    re.IGNORECASE | re.MULTILINE,
)
_HEADINGS = ("Reasoning: ", "\n\nAnswer: ")


@dataclass(frozen=True)
class SplitCompletion:
    """A completion in its parts. Spans count characters of the completion.

    Attributes:
        cot: the chain of thought, its parts joined by blank lines; None where no thinking was marked.
        answer_text: the visible answer; empty where the thinking was never closed.
        closed: the thinking ended before the completion did, and the answer began.
        form: how the thinking was marked.
        thinking: each part of the chain of thought, without white space around it; Harmony has several.
        closing: what closes the thinking and begins the answer; None where nothing does.
        answer: the visible answer; None where the thinking was never closed.
        opener: text that opens thinking in this form; empty where the form is none.
        closer: text that closes it and begins an answer in this form.
    """

    cot: str | None
    answer_text: str
    closed: bool
    form: Form = "tags"
    thinking: tuple[Chars, ...] = ()
    closing: Chars | None = None
    answer: Chars | None = None
    opener: str = ""
    closer: str = ""


def opened_by(prompt: str) -> str | None:
    """The opening mark that a prompt ends with, so that its completion begins inside the thinking; None for none."""
    tail = prompt[-200:].rstrip()
    for opening in MARKS:
        if tail.lower().endswith(opening.lower()):
            return opening
    header = _last_header(prompt)
    return header[0] if header and header["channel"] != "final" else None


def split_marked(text: str, prompt: str = "") -> SplitCompletion:
    """Part marked thinking from the visible answer; without marks, all is visible.

    Args:
        prompt: the prompt as the chat template wrote it, which may have opened the thinking already.
    """
    return (
        _split_harmony(text, prompt)
        or _split_marks(text, opened_by(prompt))
        or _split_headings(text)
        or _split_lone_close(text)
        or _plain(text)
    )


def _narrow(text: str, start: int, end: int) -> Chars:
    """A span without the white space at its ends."""
    part = text[start:end]
    start += len(part) - len(part.lstrip())
    return start, start + len(part.strip())


def _made(
    text: str, form: Form, marks: tuple[str, str], thinking: list[Chars], closing: Chars | None, answer: Chars | None
) -> SplitCompletion:
    parts = tuple((a, b) for a, b in thinking if a < b)
    return SplitCompletion(
        cot="\n\n".join(text[a:b] for a, b in parts),
        answer_text=text[answer[0] : answer[1]] if answer else "",
        closed=answer is not None,
        form=form,
        thinking=parts,
        closing=closing,
        answer=answer,
        opener=marks[0],
        closer=marks[1],
    )


def _plain(text: str) -> SplitCompletion:
    return SplitCompletion(None, text.strip(), True, "none", answer=_narrow(text, 0, len(text)))


def _inline(text: str, start: int, end: int) -> bool:
    """Words stand on the same line before and after: the mark is spoken of, not used."""
    before, after = text[max(0, start - 64) : start].rstrip(" \t"), text[end : end + 64].lstrip(" \t")
    return bool(before) and before[-1] != "\n" and bool(after) and after[0] != "\n"


def _opens(text: str, match: re.Match[str]) -> bool:
    """An opening mark is used, not spoken of: at the start of the text, of a line, or after a full stop."""
    before = text[max(0, match.start() - 64) : match.start()].rstrip(" \t")
    return not before or before[-1] in "\n.!?:>"


def _unwrapped(text: str, start: int) -> Chars:
    """The visible answer from ``start`` on, without marks around all of it."""
    first, last = _narrow(text, start, len(text))
    for opening, closing in _WRAPS:
        if text[first : first + len(opening)].lower() == opening.lower():
            first += len(opening)
            if text[max(first, last - len(closing)) : last].lower() == closing.lower():
                last -= len(closing)
            return _narrow(text, first, last)
    return first, last


def _split_marks(text: str, opened: str | None) -> SplitCompletion | None:
    """Thinking that the prompt or the completion opened with one of the :data:`MARKS`."""
    first = next((match for match in _OPEN.finditer(text) if _opens(text, match)), None)
    if first is not None and opened is not None and text[: first.start()].strip():
        first = None  # the prompt opened the thinking; a further mark stands within it
    if first is None and opened is None:
        return None
    opening = (first[0] if first else opened) or ""
    start = first.end() if first else 0
    closing = _CLOSE_OF.get(opening.lower(), "")
    marks = (opening if opening[-1:] in "\n" else f"{opening}\n", f"\n{closing}\n\n")
    end = _last_close(text, re.compile(re.escape(closing), re.IGNORECASE), start)
    if end is None:
        return _made(text, "tags", marks, [_narrow(text, start, len(text))], None, None)
    if any(_opens(text, again) for again in _OPEN.finditer(text, end.end())):  # it went on thinking, and was cut off
        return _made(text, "tags", marks, [_narrow(text, start, len(text))], None, None)
    thought = _narrow(text, start, end.start())
    return _made(text, "tags", marks, [thought], end.span(), _unwrapped(text, end.end()))


def _last_close(text: str, closing: re.Pattern[str], start: int) -> re.Match[str] | None:
    """The last closing mark that is used rather than spoken of; where all look spoken of, the last."""
    ends = list(closing.finditer(text, start))
    used = [end for end in ends if not _inline(text, end.start(), end.end())]
    return (used or ends)[-1] if ends else None


def _split_lone_close(text: str) -> SplitCompletion | None:
    """A template may open the thinking without our knowing: what stands before a closing mark was thinking."""
    ends = list(_CLOSE.finditer(text))
    used = [end for end in ends if not _inline(text, end.start(), end.end())]
    end = used[-1] if used else ends[0] if len(ends) == 1 else None
    if end is None:
        return None
    opening = next(o for o, c in MARKS.items() if c.lower() == end[0].lower())
    thought = _narrow(text, 0, end.start())
    return _made(text, "tags", (f"{opening}\n", f"\n{end[0]}\n\n"), [thought], end.span(), _unwrapped(text, end.end()))


def _split_headings(text: str) -> SplitCompletion | None:
    heading = _HEADING.match(text)
    if heading is None:
        return None
    answer = _ANSWER_HEADING.search(text, heading.end())
    if answer is None:
        return _made(text, "headings", _HEADINGS, [_narrow(text, heading.end(), len(text))], None, None)
    thought = _narrow(text, heading.end(), answer.start())
    closing = answer.span() if answer[0] else (thought[1], answer.start())  # "The answer is …" is a heading of its own
    return _made(text, "headings", _HEADINGS, [thought], closing, _narrow(text, answer.end(), len(text)))


def _last_header(prompt: str) -> re.Match[str] | None:
    """The Harmony header that a prompt ends with."""
    tail = prompt[-400:].rstrip()
    return next((match for match in _HEADER.finditer(tail) if match.end() == len(tail)), None)


def _split_harmony(text: str, prompt: str) -> SplitCompletion | None:
    """Channels; thinking after the last final message means that the model had not finished."""
    begun, headers = _last_header(prompt), list(_HEADER.finditer(text))
    if begun is None and not headers:
        return _split_stripped(text)
    starts = [(begun["channel"], 0, 0)] if begun else []
    starts += [(header["channel"], header.start(), header.end()) for header in headers]
    parts = []
    for channel, mark, start in starts:
        stop = _MESSAGE_END.search(text, start)
        parts.append((channel, mark, _narrow(text, start, stop.start() if stop else len(text))))
    return _joined(text, parts)


def _split_stripped(text: str) -> SplitCompletion | None:
    """The same without special tokens, as some servers give it: ``analysisWe think.assistantfinalThe answer…``."""
    begun = _STRIPPED_START.match(text)
    if begun is None:
        return None
    marks = [("analysis", 0, begun.end())]
    marks += [(match["channel"], match.start(), match.end()) for match in _STRIPPED.finditer(text, begun.end())]
    stops = [mark for _, mark, _ in marks[1:]] + [len(text)]
    return _joined(
        text,
        [
            (channel, mark, _narrow(text, start, stop))
            for (channel, mark, start), stop in zip(marks, stops, strict=True)
        ],
    )


def _joined(text: str, parts: list[tuple[str, int, Chars]]) -> SplitCompletion:
    """Parts of channels, each with where its header begins → thinking and answer."""
    thinking = [span for channel, _, span in parts if channel != "final"]
    marks = (_HARMONY_OPEN, _HARMONY_CLOSE)
    if parts[-1][0] != "final":
        return _made(text, "harmony", marks, thinking, None, None)
    span, mark = parts[-1][2], parts[-1][1]
    if not thinking:
        made = _made(text, "harmony", marks, [], None, span)
        return SplitCompletion(None, made.answer_text, True, "harmony", (), None, span, *marks)
    header = text.find("<|message|>", mark)
    end = header + len("<|message|>") if header >= 0 else span[0]
    return _made(text, "harmony", marks, thinking, (min(thinking[-1][1], mark), end), span)
