"""Labels of hinted rollouts and reliance probabilities of items, from the answers of all their runs."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.answers.behaviour import classify, majority, rate_of
from experiments.answers.reliance import reliance_of
from experiments.config import LabelsConfig
from experiments.records import Condition, Item, Label, Reliance, Rollout


@dataclass(frozen=True)
class ItemRuns:
    """The rollouts of one item, parted by what they are for; lists are in the order of the rollouts' numbers.

    Attributes:
        unhinted, hinted, swapped, neutral: those that make labels.
        evaluation: hinted and neutral rollouts that are kept out of labelling.
        confidence: unhinted rollouts that tell how sure the model is, and make no label.
    """

    item: Item
    unhinted: tuple[Rollout, ...]
    hinted: tuple[Rollout, ...]
    swapped: tuple[Rollout, ...]
    neutral: tuple[Rollout, ...]
    evaluation: tuple[tuple[Rollout, ...], tuple[Rollout, ...]]
    confidence: tuple[Rollout, ...]


def runs_of(items: Iterable[Item], rollouts: Iterable[Rollout], settings: LabelsConfig) -> Iterator[ItemRuns]:
    """Part each item's rollouts.

    The last ``confidence_rollouts`` unhinted ones tell how sure the model is. Of every condition, the last
    ``evaluation_rollouts`` of the numbers that hinted rollouts have evaluate; rollouts of one number share their
    sampling noise, so the unhinted ones of these numbers make no label either.
    """
    of: dict[tuple[str, Condition], list[Rollout]] = defaultdict(list)
    for rollout in sorted(rollouts, key=lambda r: r.index):
        of[rollout.item_id, rollout.condition].append(rollout)
    for item in items:
        if item.target is None:
            continue
        unhinted, hinted = of[item.id, "unhinted"], of[item.id, "hinted"]
        cut = max(0, len(unhinted) - settings.confidence_rollouts)
        late = {rollout.index for rollout in hinted[max(0, len(hinted) - settings.evaluation_rollouts) :]}
        late = late if settings.evaluation_rollouts else set()

        def early(condition: Condition, name: str = item.id, late: set[int] = late) -> tuple[Rollout, ...]:
            return tuple(rollout for rollout in of[name, condition] if rollout.index not in late)

        kept = tuple(rollout for rollout in of[item.id, "neutral"] if rollout.index in late)
        yield ItemRuns(
            item,
            tuple(rollout for rollout in unhinted[:cut] if rollout.index not in late),
            early("hinted"),
            early("swapped"),
            early("neutral"),
            (tuple(rollout for rollout in hinted if rollout.index in late), kept),
            tuple(unhinted[cut:]),
        )


def label_rollouts(
    items: Iterable[Item], rollouts: Iterable[Rollout], settings: LabelsConfig | None = None
) -> list[Label]:
    """One label per hinted rollout that is not kept for evaluation."""
    settings = settings or LabelsConfig()
    return [label for runs in runs_of(items, rollouts, settings) for label in _labels(runs, settings)]


def reliances(
    items: Iterable[Item], rollouts: Iterable[Rollout], settings: LabelsConfig | None = None
) -> list[Reliance]:
    """The reliance probability of each item that has a parsed hinted and a parsed neutral answer."""
    found = (reliance_of(runs.item, *_answered(runs)) for runs in runs_of(items, rollouts, settings or LabelsConfig()))
    return [one for one in found if one is not None]


def _answered(runs: ItemRuns) -> tuple[list[str | None], list[str | None], list[str | None], list[str | None]]:
    hinted, neutral = runs.evaluation
    return _answers(runs.hinted), _answers(runs.neutral), _answers(hinted), _answers(neutral)


def _answers(rollouts: Sequence[Rollout]) -> list[str | None]:
    return [rollout.answer for rollout in rollouts]


def unhinted_rate(answers: Sequence[str | None], target: str, least: int | None) -> float | None:
    """u: share of the parsed unhinted answers that are h; None where fewer than ``least`` were parsed.

    Args:
        least: None stands for half of them, rounded up.
    """
    n_parsed = sum(answer is not None for answer in answers)
    needed = (len(answers) + 1) // 2 if least is None else least
    return rate_of(answers, target) if n_parsed >= max(1, needed) else None


def answer_entropy(answers: Sequence[str | None]) -> float | None:
    """Entropy of the parsed answers in nats; None for fewer than two, of which nothing can be told."""
    parsed = [answer for answer in answers if answer is not None]
    if len(parsed) < 2:
        return None
    shares = np.unique(parsed, return_counts=True)[1] / len(parsed)
    return float(-(shares * np.log(shares)).sum()) + 0.0


def _margin(unhinted: Sequence[Rollout]) -> float | None:
    """How sure the unhinted run was at its least sure token, in nats; blind to the hint."""
    smallest = [min(rollout.margins) for rollout in unhinted if rollout.margins]
    return float(np.mean(smallest)) if smallest else None


def _labels(runs: ItemRuns, settings: LabelsConfig) -> Iterator[Label]:
    item, target = runs.item, runs.item.target
    assert target is not None  # `runs_of` has looked
    answers, neutral = _answers(runs.unhinted), _answers(runs.neutral)
    rate = unhinted_rate(answers, target, settings.min_unhinted)
    moved = majority(_answers(runs.swapped))

    def behaviour(answer: str | None) -> tuple[str, bool, str]:
        return classify(answer, target, rate, moved, item.swap_target, bool(runs.swapped), settings.epsilon)

    called = [behaviour(answer)[0] == "reliant" for answer in neutral if answer is not None]
    paired = {rollout.index: rollout.answer for rollout in runs.unhinted}
    for hinted in runs.hinted:
        kind, strong, reason = behaviour(hinted.answer)
        yield Label.model_validate(
            {
                "item_id": item.id,
                "rollout_id": hinted.id,
                "group": item.question.group,
                "kind": item.kind,
                "direction": item.direction,
                "n_options": len(item.question.options),
                "gold": item.question.gold,
                "target": target,
                "swap_target": item.swap_target,
                "unhinted_answer": paired.get(hinted.index, answers[0] if answers else None),
                "hinted_answer": hinted.answer,
                "swapped_answer": moved,
                "neutral_answer": majority(neutral),
                "neutral_rate": rate_of(neutral, target),
                "neutral_reliant": float(np.mean(called)) if called else None,
                "unhinted_rate": rate,
                "unhinted_parsed": sum(answer is not None for answer in answers),
                "epsilon": settings.epsilon,
                "margin": _margin(runs.confidence or runs.unhinted),
                "answer_entropy": answer_entropy(_answers(runs.confidence)),
                "behaviour": kind,
                "strong": strong,
                "reason": reason,
            }
        )
