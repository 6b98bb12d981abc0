"""How a model writes a chain of thought, an answer and the end of its turn: read off its own chat template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from activations.errors import HintprobeError
from activations.spans import encode
from experiments.answers.thinking import THINK_CLOSE, THINK_OPEN
from experiments.prompts.chat import apply_template
from experiments.records import Prompt

Thinking = Literal["auto", "tags", "plain"]
Turn = dict[str, str]

IGNORED = -100
"""Label of a token that carries no loss."""

_COT, _ANSWER = "Thoughts stand here.", "The answer stands here."
_FIELDS = ("reasoning_content", "reasoning", "thinking")
"""Names under which templates take a turn's chain of thought."""


HEADED = ("Reasoning: ", "\n\nAnswer: ")
"""Text before the chain of thought and before the answer of a model that has no place for thinking: headings, by which
``experiments.answers.thinking`` parts the two again."""


@dataclass(frozen=True)
class Dialect:
    """The text of a completion is ``opening + cot + between + answer + end``.

    Attributes:
        end: ends the turn, with a token at which generation stops.
    """

    opening: str
    between: str
    end: str

    def completion(self, cot: str, answer: str) -> str:
        """A completion as the model would write it after a prompt."""
        return f"{self.opening}{cot}{self.between}{answer}{self.end}"


@dataclass(frozen=True)
class Labelled:
    """Tokens of a row, and the same with those of the prompt set to :data:`IGNORED`."""

    input_ids: list[int]
    labels: list[int]


def read_dialect(
    tokenizer: Any, stops: Sequence[int], options: Mapping[str, Any] | None = None, thinking: Thinking = "auto"
) -> Dialect:
    """Find out where a model's chat template puts thinking.

    A template that takes a turn's reasoning shows it itself. Else: a prompt that ends in an open think tag, the
    channels of the Harmony format, or a template that speaks of think tags (it takes them out of earlier turns). A
    model with none of these gets its chain of thought as text before the answer.

    Args:
        stops: ids of the tokens at which generation stops.
        options: variables of the template.
        thinking: ``tags`` or ``plain`` to say it instead.

    Raises:
        HintprobeError: no token ends a completion.
    """
    options = options or {}
    asked: list[Turn] = [{"role": "user", "content": "Where?"}]
    prompt = apply_template(tokenizer, asked, options)
    end = _end(tokenizer, stops, apply_template(tokenizer, [*asked, _turn(_ANSWER)], options, answered=True))
    if thinking == "auto":
        shown = _shown_by_template(tokenizer, asked, options, prompt)
        opening, between = shown or _told_by_signs(tokenizer, prompt)
    else:
        opening, between = _tags(prompt) if thinking == "tags" else HEADED
    return Dialect(opening, between, end)


def _turn(content: str, **more: str) -> Turn:
    return {"role": "assistant", "content": content, **more}


def _end(tokenizer: Any, stops: Sequence[int], answered: str) -> str:
    """What follows an answer, up to the first token at which generation stops; the end of text where there is none."""
    after = answered.rpartition(_ANSWER)[2]
    names = [str(tokenizer.convert_ids_to_tokens(stop)) for stop in stops]
    ends = sorted(after.index(name) + len(name) for name in names if name in after)
    if ends:
        return after[: ends[0]]
    if tokenizer.eos_token is None:
        raise HintprobeError(
            "The tokenizer has no end-of-text token and its chat template ends no turn, so a completion could not be "
            "taught to stop. Set `eos_token` in the model's tokenizer_config.json."
        )
    return str(tokenizer.eos_token)


def _shown_by_template(
    tokenizer: Any, asked: list[Turn], options: Mapping[str, Any], prompt: str
) -> tuple[str, str] | None:
    """Opening and between, where the template writes a turn's reasoning after the very prompt."""
    for field in _FIELDS:
        text = apply_template(tokenizer, [*asked, _turn(_ANSWER, **{field: _COT})], options, answered=True)
        if text.startswith(prompt):
            opening, found, rest = text[len(prompt) :].partition(_COT)
            between, answered, _ = rest.partition(_ANSWER)
            if found and answered:
                return opening, between
    return None


def _tags(prompt: str) -> tuple[str, str]:
    opened = prompt.rstrip().endswith(THINK_OPEN)
    opening = "" if opened and prompt.endswith("\n") else "\n" if opened else f"{THINK_OPEN}\n"
    return opening, f"\n{THINK_CLOSE}\n\n"


def _told_by_signs(tokenizer: Any, prompt: str) -> tuple[str, str]:
    template = str(tokenizer.chat_template or "")
    if prompt.rstrip().endswith(THINK_CLOSE):  # thinking was switched off
        return HEADED
    if "<|channel|>" in template:
        return (
            "<|channel|>analysis<|message|>",
            "<|end|><|start|>assistant<|channel|>final<|message|>",
        )
    if THINK_CLOSE in template or prompt.rstrip().endswith(THINK_OPEN):
        return _tags(prompt)
    return HEADED


def label(tokenizer: Any, prompt: Prompt, completion: str, options: Mapping[str, Any] | None = None) -> Labelled:
    """Tokens of a prompt, exactly those that the pipeline asks with, and of the completion after them."""
    text = apply_template(tokenizer, [message.model_dump() for message in prompt.messages], options or {})
    before, whole = encode(tokenizer, text).ids, encode(tokenizer, text + completion).ids
    # Where a token would reach across the seam, generation starts from the prompt's own tokens, and so does training.
    seamless = whole[: len(before)] == before
    after = whole[len(before) :] if seamless else encode(tokenizer, completion).ids
    return Labelled([*before, *after], [IGNORED] * len(before) + list(after))
