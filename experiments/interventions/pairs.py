"""Rollouts → patch pairs: the hinted run against its swapped, neutral or unhinted one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from experiments.prompts.positions import locate, prompt_places
from experiments.records import Item, Label, Rollout
from experiments.records.causal import PatchSource
from probes.patching import Alignment, PatchPair, first_divergence

Readout = Literal["first_divergence", "pre_answer"]
PROMPT_POSITIONS = ("pointer", "hint_end", "question_end", "prompt_end")
READOUT_POSITIONS = ("readout-2", "readout-1", "readout")


@dataclass(frozen=True)
class PairMaker:
    """Makes the patch pair of one hinted rollout, or says why there is none.

    Attributes:
        tokenizer: the model's.
        comparison: the run whose states are the source.
        readout: where both runs are read; both share the hinted completion up to there.
        positions: names that are patched; ``readout-1`` is the token before the readout.
    """

    tokenizer: Any
    comparison: PatchSource
    readout: Readout
    positions: tuple[str, ...]

    def make(self, item: Item, hinted: Rollout, source: Rollout) -> PatchPair | str:
        """The pair, noising: the hinted run is the base."""
        token_aligned = self.comparison == "swapped"
        if token_aligned and len(hinted.prompt_ids) != len(source.prompt_ids):
            return "the swapped prompt has another length"
        where = self._where(item, hinted, source)
        if isinstance(where, str):
            return where
        shared, other_token = where
        base_ids = hinted.prompt_ids + hinted.completion_ids[:shared]
        source_ids = source.prompt_ids + hinted.completion_ids[:shared]
        found = self._named(item, hinted, source, len(base_ids) - 1)
        if isinstance(found, str):
            return found
        if hinted.completion_ids[shared] == other_token:
            return "both runs answer alike"
        return PatchPair(
            base_ids=base_ids,
            source_ids=source_ids,
            base_token=hinted.completion_ids[shared],
            source_token=other_token,
            positions=found,
            group=item.question.group,
            alignment=None if token_aligned else self._alignment(hinted, source, base_ids, source_ids),
            readout=self.readout,
        )

    def _where(self, item: Item, hinted: Rollout, source: Rollout) -> tuple[int, int] | str:
        """Completion tokens that both runs share, and what the source run says next."""
        if self.readout == "first_divergence":
            shared = first_divergence(hinted.completion_ids, source.completion_ids)
            return "the completions do not diverge" if shared is None else (shared, source.completion_ids[shared])
        answers = []
        for rollout in (hinted, source):
            found, missing = locate(self.tokenizer, item, rollout, ("pre_answer",))
            if missing:
                return f"pre_answer: {missing['pre_answer']}"
            answers.append(found["pre_answer"] + 1 - len(rollout.prompt_ids))
        return answers[0], source.completion_ids[answers[1]]

    def _named(self, item: Item, hinted: Rollout, source: Rollout, readout: int) -> dict[str, tuple[int, ...]] | str:
        """Tokens of each patched position, or the reason why a pair has none.

        A mark that moves stands at two places, the hinted and the swapped run's; both are patched together.
        """
        names = tuple(name for name in self.positions if name in PROMPT_POSITIONS)
        here, missing = locate(self.tokenizer, item, hinted, names)
        if missing:
            return f"{next(iter(missing))} is not resolved"
        there = here
        if self.comparison == "swapped":
            there, _ = locate(self.tokenizer, item, source, names)
        found = {name: tuple(sorted({here[name], there.get(name, here[name])})) for name in names}
        for name in self.positions:
            if name in READOUT_POSITIONS:
                found[name] = (readout + int(name.removeprefix("readout") or 0),)
        if len(set(found.values())) < len(found):
            return "named positions coincide"
        return found

    def _alignment(
        self, hinted: Rollout, source: Rollout, base_ids: tuple[int, ...], source_ids: tuple[int, ...]
    ) -> Alignment:
        """Question with question, the prompt's common end and the shared completion token by token."""
        spans = []
        for rollout in (hinted, source):
            places = prompt_places(self.tokenizer, rollout)
            spans.append({name: places[name] for name in ("question",) if name in places})
        tail = _common_end(hinted.prompt_ids, source.prompt_ids)
        for found, rollout, ids in zip(spans, (hinted, source), (base_ids, source_ids), strict=True):
            n_prompt = len(rollout.prompt_ids)
            found["the prompt's end and the completion"] = range(n_prompt - tail, len(ids))
        return Alignment.of_spans(len(base_ids), len(source_ids), spans[0], spans[1])


def parts_at_letter(tokenizer: Any, item: Item, hinted: Rollout, pair: PatchPair) -> bool:
    """Whether the token that a pair is read for is the letter of the hinted run's answer."""
    found, _ = locate(tokenizer, item, hinted, ("pre_answer",))
    return found.get("pre_answer") == len(pair.base_ids) - 1


def _common_end(first: Sequence[int], second: Sequence[int]) -> int:
    same = first_divergence(first[::-1], second[::-1])
    return min(len(first), len(second)) if same is None else same


def candidates(labels: Sequence[Label], comparison: PatchSource) -> list[Label]:
    """Rows whose hinted run follows the hint where its source run does not.

    For the swapped run these are the strongly reliant rows, which follow the swapped hint; else all reliant rows.
    """
    return [row for row in labels if row.behaviour == "reliant" and (row.strong or comparison != "swapped")]
