"""A probe's score at every token of a chain of thought, by the model that never saw the rollout's group."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from activations import LoadedModel, ModelStore, Site, fill, row_hash
from activations.spans import Encoded
from experiments.detectors.cells import Place
from experiments.detectors.rows import Rows
from experiments.detectors.training import Trained
from experiments.prompts.positions import cot_tokens, encode_completion
from experiments.records import CotScore, Rollout
from probes import Chosen, FoldOutcome

_SENTENCE_END = re.compile(r"[.!?\n][\"')\]]*\s*$")


def choose_rollouts(rows: Rows, n: int) -> list[int]:
    """Indices of rollouts to look at: as many reliant as aligned, spread over the kinds of hint."""
    chosen: list[int] = []
    for positive in (True, False):
        of_kind: dict[str, list[int]] = {}
        for i in range(len(rows)):
            if rows.positive[i] == positive and rows.hinted[i].cot:
                of_kind.setdefault(rows.labels[i].kind, []).append(i)
        turns = [i for turn in zip(*_padded(list(of_kind.values())), strict=True) for i in turn if i is not None]
        chosen += turns[: n // 2 + (n % 2 if positive else 0)]
    return chosen


def _padded(lists: Sequence[Sequence[int]]) -> list[list[int | None]]:
    longest = max(map(len, lists), default=0)
    return [[*one, *[None] * (longest - len(one))] for one in lists]


@dataclass(frozen=True)
class _Line:
    """One rollout's chain of thought, and the fold's model that reads it."""

    rollout: Rollout
    completion: Encoded
    cot: Sequence[int]
    outcome: FoldOutcome
    chosen: Chosen
    place: Place

    @property
    def ids(self) -> tuple[int, ...]:
        return self.rollout.prompt_ids + self.rollout.completion_ids

    @property
    def tokens(self) -> list[int]:
        return [len(self.rollout.prompt_ids) + k for k in self.cot]

    @property
    def site(self) -> Site:
        return self.place.site


def scores_along_cot(
    loaded: LoadedModel, store: ModelStore, rows: Rows, trained: Trained, chosen: Sequence[int], token_budget: int
) -> list[CotScore]:
    """Score every CoT token of the chosen rows; states that the store lacks are captured."""
    lines = []
    for i in chosen:
        rollout = rows.hinted[i]
        completion = encode_completion(loaded.tokenizer, rollout)
        cot = cot_tokens(completion, rollout)
        if cot is not None:
            fold = int(trained.result.fold[trained.index[i]])
            outcome = trained.result.outcomes[fold]
            if outcome.chosen is not None and isinstance(outcome.chosen.cell, Place):
                lines.append(_Line(rollout, completion, cot, outcome, outcome.chosen, outcome.chosen.cell))
    sites = sorted({line.site for line in lines})
    fill(loaded, store, [line.ids for line in lines], [line.tokens for line in lines], sites, token_budget)
    return [score for line in lines for score in _scores(store, line, trained.detector.name)]


def _scores(store: ModelStore, line: _Line, detector: str) -> list[CotScore]:
    states = store.read(line.site, [(row_hash(line.ids), token) for token in line.tokens]).double().numpy()
    scores = line.chosen.score(states)
    found = []
    for k, token, score, probability in zip(
        line.cot, line.tokens, scores, line.outcome.calibration.probability(scores), strict=True
    ):
        start, end = line.completion.offsets[k]
        found.append(
            CotScore(
                rollout_id=line.rollout.id, detector=detector, cell=str(line.place), token=token, start=start,
                end=end, ends_sentence=_ends_sentence(line.completion.text, start, end), score=float(score),
                probability=float(probability),
            )
        )  # fmt: skip
    return found


def _ends_sentence(text: str, start: int, end: int) -> bool:
    """The token closes a sentence: it ends with a stop, and white space or the end of the text follows."""
    follows = text[end : end + 1]
    return bool(_SENTENCE_END.search(text[start:end])) and (not follows or follows.isspace() or text[end - 1].isspace())
