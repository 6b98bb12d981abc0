"""Names → token indices of one rollout. What cannot be resolved is reported by reason, never dropped silently."""

import re
from dataclasses import dataclass
from typing import Any

from activations.errors import HintprobeError
from activations.spans import Encoded, encode, offsets_of, tokens_of_span
from experiments.answers.parser import find_answer
from experiments.answers.splitting import split_completion
from experiments.answers.thinking import Chars
from experiments.prompts.chat import place_spans
from experiments.records import Item, Rollout

_FRACTION = re.compile(r"cot_(0(?:\.\d+)?|1(?:\.0+)?)$")
_COUNTED = re.compile(r"cot_token_(\d+)$")
"""Unlike a fraction, a count does not hang on how long the text turns out, which is known only after the token."""
NAMES = ("pointer", "hint_end", "question_end", "prompt_end", "think_start", "think_end", "pre_answer")


@dataclass(frozen=True)
class _Layout:
    """A rollout's token sequence, and the character offsets of its completion."""

    n_prompt: int
    places: dict[str, range]
    completion: Encoded


def check_position(name: str) -> None:
    """Refuse a name that no rollout could ever resolve.

    Raises:
        HintprobeError: the name is unknown.
    """
    if name not in NAMES and not _FRACTION.match(name) and not _COUNTED.match(name):
        raise HintprobeError(
            f"There is no position named {name!r}. Known: {', '.join(NAMES)}, cot_F with a fraction F from 0 to 1, "
            "such as cot_0.5, and cot_token_N, the N-th token of the chain of thought, counted from 0."
        )


def encode_completion(tokenizer: Any, rollout: Rollout) -> Encoded:
    """Offsets of the generated ids, by re-encoding where that gives the same ids, else by decoding token by token."""
    visible = rollout.completion_ids[:-1] if rollout.finish_reason == "stop" else rollout.completion_ids
    again = encode(tokenizer, rollout.completion_text)
    if again.ids == visible:
        return again
    return Encoded(rollout.completion_text, visible, offsets_of(tokenizer, visible))


@dataclass(frozen=True)
class Parts:
    """Characters of a completion's parts, as the rollout records them; older records are parted again."""

    thinking: tuple[Chars, ...]
    closing: Chars | None
    answer: Chars | None


def parts_of(rollout: Rollout) -> Parts:
    """Where the thinking, its closing mark and the visible answer of a rollout stand."""
    if rollout.thinking or rollout.answer_span is not None:
        return Parts(rollout.thinking, rollout.thinking_end, rollout.answer_span)
    split = split_completion(rollout.completion_text, rollout.prompt_text)
    return Parts(split.thinking, split.closing, split.answer)


def cot_tokens(completion: Encoded, rollout: Rollout) -> tuple[int, ...] | None:
    """Tokens of the chain of thought within the completion, all its parts in order; None where there is none."""
    if not rollout.cot:
        return None
    parts = [tokens_of_span(completion, start, end) for start, end in parts_of(rollout).thinking]
    return tuple(token for part in parts for token in part) or None


def _resolve(name: str, layout: _Layout, n_options: int, rollout: Rollout) -> int | str:
    """Token index, or the reason why there is none."""
    if name == "prompt_end":
        return layout.n_prompt - 1
    if name in ("pointer", "hint_end", "question_end"):
        place = layout.places.get(name.removesuffix("_end"))
        return place[-1] if place is not None else "the prompt has no such place"
    if name == "pre_answer":
        return _pre_answer(layout, n_options, rollout)
    cot = cot_tokens(layout.completion, rollout)
    if cot is None:
        return "no chain of thought"
    if name == "think_start":
        return layout.n_prompt + cot[0]
    if name == "think_end":
        closed = parts_of(rollout).closing is not None
        return layout.n_prompt + cot[-1] if closed else "the chain of thought was not closed"
    if counted := _COUNTED.match(name):
        at = int(counted[1])
        return layout.n_prompt + cot[at] if at < len(cot) else "the chain of thought is shorter"
    fraction = float(name.removeprefix("cot_"))
    return layout.n_prompt + cot[min(int(fraction * len(cot)), len(cot) - 1)]


def _pre_answer(layout: _Layout, n_options: int, rollout: Rollout) -> int | str:
    answer = parts_of(rollout).answer
    found = find_answer(layout.completion.text[answer[0] : answer[1]], n_options) if answer is not None else None
    if found is None or answer is None:
        return "no answer was parsed"
    at = answer[0] + found.at
    return layout.n_prompt + tokens_of_span(layout.completion, at, at + 1)[0] - 1


def answer_part(tokenizer: Any, rollout: Rollout) -> int | None:
    """Index in the completion at which the answer part begins, the closing mark included; 0 without thinking.

    None where the thinking was never closed.
    """
    if rollout.cot is None:
        return 0
    closing = parts_of(rollout).closing
    if closing is None:
        return None
    first, last = closing
    return tokens_of_span(encode_completion(tokenizer, rollout), first, max(last, first + 1))[0]


def prompt_places(tokenizer: Any, rollout: Rollout) -> dict[str, range]:
    """Tokens of every named span of the prompt."""
    return place_spans(tokenizer, encode(tokenizer, rollout.prompt_text), rollout.places)


def locate(
    tokenizer: Any, item: Item, rollout: Rollout, names: tuple[str, ...]
) -> tuple[dict[str, int], dict[str, str]]:
    """Token indices of the named positions, and the reasons for those that have none."""
    return locate_in(tokenizer, len(item.question.options), rollout, names)


def locate_in(
    tokenizer: Any, n_options: int, rollout: Rollout, names: tuple[str, ...]
) -> tuple[dict[str, int], dict[str, str]]:
    """The same for a rollout whose item is not known, only how many options its question has."""
    prompt = encode(tokenizer, rollout.prompt_text)
    if prompt.ids != rollout.prompt_ids:
        raise HintprobeError(
            f"Rollout {rollout.id} was generated with another tokenizer than the loaded one. Generate again."
        )
    places = place_spans(tokenizer, prompt, rollout.places)
    layout = _Layout(len(prompt.ids), places, encode_completion(tokenizer, rollout))
    found: dict[str, int] = {}
    missing: dict[str, str] = {}
    for name in names:
        where = _resolve(name, layout, n_options, rollout)
        if isinstance(where, int):
            found[name] = where
        else:
            missing[name] = where
    return found, missing
