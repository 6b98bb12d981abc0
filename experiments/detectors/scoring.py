"""A saved probe on rollouts that it never saw."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from activations import LoadedModel, Site, capture
from activations.errors import HintprobeError
from activations.sites import decoder_blocks
from experiments.detectors.saved import COT_TOKENS, RATE, TEXT
from experiments.prompts.positions import cot_tokens, encode_completion, locate_in
from experiments.records import Record, Rollout
from experiments.records.tables import RecordTable
from experiments.run.lock import holding
from experiments.run.progress import Reporter
from experiments.transcripts.completed import CompletedTranscript, as_rollout
from probes import SavedProbe


class TranscriptScore(Record):
    """What a saved probe says of one transcript."""

    key_fields = ("id",)
    id: str = Field(description="the transcript")
    probe: str = Field(description="the probe: its detector's name, site, position and model")
    score: float | None = Field(description="log-odds of the positive class; null where the position is not there")
    probability: float | None = Field(description="the same, calibrated; null without a calibration")
    flagged: bool | None = Field(description="score above the threshold that 5% of the training negatives exceeded")
    token: int | None = Field(description="index of the (last) token read, in prompt and completion together")
    reason: str = Field("", description="why there is no score")


def check_use(saved: SavedProbe, loaded: LoadedModel, force: bool) -> None:
    """Refuse a probe that cannot, or should not, read this model.

    Args:
        force: take another model than the probe's; its scores then mean what the user can show that they mean.

    Raises:
        HintprobeError: it reads no activations, another model (unless forced), or a site that the model lacks.
    """
    card = saved.card
    if card.site == TEXT:
        raise HintprobeError(
            f"The saved detector reads text ({card.position}), not activations, and `hintprobe score` is for probes. "
            "Give the folder of a probe, such as probes/reliant/probe_within_cot."
        )
    if card.notes.get("unhinted"):
        raise HintprobeError(
            "This probe reads the unhinted run of an item, but a transcript is a single run. Give another probe."
        )
    if not force:
        try:
            saved.check_model(loaded.fingerprint)
        except HintprobeError as error:
            raise HintprobeError(f"{error} `--force` scores it anyway.") from error
    width, layers = loaded.model.config.get_text_config().hidden_size, len(decoder_blocks(loaded.model))
    site = Site.parse(card.site)
    if site.layer >= layers or saved.probe.n_features_in_ != width:
        raise HintprobeError(
            f"The probe reads {card.site} with {saved.probe.n_features_in_} numbers per row, but {loaded.name} has "
            f"{layers} blocks of width {width}. Load the model that the probe was trained on."
        )


def name_of(saved: SavedProbe) -> str:
    """One line that tells a probe from others."""
    card = saved.card
    return f"{card.notes.get('detector', 'probe')} {card.site}@{card.position} of {card.model[:12]}"


def score_transcripts(
    loaded: LoadedModel,
    saved: SavedProbe,
    transcripts: Sequence[CompletedTranscript],
    out: Path,
    reporter: Reporter,
    token_budget: int = 32_768,
) -> dict[str, Any]:
    """Score what ``out`` does not hold yet, batch by batch, and count.

    Raises:
        HintprobeError: ``out`` holds scores of another probe.
    """
    table = RecordTable(out, TranscriptScore)
    name = name_of(saved)
    if not out.parent.is_dir():
        raise HintprobeError(f"The folder {out.parent} for scores does not exist. Make it, then run again.")
    with holding(out.parent, f".{out.name}.lock"):
        done = {line.id: line for line in table.resume()}
        if any(line.probe != name for line in done.values()):
            raise HintprobeError(
                f"{out} holds scores of another probe than {name}. It was left unchanged; use another -o."
            )
        waiting = [transcript for transcript in transcripts if transcript.id not in done]
        with reporter.bar("score", len(waiting)) as tick:
            for lines in _scored(loaded, saved, waiting, token_budget):
                table.append(lines)
                done.update({line.id: line for line in lines})
                tick(len(lines))
    own = [done[transcript.id] for transcript in transcripts]
    return {
        "probe": name,
        "target": saved.card.target,
        "model": loaded.name,
        "other_model": loaded.fingerprint != saved.card.model,
        "transcripts": len(own),
        "scored": sum(line.score is not None for line in own),
        "flagged": sum(bool(line.flagged) for line in own),
        "threshold": saved.card.thresholds.get(str(RATE)),
        "unresolved": dict(Counter(line.reason for line in own if line.reason)),
        "out": str(out),
    }


def _scored(
    loaded: LoadedModel, saved: SavedProbe, transcripts: Sequence[CompletedTranscript], token_budget: int
) -> Iterator[list[TranscriptScore]]:
    """Lines of one batch at a time; first those that cannot be scored."""
    site, whole = Site.parse(saved.card.site), saved.card.position == COT_TOKENS
    rows: list[tuple[Rollout, list[int]]] = []
    lost = []
    for transcript in transcripts:
        rollout = as_rollout(loaded.tokenizer, transcript)
        tokens, missing = _tokens_read(loaded, saved, transcript, rollout)
        if tokens:
            rows.append((rollout, tokens))
        else:
            lost.append(_line(saved, rollout.id, None, None, f"{saved.card.position}: {missing}"))
    yield lost
    ids = [rollout.prompt_ids + rollout.completion_ids for rollout, _ in rows]
    for indices, states in capture(loaded, ids, [tokens for _, tokens in rows], [site], token_budget):
        own = states[site].double().numpy()
        scores = saved.scores([x[: len(rows[i][1])] for i, x in zip(indices, own, strict=True)] if whole else own[:, 0])
        yield [_line(saved, rows[i][0].id, float(s), rows[i][1][-1]) for i, s in zip(indices, scores, strict=True)]


def _tokens_read(
    loaded: LoadedModel, saved: SavedProbe, transcript: CompletedTranscript, rollout: Rollout
) -> tuple[list[int], str]:
    """Tokens of prompt and completion that the probe reads; or none, and why."""
    position = saved.card.position
    if position == COT_TOKENS:
        cot = cot_tokens(encode_completion(loaded.tokenizer, rollout), rollout)
        return (thinned([len(rollout.prompt_ids) + k for k in cot], saved), "") if cot else ([], "no chain of thought")
    found, missing = locate_in(loaded.tokenizer, transcript.n_options, rollout, (position,))
    return ([found[position]], "") if position in found else ([], missing[position])


def thinned(tokens: Sequence[Any], saved: SavedProbe) -> list[Any]:
    """Evenly spaced ones, at most as many as the probe was trained on."""
    most = int(saved.card.notes.get("cot_tokens", 64))
    return list(tokens[:: max(1, -(-len(tokens) // most))])


def _line(saved: SavedProbe, name: str, score: float | None, token: int | None, reason: str = "") -> TranscriptScore:
    threshold, calibration = saved.card.thresholds.get(str(RATE)), saved.card.calibration
    probability = flagged = None
    if score is not None:
        probability = float(calibration.probability(np.array([score]))[0]) if calibration else None
        flagged = score > threshold if threshold is not None else None
    return TranscriptScore(
        id=name,
        probe=name_of(saved),
        score=score,
        probability=probability,
        flagged=flagged,
        token=token,
        reason=reason,
    )
