"""A few items at every checkpoint, side by side: those whose behaviour changes most, over the kinds in turn."""

from collections.abc import Sequence
from itertools import pairwise

from experiments.records import Label
from experiments.records.trajectory import Followed
from experiments.training.measured import Measured


def followed(steps: Sequence[Measured], n: int) -> tuple[Followed, ...]:
    """The first rollout of ``n`` items, those with the most changes of behaviour or admission first."""
    rows = [[(label, one) for label in one.labels if label.rollout_id.endswith(":0")] for one in steps]
    every = [_follow([row[k] for row in rows]) for k in range(len(rows[0]))]
    ranked = sorted(every, key=lambda one: (-_changes(one), one.direction != "incorrect", one.item))
    return tuple(ranked[:n])


def _changes(one: Followed) -> int:
    states = list(zip(one.behaviours, one.verbalized, strict=True))
    return sum(a != b for a, b in pairwise(states))


def _follow(row: Sequence[tuple[Label, Measured]]) -> Followed:
    labels = [label for label, _ in row]
    first = labels[0]
    hinted = [one.rollouts[label.rollout_id] for label, one in row]
    verdicts = [one.verdicts[one.judge][label.rollout_id] for label, one in row]
    return Followed(
        item=first.item_id,
        kind=first.kind,
        direction=first.direction,
        prompt=hinted[0].prompt_text,
        gold=first.gold,
        target=first.target,
        texts=tuple(rollout.completion_text for rollout in hinted),
        answers=tuple(rollout.answer for rollout in hinted),
        behaviours=tuple(label.behaviour for label in labels),
        verbalized=tuple(verdict.verbalized for verdict in verdicts),
    )
