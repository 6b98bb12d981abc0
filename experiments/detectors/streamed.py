"""A saved probe that watches a chain of thought grow: a score at every token, from the text so far alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from activations import Decoding, LoadedModel, Site, capture
from activations.errors import HintprobeError
from activations.spans import encode
from activations.streaming import StreamedToken, stream
from experiments.answers.splitting import split_completion
from experiments.detectors.saved import COT_TOKENS, RATE, STREAM
from experiments.detectors.scoring import name_of, thinned
from experiments.prompts.positions import cot_tokens, encode_completion
from experiments.records import Record
from experiments.records.tables import RecordTable
from experiments.run.lock import holding
from experiments.run.progress import Reporter
from experiments.transcripts.completed import CompletedTranscript, as_rollout, prompt_of
from probes import SavedProbe
from probes.arrays import Array


class StreamedScores(Record):
    """What a saved probe said of one completion while it was read or written."""

    key_fields = ("id",)
    id: str = Field(description="the transcript")
    probe: str = Field(description="the probe: its detector's name, site, position and model")
    tokens: tuple[int, ...] = Field((), description="tokens of the chain of thought, by index in prompt and completion")
    ends: tuple[int, ...] = Field((), description="character of the completion at which each of them ends")
    scores: tuple[float, ...] = Field((), description="log-odds of the positive class after each, from the text so far")
    highest: float | None = Field(None, description="the highest of them")
    alarm: bool | None = Field(
        None, description="one of them is above the threshold that 5% of the training negatives ever exceeded in their "
        "whole text; null: the probe has no such threshold"
    )  # fmt: skip
    alarm_token: int | None = Field(None, description="the first token above it")
    completion: str = Field("", description="what the model wrote, where it was completed here")
    reason: str = Field("", description="why there is no score")


@dataclass
class PrefixReader:
    """Scores of a growing text.

    A probe of all tokens reads those so far, thinned out evenly to as many as it was trained on; one of a single
    position reads the newest.
    """

    saved: SavedProbe
    states: list[Array] = field(default_factory=list)

    def take(self, state: Array) -> float:
        """The score once this token's state, ``[d]``, is there."""
        if self.saved.card.position != COT_TOKENS:
            return float(self.saved.scores(state[None])[0])
        self.states.append(state)
        return float(self.saved.scores([np.stack(thinned(self.states, self.saved))])[0])


def check_streams(saved: SavedProbe) -> None:
    """Refuse a probe that has nothing to say of a text that is not finished.

    Raises:
        HintprobeError: it reads the prompt, or the answer.
    """
    position = saved.card.position
    if position != COT_TOKENS and not position.startswith(("cot_", "think_")):
        raise HintprobeError(
            f"The probe reads {position}, which is a single position outside the chain of thought; --stream follows "
            "the chain of thought token by token. Give a probe that reads there, such as "
            "probes/reliant/probe_within_cot, or a probe of all its tokens (probe.estimators: max_pooling, "
            "mean_pooling, last_token, trajectory)."
        )


@dataclass(frozen=True)
class Writing:
    """How a completion that a line lacks is written.

    Attributes:
        stop_at_alarm: end it there.
    """

    decoding: Decoding
    seed: int = 0
    stop_at_alarm: bool = False


def stream_transcripts(
    loaded: LoadedModel,
    saved: SavedProbe,
    transcripts: Sequence[CompletedTranscript],
    out: Path,
    reporter: Reporter,
    writing: Writing,
) -> dict[str, Any]:
    """Follow every transcript that ``out`` does not hold yet; a line without a completion is completed here.

    Raises:
        HintprobeError: ``out`` holds scores of another probe, or the probe cannot be followed.
    """
    check_streams(saved)
    table, name = RecordTable(out, StreamedScores), name_of(saved)
    if not out.parent.is_dir():
        raise HintprobeError(f"The folder {out.parent} for scores does not exist. Make it, then run again.")
    with holding(out.parent, f".{out.name}.lock"):
        done = {line.id: line for line in table.resume()}
        if any(line.probe != name for line in done.values()):
            raise HintprobeError(
                f"{out} holds scores of another probe than {name}. It was left unchanged; use another -o."
            )
        waiting = [transcript for transcript in transcripts if transcript.id not in done]
        with reporter.bar("stream", len(waiting)) as tick:
            for transcript in waiting:
                if transcript.completion_text:
                    line = read(loaded, saved, transcript)
                else:
                    line = written(loaded, saved, transcript, writing)
                table.append([line])
                done[line.id] = line
                tick(1)
    own = [done[transcript.id] for transcript in transcripts]
    return {
        "probe": name,
        "target": saved.card.target,
        "model": loaded.name,
        "other_model": loaded.fingerprint != saved.card.model,
        "transcripts": len(own),
        "scored": sum(bool(line.scores) for line in own),
        "alarms": sum(bool(line.alarm) for line in own) if threshold_of(saved) is not None else None,
        "threshold": threshold_of(saved),
        "out": str(out),
    }


