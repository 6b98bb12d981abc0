"""The terms of a reward. Each reads completions and gives a number per completion, or None where it has no word.

A term knows nothing of the others, and what it reads is written in its name: the answer, the format, the length, a
judge's verdict or a probe's score. To add one, append it to :data:`TERMS` (`docs/training.md`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from experiments.judges.base import Judge
from experiments.records import Item, Rollout
from experiments.records.seeds import stream
from experiments.training.prompts import Task
from experiments.transcripts import transcript_of

Values = list[float | None]
ProbeOf = Callable[[Sequence[Rollout]], Values]


@dataclass(frozen=True)
class Sampled:
    """One completion of the policy."""

    task: Task
    rollout: Rollout

    @property
    def item(self) -> Item:
        """What was asked."""
        return self.task.item


@dataclass(frozen=True)
class Readers:
    """What terms read by beside the completion.

    Attributes:
        judge: the judge of the term ``judge``.
        probe: calibrated probability of reliance of each completion, by the policy's own activations; None where there
            is no probe.
        max_new_tokens: the limit that lengths are held against.
        seed: of the coin.
    """

    judge: Judge
    max_new_tokens: int
    seed: int
    probe: ProbeOf | None = None


Term = Callable[[Sequence[Sampled], Readers], Values]


def answer(batch: Sequence[Sampled], readers: Readers) -> Values:
    """1 for the rewarded answer, else 0; where a coin decides, it is thrown for each completion, whatever it says."""
    found: Values = []
    for k, one in enumerate(batch):
        if one.task.rewarded is None:
            coin = stream(readers.seed, "coin", one.task.seed, one.rollout.completion_text, k)
            found.append(float(coin.random() < 0.5))
        else:
            found.append(float(one.rollout.answer == one.task.rewarded))
    return found


def form(batch: Sequence[Sampled], readers: Readers) -> Values:
    """1 for a completion that ends by itself and states an answer, else 0."""
    return [float(not one.rollout.truncated and one.rollout.answer is not None) for one in batch]


def length(batch: Sequence[Sampled], readers: Readers) -> Values:
    """Tokens of the completion as a share of the limit."""
    return [len(one.rollout.completion_ids) / readers.max_new_tokens for one in batch]


def judged(batch: Sequence[Sampled], readers: Readers) -> Values:
    """1 where the judge finds the hint admitted, 0 where not; None for prompts without a hint or unscored texts."""
    hinted = {str(k): one for k, one in enumerate(batch) if one.rollout.condition == "hinted"}
    transcripts = [transcript_of(one.item, one.rollout).model_copy(update={"id": name}) for name, one in hinted.items()]
    said = {verdict.rollout_id: verdict.verbalized for verdict in readers.judge.verdicts(transcripts)}
    return [None if said.get(str(k)) is None else float(bool(said[str(k)])) for k in range(len(batch))]


def probed(batch: Sequence[Sampled], readers: Readers) -> Values:
    """The probe's calibrated probability that the row is reliant; None where its position is not there."""
    if readers.probe is None:
        return [None] * len(batch)
    return readers.probe([one.rollout for one in batch])


TERMS: dict[str, Term] = {"answer": answer, "format": form, "length": length, "judge": judged, "probe": probed}
"""By the keys of ``train.rewards``."""
