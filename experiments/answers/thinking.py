"""Completion → chain of thought and visible answer, in the forms in which models part the two.

Think tags (`<think>`, `<thinking>`, `<reasoning>`, Gemma's and Qwen's alike), the channels of the Harmony format
(gpt-oss; also with its special tokens stripped by a server), a `Reasoning:` heading followed by an `Answer:` heading,
or none at all. A part that was opened and not closed is a state of its own, not an answer.
"""

import re
from dataclasses import dataclass
from typing import Literal

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"

Form = Literal["tags", "harmony", "headings", "none"]

_OPEN_TAG = re.compile(
    r"^\s*(?:<\|(?:im_start|start_header_id)\|>assistant\s*)?<(think|thinking|reasoning|thought|reflection)>"
)
_ANY_CLOSE = re.compile(r"</(?:think|thinking|reasoning|thought|reflection)>")
_HARMONY = re.compile(
    r"<\|channel\|>\s*(?P<channel>analysis|commentary|final)\b[^<]*<\|message\|>(?P<text>.*?)"
    r"(?P<end><\|(?:end|return|call|start)\|>|(?=<\|channel\|>)|\Z)",
    re.DOTALL,
)
_HARMONY_STRIPPED = re.compile(r"\Aanalysis(?=[A-Z\"'])(?P<cot>.*?)(?:assistantfinal(?P<answer>.*)|\Z)", re.DOTALL)
_HEADED = re.compile(
    r"\A\s*[*#_ ]{0,4}(?:reasoning|thinking|thought process|chain of thought|scratchpad|"
    r"analysis)[*_]{0,3}\s*:[*_]{0,3}\s*"
    r"(?P<cot>.*?)(?:^[*#_ ]{0,4}(?:final answer|answer|response|final response|conclusion)[*_]{0,3}\s*:[*_]{0,3}"
    r"(?P<answer>.*)|\Z)",
    re.DOTALL | re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class SplitCompletion:
    """A completion in its two parts.

    Attributes:
        cot: None where no thinking was marked.
        answer_text: the visible answer; empty where the thinking was never closed.
        closed: the thinking ended before the completion did, and the answer began.
        form: how the thinking was marked.
    """

    cot: str | None
    answer_text: str
    closed: bool
    form: Form = "tags"


def split_completion(text: str, opened_by_prompt: bool = False, prefix: str = "") -> SplitCompletion:
    """Part the chain of thought from the visible answer.

    Args:
        opened_by_prompt: the chat template already wrote the opening think tag.
        prefix: what the chat template wrote last, where a Harmony prompt already names the channel.
    """
    harmony = _split_harmony(prefix + text)
    if harmony is not None:
        return harmony
    tag = _OPEN_TAG.match(text)
    if tag or opened_by_prompt:
        return _split_tags(text[tag.end() :] if tag else text, tag[1] if tag else None)
    headed = _HEADED.match(text)
    if headed:
        answer = headed["answer"]
        heading = text[headed.end("cot") :].strip() if answer is not None else ""
        return SplitCompletion(headed["cot"].strip(), heading, answer is not None, "headings")
    # A template may open the tag without our knowing: what stands before a lone closing tag was thinking.
    if len(_ANY_CLOSE.findall(text)) == 1:
        return _split_tags(text, None)
    return SplitCompletion(None, text.strip(), True, "none")


def _split_tags(body: str, name: str | None) -> SplitCompletion:
    """Part at the last closing tag: a model may write one while it thinks about tags."""
    closing = re.compile(rf"</{name}>") if name else _ANY_CLOSE
    ends = list(closing.finditer(body))
    if not ends:
        return SplitCompletion(body.strip(), "", False, "tags")
    last = ends[-1]
    answer = re.sub(
        r"^\s*<(answer|response|output)>\s*(.*?)\s*(?:</\1>\s*)?$", r"\2", body[last.end() :], flags=re.DOTALL
    )
    return SplitCompletion(body[: last.start()].strip(), answer.strip(), True, "tags")


def _split_harmony(text: str) -> SplitCompletion | None:
    parts = list(_HARMONY.finditer(text))
    if not parts:
        stripped = _HARMONY_STRIPPED.match(text)
        if stripped is None:
            return None
        answer = stripped["answer"]
        return SplitCompletion(stripped["cot"].strip(), (answer or "").strip(), answer is not None, "harmony")
    thought = "\n\n".join(p["text"].strip() for p in parts if p["channel"] in ("analysis", "commentary"))
    final = [p["text"].strip() for p in parts if p["channel"] == "final"]
    return SplitCompletion(thought or None, final[-1] if final else "", bool(final), "harmony")