def threshold_of(saved: SavedProbe) -> float | None:
    """The score that a share of 5% of the training negatives ever exceeded, held out; None where it is not known."""
    return saved.card.thresholds.get(f"{STREAM} {RATE}")


def read(loaded: LoadedModel, saved: SavedProbe, transcript: CompletedTranscript) -> StreamedScores:
    """A completion that is there, in one forward: no state knows what comes after it."""
    rollout = as_rollout(loaded.tokenizer, transcript)
    completion = encode_completion(loaded.tokenizer, rollout)
    cot = cot_tokens(completion, rollout)
    if cot is None:
        return StreamedScores(id=transcript.id, probe=name_of(saved), reason="no chain of thought")
    tokens = [len(rollout.prompt_ids) + k for k in cot]
    site = Site.parse(saved.card.site)
    ((_, states),) = capture(loaded, [rollout.prompt_ids + rollout.completion_ids], [tokens], [site])
    reader = PrefixReader(saved)
    scores = [reader.take(state) for state in states[site][0].double().numpy()]
    return _line(saved, transcript.id, tokens, [completion.offsets[k][1] for k in cot], scores)


def written(
    loaded: LoadedModel, saved: SavedProbe, transcript: CompletedTranscript, writing: Writing
) -> StreamedScores:
    """A completion that the model writes now: each token of its chain of thought is scored before the next is drawn."""
    prompt = prompt_of(loaded.tokenizer, transcript)
    ids = encode(loaded.tokenizer, prompt).ids
    watch = _Watch(saved, loaded.tokenizer, prompt, len(ids))
    threshold = threshold_of(saved)
    for token in stream(loaded, ids, writing.decoding, Site.parse(saved.card.site), writing.seed):
        if token.ends:
            break
        watch.take(token)
        if writing.stop_at_alarm and threshold is not None and max(watch.scores, default=threshold) > threshold:
            break
    found = _line(saved, transcript.id, watch.tokens, watch.ends, watch.scores)
    return found.model_copy(update={"completion": watch.text})


@dataclass
class _Watch:
    """A completion as it grows, and the scores of its chain of thought so far."""

    saved: SavedProbe
    tokenizer: Any
    prompt: str
    n_prompt: int
    ids: list[int] = field(default_factory=list)
    text: str = ""
    tokens: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = PrefixReader(self.saved)
        self._blank: list[tuple[int, int, Array]] = []

    def take(self, token: StreamedToken) -> None:
        """One more token. White space counts once thinking goes on behind it: before the closing mark it is none."""
        self.ids.append(token.id)
        before, self.text = len(self.text), str(self.tokenizer.decode(self.ids))
        split = split_completion(self.text, self.prompt)
        if split.closing is not None or not split.thinking:
            self._blank = []
            return
        thinks = split.thinking[-1][1] > before
        if thinks or self.tokens:
            at = self.n_prompt + len(self.ids) - 1
            self._blank.append((at, len(self.text), token.state.double().numpy()))
        if thinks:
            for at, end, state in self._blank:
                self.tokens.append(at)
                self.ends.append(end)
                self.scores.append(self._reader.take(state))
            self._blank = []


def _line(
    saved: SavedProbe, name: str, tokens: Sequence[int], ends: Sequence[int], scores: Sequence[float]
) -> StreamedScores:
    threshold = threshold_of(saved)
    over = [t for t, score in zip(tokens, scores, strict=True) if threshold is not None and score > threshold]
    return StreamedScores(
        id=name,
        probe=name_of(saved),
        tokens=tuple(tokens),
        ends=tuple(ends),
        scores=tuple(scores),
        highest=max(scores, default=None),
        alarm=bool(over) if threshold is not None and scores else None,
        alarm_token=over[0] if over else None,
        reason="" if scores else "no chain of thought",
    )
