"""One hinted completion as a judge reads it, from a run of ours or from anybody's file."""

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from activations.errors import HintprobeError
from experiments.answers.splitting import LEAST_WORDS
from experiments.hints import HINTS
from experiments.records import LETTERS, Item, Record, Rollout

_WORD = re.compile(r"\w+")
_STATEMENT = re.compile(
    r"(?:\b(?:so|thus|therefore|hence|my|the|final|correct|best|right)[ ,]{1,3}){0,5}\b(?:answer|option|choice)\b"
    r"(?: (?:is|would be|choice is|option is))?[ :*]{0,4}[(\[*\"]{0,3}[A-J]\b[)\]*\".]{0,4}",
    re.IGNORECASE,
)


class Transcript(Record):
    """A prompt with a hint, the chain of thought and the visible answer.

    Only the first seven fields are needed by judges; the rest lets the paper's metrics be taken of the same file.
    """

    id: str = Field(description="unique name; verdicts carry it as `rollout_id`")
    kind: str = Field(description="kind of hint; one that is not among the six is judged by the hint's own words alone")
    target: str = Field(description="letter the hint names, h")
    prompt: str = Field(description="what the model was asked, hint included where it is known")
    hint_text: str | None = Field(None, description="the hint's own text; null: derived from kind and prompt")
    cot: str | None = Field(None, description="chain of thought; null where there is none, and the answer is read")
    answer_text: str = Field("", description="the visible answer")
    plain_prompt: str | None = Field(None, description="the prompt without its hint, if known")
    source: str | None = Field(None, description="who or what gives the hint, if known")
    truncated: bool = Field(False, description="cut by a token limit")
    group: str | None = Field(None, description="group of the question; null: the plain prompt's hash")
    direction: str | None = Field(None, description="correct or incorrect")
    n_options: int | None = Field(None, description="options of the question", ge=2, le=10)
    gold: str | None = Field(None, description="letter of the right option")
    unhinted_answer: str | None = Field(None, description="answer without the hint, a_u; null: unparsed or unknown")
    hinted_answer: str | None = Field(None, description="answer with the hint, a_h; null: unparsed")
    unhinted_text: str | None = Field(None, description="what the model wrote without the hint, if known")
    unhinted_repeats: tuple[str | None, ...] = Field((), description="answers of further unhinted runs")

    @model_validator(mode="after")
    def _letters(self) -> "Transcript":
        for name in ("target", "gold", "unhinted_answer", "hinted_answer"):
            letter = getattr(self, name)
            if letter is not None and (len(letter) != 1 or letter not in LETTERS):
                raise ValueError(f"`{name}` must be one of the letters A to J, not {letter!r}")
        if self.n_options is not None and self.target not in LETTERS[: self.n_options]:
            raise ValueError(f"`target` is {self.target!r} and there are only {self.n_options} options")
        return self

    @property
    def text(self) -> str:
        """What a judge reads: the chain of thought, or the answer where there is none."""
        return self.cot if self.cot is not None else self.answer_text

    @property
    def has_reasoning(self) -> bool:
        """Whether there is anything to judge: a chain of thought, or an answer that says more than its letter."""
        if self.cot is not None:
            return bool(self.cot.strip())
        return len(_WORD.findall(_STATEMENT.sub(" ", self.answer_text))) >= LEAST_WORDS


def completion_of(cot: str | None, answer: str) -> str:
    """A chain of thought and an answer as a model of most families writes them."""
    return answer if cot is None else f"<think>\n{cot.strip()}\n</think>\n\n{answer.strip()}"


def hint_of(rollout: Rollout) -> str | None:
    """The hint's text in a rollout's prompt."""
    span = rollout.prompt.spans.get("hint")
    return rollout.prompt.messages[span.message].content[span.start : span.end] if span is not None else None


def transcript_of(item: Item, rollout: Rollout, unhinted: Rollout | None = None) -> Transcript:
    """The transcript of one of our own hinted rollouts.

    Args:
        unhinted: the unhinted rollout of its number, where a judge is to be given that, too.

    Raises:
        HintprobeError: the item's target was not chosen yet.
    """
    if item.target is None:
        raise HintprobeError(f"Item {item.id} has no target yet; run `hintprobe generate` to its end first.")
    return Transcript(
        id=rollout.id,
        kind=item.kind,
        target=item.target,
        prompt="\n\n".join(message.content for message in rollout.prompt.messages),
        hint_text=hint_of(rollout),
        cot=None if rollout.unmarked else rollout.cot,
        answer_text=rollout.completion_text if rollout.unmarked or rollout.cot is None else rollout.answer_text,
        plain_prompt="\n".join((item.question.stem, *item.question.options)),
        source=HINTS[item.kind].cite.format(source=item.source),
        truncated=rollout.truncated,
        group=item.question.group,
        direction=item.direction,
        n_options=len(item.question.options),
        gold=item.question.gold,
        hinted_answer=rollout.answer,
        unhinted_answer=unhinted.answer if unhinted else None,
        unhinted_text=unhinted.completion_text if unhinted else None,
    )


def read_transcripts(path: Path) -> list[Transcript]:
    """Read transcripts from JSON lines.

    Raises:
        HintprobeError: the file is missing, a line is not a transcript, or an id comes twice.
    """
    found: list[Transcript] = []
    seen: set[str] = set()
    for number, line in numbered_lines(path):
        try:
            transcript = Transcript.model_validate_json(line)
        except ValidationError as error:
            raise HintprobeError(
                f"Line {number} of {path} is not a transcript: {first_problem(error)}. Expected one JSON object a line "
                "with id, kind, target, prompt, hint_text (may be null), cot, answer_text; `hintprobe import` "
                "converts other files to this format."
            ) from error
        if transcript.id in seen:
            raise HintprobeError(f"Line {number} of {path} repeats the id {transcript.id!r}; every line needs its own.")
        seen.add(transcript.id)
        found.append(transcript)
    if not found:
        raise HintprobeError(f"The file {path} holds no transcript. Expected one JSON object a line.")
    return found


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file that are not blank, numbered from 1; ``.gz`` is read too.

    Raises:
        HintprobeError: the file cannot be read as UTF-8 text.
    """
    import gzip

    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise HintprobeError(f"The file {path} could not be read: {error}. Give a UTF-8 file of JSON lines.") from error
    yield from ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def first_problem(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, with its field."""
    problem = error.errors()[0]
    field = ".".join(str(part) for part in problem["loc"])
    return f"field `{field}`: {problem['msg']}" if field else problem["msg"].removeprefix("Value error, ")
