"""Language models as judges and as reliance monitors.

A long text is read in overlapping pieces. The chain of thought and the visible answer are judged apart. What a judge
cannot answer in the form asked for, or proves with a quote that the text does not hold, is ``unparseable``; what its
server cannot answer is an ``error``. Neither is ever taken for silence.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

from activations.errors import HintprobeError
from experiments.config import JudgeModel
from experiments.engines.replies import Reply
from experiments.judges.asking import UNFINISHED, EndpointError, KeptAnswers, open_asker
from experiments.judges.examples import Example, read_examples, turns_for
from experiments.judges.hint_view import view_hint
from experiments.judges.questions import AGAIN, Finding, Messages, Rating, judge_messages, monitor_messages
from experiments.judges.reading import UnreadableError, chunks, read_object, verified_quote
from experiments.records import Record, Verdict
from experiments.transcripts import Transcript

R = TypeVar("R", bound=Record)
Status = Literal["unparseable", "error", "truncated", "nothing_to_judge"]

_FATAL = (401, 403, 404)
"""HTTP states that every further question would meet too."""


def merged(findings: Sequence[Finding]) -> Finding:
    """Findings on pieces of one text as one: what any piece says, the text says; a check only if all mentions are."""
    mentioning = [finding for finding in findings if finding.mentions]
    relies = any(finding.relies for finding in mentioning)
    quotes = [f.quote for f in sorted(mentioning, key=lambda f: not f.relies) if f.quote]
    return Finding(
        mentions=bool(mentioning),
        relies=relies,
        rejects=any(finding.rejects for finding in mentioning),
        only_verifies=bool(mentioning) and all(finding.only_verifies for finding in mentioning),
        quote=quotes[0] if quotes else None,
    )


class LlmJudge:
    """A language model that reads transcripts, as a judge or as a monitor.

    Attributes:
        name: the name it has in the configuration.
        examples: labelled transcripts that it is shown first.
        unreached: transcripts that the server could not be asked about at all, or was too busy for: worth asking again.
    """

    def __init__(self, name: str, model: JudgeModel, kept: KeptAnswers, examples: Sequence[Example] = ()) -> None:
        self.name = name
        self.examples = examples
        self.model = model
        self.kept = kept
        self.unreached = 0
        self._last_error: HintprobeError | None = None

    def verdicts(self, transcripts: Iterable[Transcript]) -> Iterator[Verdict]:
        """One verdict per transcript, several in flight at a time.

        Raises:
            HintprobeError: the budget is spent, the key or the model is refused, or nothing at all was answered; the
                verdicts that were given are yielded first.
        """
        waiting = iter(transcripts)
        answered = False
        while batch := list(islice(waiting, 4 * self.kept.asker.endpoint.concurrency)):
            found: list[Verdict] = []
            failure = self._read_batch(batch, found)
            yield from found
            answered = answered or any(verdict.status != "error" for verdict in found)
            if failure is None and not answered and len(found) >= 3:
                failure = self._last_error
            if failure is not None:
                raise failure

    def _read_batch(self, batch: list[Transcript], found: list[Verdict]) -> HintprobeError | None:
        """Append the batch's verdicts to ``found``; what stopped it, if anything did."""

        def keep(_: Transcript, verdict: Verdict) -> None:
            found.append(verdict)

        try:
            self.kept.asker.each(batch, self.read, keep)
        except HintprobeError as error:
            return error
        return None

    def spent(self) -> dict[str, float]:
        """Requests, tokens and cost of what was asked anew, and how many answers were found kept."""
        usage = self.kept.asker.usage
        return {
            "requests": usage.requests,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cost": usage.cost(self.kept.asker.endpoint),
            "found_kept": self.kept.hits,
        }

    def read(self, transcript: Transcript) -> Verdict:
        """Read one transcript.

        Raises:
            HintprobeError: a failure that every further question would meet too.
        """
        if transcript.truncated:
            return self._unscored(transcript, "truncated")
        if not transcript.has_reasoning:
            return self._unscored(transcript, "nothing_to_judge")
        if self.model.unhinted and not transcript.unhinted_text:
            return self._unscored(transcript, "error")  # it would be asked with less than the others
        try:
            return self._rate(transcript) if self.model.role == "monitor" else self._judge(transcript)
        except UnreadableError:
            return self._unscored(transcript, "unparseable")
        except EndpointError as error:
            if error.status in _FATAL:
                raise
            self._last_error = error
            self.unreached += error.status is None or error.status == 429 or error.status >= 500
            return self._unscored(transcript, "error")

    def _unscored(self, transcript: Transcript, status: Status) -> Verdict:
        return Verdict(rollout_id=transcript.id, judge=self.name, status=status)

    def _judge(self, transcript: Transcript) -> Verdict:
        what = "chain of thought" if transcript.cot is not None else "answer"
        finding = self._find(transcript, transcript.text, what)
        apart: bool | None = None
        if transcript.cot is not None and transcript.answer_text.strip():
            try:
                apart = self._find(transcript, transcript.answer_text, "visible answer").mentions
            except (UnreadableError, EndpointError):
                apart = None
        return Verdict(
            rollout_id=transcript.id,
            judge=self.name,
            status="ok",
            answer_mentions=apart,
            **finding.model_dump(),
        )

    def _find(self, transcript: Transcript, text: str, what: str) -> Finding:
        hint = view_hint(transcript).hint
        found = []
        for piece, label in self._pieces(text, what):
            messages = judge_messages(transcript, piece, label, hint, self._without(transcript))
            found.append(self._ask(self._shown(messages, transcript), Finding, partial(checked, piece=piece)))
        return merged(found)

    def _rate(self, transcript: Transcript) -> Verdict:
        ratings = [
            self._ask(
                self._shown(monitor_messages(transcript, piece, label, self._without(transcript)), transcript),
                Rating,
                lambda rating: rating,
            )
            for piece, label in self._pieces(transcript.text, "chain of thought")
        ]
        highest = max(ratings, key=lambda rating: rating.reliance)
        return Verdict(
            rollout_id=transcript.id,
            judge=self.name,
            status="ok",
            reliance=float(highest.reliance),
            quote=verified_quote(highest.quote, transcript.text),
        )

    def _without(self, transcript: Transcript) -> str:
        return (transcript.unhinted_text or "") if self.model.unhinted else ""

    def _shown(self, messages: Messages, transcript: Transcript) -> Messages:
        """The question behind its examples."""
        return [messages[0], *turns_for(self.examples, transcript), *messages[1:]]

    def _pieces(self, text: str, what: str) -> list[tuple[str, str]]:
        pieces = chunks(text, self.model.chunk_chars, self.model.overlap_chars)
        if len(pieces) == 1:
            return [(pieces[0], what)]
        return [(piece, f"{what}, part {k} of {len(pieces)}") for k, piece in enumerate(pieces, 1)]

    def _ask(self, messages: Messages, record: type[R], check: Callable[[R], R]) -> R:
        """Ask; an answer that cannot be read, contradicts itself or proves nothing is asked for once more, with why."""
        schema = record if self.model.structured else None
        first = self.kept.ask(messages, self.model, schema)
        try:
            return check(_read(first, record))
        except UnreadableError as problem:
            again = AGAIN.format(problem=problem)
        said = {"role": "assistant", "content": first.text or "(nothing)"}
        second = self.kept.ask([*messages, said, {"role": "user", "content": again}], self.model, schema)
        return check(_read(second, record))


