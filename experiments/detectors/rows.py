"""The rollouts that detectors are trained and compared on, with what each detector may read of them."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from experiments.records import Item, Label, PositionRow, Rollout
from experiments.run.model_run import ModelRun
from probes import Contrast


@dataclass(frozen=True)
class Rows:
    """Aligned lists, one entry per rollout that is scored.

    Attributes:
        labels: of the hinted rollout of the row's item and index.
        items: what was asked, and the hint.
        hinted: the rollout that is scored; hinted, unless the target is that a hint is present.
        unhinted: the unhinted rollout of the same item and index.
        hinted_at, unhinted_at: where their named positions are.
        positive: the row is of the positive class.
    """

    labels: tuple[Label, ...]
    items: tuple[Item, ...]
    hinted: tuple[Rollout, ...]
    unhinted: tuple[Rollout, ...]
    hinted_at: tuple[PositionRow, ...]
    unhinted_at: tuple[PositionRow, ...]
    positive: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, chosen: Sequence[int]) -> "Rows":
        """The rows of these indices."""
        return Rows(*(tuple(getattr(self, field.name)[i] for i in chosen) for field in fields(self)))

    def take(self, keep: Callable[[int], bool]) -> "Rows":
        """The rows whose index ``keep`` accepts."""
        return self.at([i for i in range(len(self)) if keep(i)])

    @property
    def ids(self) -> tuple[str, ...]:
        """Id of the rollout that is scored."""
        return tuple(rollout.id for rollout in self.hinted)

    @property
    def strata(self) -> tuple[str, ...]:
        """Kind × direction of each row: only rows of one stratum are compared."""
        return tuple(f"{label.kind} {label.direction}" for label in self.labels)

    @property
    def n_positive(self) -> int:
        """Number of positives."""
        return sum(self.positive)

    def contrast(self) -> Contrast:
        """Positives against the rest, by group, within kind × direction."""
        return Contrast(np.array(self.positive, dtype=bool), tuple(label.group for label in self.labels), self.strata)


def labelled_rows(run: ModelRun, behaviours: tuple[str, ...] | None = ("reliant", "aligned")) -> Rows:
    """The hinted rollouts of these behaviours (None: all) of a model whose first three stages are done."""
    records = run.records
    labels = [label for label in records.labels.values() if behaviours is None or label.behaviour in behaviours]
    hinted = [records.rollouts[label.rollout_id] for label in labels]
    unhinted = [records.partner(rollout.id, "unhinted") for rollout in hinted]
    return Rows(
        tuple(labels),
        tuple(records.items[label.item_id] for label in labels),
        tuple(hinted),
        tuple(unhinted),
        tuple(records.positions[rollout.id] for rollout in hinted),
        tuple(records.positions[rollout.id] for rollout in unhinted),
        tuple(label.behaviour == "reliant" for label in labels),
    )


def one_per_prompt(rows: Rows) -> tuple[Rows, list[int]]:
    """One row per prompt, for what is read before any token was sampled.

    The rollouts of a prompt vote on its class; where they tie, the first one decides.

    Returns:
        The rows, and for each row given the index of its prompt's row.
    """
    votes: dict[str, list[bool]] = defaultdict(list)
    first: dict[str, int] = {}
    keys = [f"{label.item_id} {rollout.condition}" for label, rollout in zip(rows.labels, rows.hinted, strict=True)]
    for i, key in enumerate(keys):
        votes[key].append(rows.positive[i])
        first.setdefault(key, i)
    index = {key: n for n, key in enumerate(first)}
    positive = tuple(2 * sum(said) > len(said) or (2 * sum(said) == len(said) and said[0]) for said in votes.values())
    return replace(rows.at(list(first.values())), positive=positive), [index[key] for key in keys]
