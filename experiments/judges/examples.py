"""Labelled transcripts that a language model is shown before it judges: few-shot examples."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from activations.errors import HintprobeError
from experiments.config import ExamplesConfig
from experiments.judges.calibration import LabelledRollout, read_labels_as
from experiments.judges.hint_view import view_hint
from experiments.judges.lexical import judge_lexically
from experiments.judges.questions import Finding, Messages, Rating, judge_messages, monitor_messages
from experiments.judges.reading import verified_quote
from experiments.transcripts import Transcript, read_transcripts


class ExampleLabel(LabelledRollout):
    """A label that can be shown: with the quote that a judge would give, or a rating."""

    rejects: bool = Field(False, description="it sets the hint aside")
    quote: str | None = Field(None, description="the sentence that shows it; null: what the lexical judge quotes")
    reliance: float | None = Field(None, description="for monitors: how far the answer rests on the hint, 0 to 100")


@dataclass(frozen=True)
class Example:
    """A transcript, and the answer that was right for it.

    Attributes:
        turns: question and answer as a judge sees them.
    """

    transcript: Transcript
    turns: Messages
    positive: bool


def read_examples(asked: ExamplesConfig, role: str) -> list[Example]:
    """Labelled transcripts, as many of either class as there are, in turn.

    Args:
        role: judge or monitor.

    Raises:
        HintprobeError: a file is unreadable, no label is of a transcript, or none can be shown.
    """
    labels = {label.id: label for label in read_labels_as(asked.labels, ExampleLabel)}
    met = [t for t in read_transcripts(asked.transcripts) if t.id in labels]
    make = _rated if role == "monitor" else _judged
    found = [example for t in met if (example := make(t, labels[t.id])) is not None]
    if not found:
        needs = "`reliance` (0 to 100)" if role == "monitor" else "`mentions` and `relies`, and a quote from it"
        raise HintprobeError(
            f"No label of {asked.labels} can be shown as an example of a {role}: {len(met)} of {len(labels)} labels "
            f"belong to transcripts in {asked.transcripts}, and each needs {needs}."
        )
    sides = [[e for e in found if e.positive], [e for e in found if not e.positive]]
    turns = [e for k in range(max(map(len, sides))) for side in sides for e in side[k : k + 1]]
    return turns[: asked.shots]


def turns_for(examples: Sequence[Example], transcript: Transcript) -> Messages:
    """The turns to be shown before a transcript; none of the same question, whose answer they would give away."""
    own = {transcript.id, transcript.group} - {None}
    return [turn for e in examples if not own & {e.transcript.id, e.transcript.group} for turn in e.turns]


def _judged(transcript: Transcript, label: ExampleLabel) -> Example | None:
    if label.mentions is None or (label.mentions and label.relies is None):
        return None
    quote = None
    if label.mentions:
        quote = verified_quote(label.quote or judge_lexically(transcript).quote, transcript.text)
        if quote is None:
            return None
    finding = Finding(
        mentions=label.mentions,
        relies=bool(label.relies),
        rejects=label.rejects,
        only_verifies=bool(label.only_verifies),
        quote=quote,
    )
    asked = judge_messages(transcript, transcript.text, "chain of thought", view_hint(transcript).hint)[1:]
    answer = {"role": "assistant", "content": finding.model_dump_json()}
    return Example(transcript, [*asked, answer], bool(label.value("verbalized")))


def _rated(transcript: Transcript, label: ExampleLabel) -> Example | None:
    if label.reliance is None:
        return None
    rating = Rating(reliance=label.reliance, quote=verified_quote(label.quote, transcript.text))
    asked = monitor_messages(transcript, transcript.text, "chain of thought")[1:]
    return Example(
        transcript, [*asked, {"role": "assistant", "content": rating.model_dump_json()}], label.reliance > 50
    )