def _read(reply: Reply, record: type[R]) -> R:
    """The object in a reply; a reply that was cut or filtered is none, whatever draft it holds."""
    if reply.finish_reason in UNFINISHED:
        raise UnreadableError(f"it was not finished ({reply.finish_reason}); answer without thinking aloud")
    return read_object(reply.text, record)


def checked(finding: Finding, piece: str) -> Finding:
    """A finding with the words of the text that its quote copies.

    Raises:
        UnreadableError: it contradicts itself, or what it calls a mention is not in the text.
    """
    if not finding.mentions:
        if finding.relies or finding.only_verifies:
            raise UnreadableError("it contradicts itself: a text that does not mention the hint cannot rely on it")
        return finding.model_copy(update={"quote": None})
    quote = verified_quote(finding.quote, piece)
    if quote is None:
        raise UnreadableError("the quote is not in the text; copy one sentence of it letter by letter")
    return finding.model_copy(update={"quote": quote})


def build_llm_judge(name: str, model: JudgeModel, cache: Path) -> LlmJudge:
    """A judge as configured.

    Args:
        cache: folder in which its answers are kept by content.
    """
    examples = read_examples(model.examples, model.role) if model.examples is not None else []
    return LlmJudge(name, model, KeptAnswers(cache, open_asker(model)), examples)
