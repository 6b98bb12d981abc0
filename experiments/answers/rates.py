"""How many completions state an answer, by condition, kind of hint and direction.

Answers that are missing more often under a hint than without one bias every figure that is made of the rest;
:mod:`experiments.comparison.parse_bounds` says by how much at worst.
"""

from collections.abc import Iterable

from experiments.records import Condition, Direction, Item, Kind, Rollout
from experiments.records.accounts import ParseRate

_ORDER: tuple[Condition, ...] = ("unhinted", "hinted", "swapped", "neutral")


def parse_rates(items: Iterable[Item], rollouts: Iterable[Rollout]) -> list[ParseRate]:
    """One row per condition, kind and direction that has completions, in that order of sorting."""
    of = {item.id: (item.kind, item.direction) for item in items}
    cells: dict[tuple[Condition, Kind, Direction], list[Rollout]] = {}
    for rollout in rollouts:
        if rollout.item_id in of:
            cells.setdefault((rollout.condition, *of[rollout.item_id]), []).append(rollout)
    keys = sorted(cells, key=lambda key: (_ORDER.index(key[0]), key[1], key[2]))
    return [_rate(key, cells[key]) for key in keys]


def _rate(key: tuple[Condition, Kind, Direction], rollouts: list[Rollout]) -> ParseRate:
    missing = [rollout for rollout in rollouts if rollout.answer is None]
    condition, kind, direction = key
    return ParseRate(
        condition=condition,
        kind=kind,
        direction=direction,
        rollouts=len(rollouts),
        parsed=len(rollouts) - len(missing),
        cut_off=sum(rollout.truncated for rollout in missing),
        forced=sum(rollout.forced_answer is not None for rollout in missing),
    )
