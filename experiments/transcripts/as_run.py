"""Transcripts of others as items and rollouts of a run, so that a model can be read while it reads what was written.

Prompt and completion are put through the model's own chat template and tokenizer. A transcript whose model is the one
loaded gives the states that it had; of any other model, the states of a reader.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from experiments.hints import HINTS
from experiments.prompts.chat import render_chat
from experiments.questions.fields import stem_group
from experiments.records import LETTERS, Condition, Item, Message, Prompt, Question, Rollout, Span
from experiments.transcripts.completed import CompletedTranscript, as_rollout
from experiments.transcripts.record import Transcript, completion_of

_OPTION = re.compile(r"^[ \t]*\(?([A-J])[).:][ \t]*(\S.*)$", re.MULTILINE)


@dataclass
class FromTranscripts:
    """Items with one hinted and one unhinted rollout each, and transcripts left out by reason."""

    items: list[Item] = field(default_factory=list)
    rollouts: list[Rollout] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def unfit(transcript: Transcript) -> str | None:
    """Why a transcript cannot be part of a run; None where it can."""
    if transcript.kind not in HINTS:
        return f"kind of hint {transcript.kind!r} is none of {', '.join(HINTS)} (map it by `values`)"
    if not transcript.plain_prompt:
        return "the prompt without its hint is not known"
    if not transcript.unhinted_text:
        return "what the model wrote without the hint is not known"
    if transcript.direction not in ("correct", "incorrect"):
        return "the direction of the hint is not known"
    if transcript.gold is None and transcript.direction != "correct":
        return "the right option is not known"
    return "cut by a token limit" if transcript.truncated else None


def from_transcripts(tokenizer: Any, transcripts: Sequence[Transcript], limit: int, seed: int) -> FromTranscripts:
    """Make items and rollouts.

    Args:
        limit: questions taken, at random by seed where there are more.

    Raises:
        HintprobeError: the chat template cannot write the prompts.
    """
    chosen, left_out = chosen_transcripts(transcripts, limit, seed)
    found = FromTranscripts(left_out=left_out)
    for transcript in chosen:
        item = item_of(transcript)
        found.items.append(item)
        plain = str(transcript.plain_prompt)
        written = completion_of(transcript.cot, transcript.answer_text)
        found.rollouts += [
            _rollout(tokenizer, item, "unhinted", plain, _plain_spans(plain), str(transcript.unhinted_text),
                     transcript.unhinted_answer),
            _rollout(tokenizer, item, "hinted", transcript.prompt, _spans(transcript), written,
                     transcript.hinted_answer),
        ]  # fmt: skip
    return found


def chosen_transcripts(
    transcripts: Sequence[Transcript], limit: int, seed: int
) -> tuple[list[Transcript], Counter[str]]:
    """The transcripts of which a run is made, and those left out by reason.

    Args:
        limit: questions taken, at random by seed where there are more.
    """
    left_out: Counter[str] = Counter()
    fit = []
    for transcript in transcripts:
        reason = unfit(transcript)
        if reason is None:
            fit.append(transcript)
        else:
            left_out[reason] += 1
    groups = sorted({_group(transcript) for transcript in fit})
    if len(groups) > limit:
        groups = [groups[int(k)] for k in np.random.default_rng(seed).permutation(len(groups))[:limit]]
    taken = set(groups)
    chosen = [transcript for transcript in fit if _group(transcript) in taken]
    if len(chosen) < len(fit):
        left_out["beyond questions.limit"] = len(fit) - len(chosen)
    return chosen, left_out


def _group(transcript: Transcript) -> str:
    return transcript.group or stem_group(str(transcript.plain_prompt))


def item_of(transcript: Transcript) -> Item:
    """The item that a transcript is of."""
    plain = str(transcript.plain_prompt)
    listed = dict(_OPTION.findall(plain))
    n = transcript.n_options or max(len(listed), LETTERS.index(transcript.target) + 1, 2)
    options = tuple(listed.get(letter, f"option {letter}") for letter in LETTERS[:n])
    return Item(
        id=transcript.id,
        question=Question(
            id=transcript.id, stem=plain, options=options, gold=transcript.gold or transcript.target, subject="",
            source="transcripts", group=_group(transcript),
        ),
        kind=transcript.kind,
        direction="correct" if transcript.direction == "correct" else "incorrect",
        wording=0,
        source=transcript.source or "user",
        target=transcript.target,
        swap_target=None,
    )  # fmt: skip


def _plain_spans(prompt: str) -> dict[str, tuple[int, int]]:
    return {"question": (0, len(prompt))}


def _spans(transcript: Transcript) -> dict[str, tuple[int, int]]:
    """Characters of question, hint and pointer in the prompt; a place that does not stand there once has none."""
    prompt, plain, found = transcript.prompt, str(transcript.plain_prompt).strip(), {}
    if plain and prompt.count(plain) == 1:
        at = prompt.index(plain)
        found["question"] = (at, at + len(plain))
    hint = (transcript.hint_text or _rest(prompt, plain)).strip()
    if hint and prompt.count(hint) == 1:
        at = prompt.index(hint)
        found["hint"] = (at, at + len(hint))
        pointers = list(re.finditer(rf"(?<!\w){transcript.target}(?!\w)", hint))
        if len(pointers) == 1:
            found["pointer"] = (at + pointers[0].start(), at + pointers[0].end())
    return found


def _rest(prompt: str, plain: str) -> str:
    """What stands before or after the plain prompt; nothing where it does not stand there, or on both sides of it."""
    if not plain or prompt.count(plain) != 1:
        return ""
    before, _, after = prompt.partition(plain)
    return before if before.strip() and not after.strip() else after if after.strip() and not before.strip() else ""


def _rollout(
    tokenizer: Any,
    item: Item,
    condition: Condition,
    text: str,
    spans: dict[str, tuple[int, int]],
    completion: str,
    answer: str | None,
) -> Rollout:
    prompt = Prompt(
        messages=(Message(role="user", content=text),),
        spans={name: Span(message=0, start=start, end=end) for name, (start, end) in spans.items()},
    )
    rendered = render_chat(tokenizer, prompt)
    name = f"{item.id}:{condition}:0"
    given = CompletedTranscript(
        id=name, prompt_text=rendered.encoded.text, completion_text=completion, places=rendered.characters,
        n_options=len(item.question.options),
    )  # fmt: skip
    made = as_rollout(tokenizer, given)
    update = {"item_id": item.id, "condition": condition, "prompt": prompt, "answer": answer or made.answer}
    return made.model_copy(update=update)
