"""What is told apart, what may be compared with what, and which rows may never be parted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool

from activations.errors import HintprobeError
from probes.arrays import Bools, RowIndices


@dataclass(frozen=True)
class Contrast:
    """Which rows are told apart, and what may be compared with what.

    Attributes:
        labels: the positive class (reliant, say), ``[row]``.
        groups: rows of a group are never split.
        strata: only rows of one stratum (kind × direction) are compared.
    """

    labels: Bools
    groups: tuple[str, ...]
    strata: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: RowIndices) -> "Contrast":
        """The same for some of the rows."""
        return Contrast(self.labels[rows], tuple(self.groups[i] for i in rows), tuple(self.strata[i] for i in rows))

    @cached_property
    def repeated(self) -> tuple[RowIndices, ...]:
        """Rows of each group that has several in one stratum."""
        found: dict[tuple[str, str], list[int]] = {}
        for row, key in enumerate(zip(self.groups, self.strata, strict=True)):
            found.setdefault(key, []).append(row)
        return tuple(np.array(rows) for rows in found.values() if len(rows) > 1)

    def groups_of(self, value: bool) -> int:
        """How many groups have a row of this class."""
        return len({group for group, label in zip(self.groups, self.labels, strict=True) if label == value})


def fold_strata(fold: RowIndices, strata: Sequence[str]) -> tuple[str, ...]:
    """Outer fold and stratum of each row: held-out scores are comparable within these only."""
    return tuple(f"{k}/{stratum}" for k, stratum in zip(fold, strata, strict=True))


def grouped_folds(contrast: Contrast, n_folds: int, seed: int) -> RowIndices:
    """Fold of each row: groups whole, classes balanced.

    Raises:
        HintprobeError: a class has fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    for value, name in ((True, "positive"), (False, "negative")):
        n_groups = contrast.groups_of(value)
        if n_groups < n_folds:
            raise HintprobeError(
                f"The {name} class has rows of {n_groups} groups, and {n_folds} folds need at least as many. Ask more "
                "questions or use fewer folds (`probe.outer_folds`, `probe.inner_folds`)."
            )
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    fold = np.empty(len(contrast), dtype=np.intp)
    for k, (_, held_out) in enumerate(splitter.split(np.zeros(len(fold)), contrast.labels, contrast.groups)):
        fold[held_out] = k
    return fold


@dataclass(frozen=True)
class Folds:
    """Outer folds, and within the training rows of each its inner folds; made once, shared by detectors.

    Attributes:
        outer: outer fold of each row.
        inner: per outer fold, the inner fold of each row, -1 for the held-out rows.
    """

    outer: RowIndices
    inner: tuple[RowIndices, ...]

    @classmethod
    def of(cls, contrast: Contrast, n_outer: int, n_inner: int, seed: int) -> "Folds":
        """Groups whole, classes balanced.

        Raises:
            HintprobeError: a class has fewer groups than folds.
        """
        outer = grouped_folds(contrast, n_outer, seed)
        inner = []
        for k in range(n_outer):
            train = np.flatnonzero(outer != k)
            own = np.full(len(contrast), -1, dtype=np.intp)
            own[train] = grouped_folds(contrast.take(train), n_inner, seed + 1 + k)
            inner.append(own)
        return cls(outer, tuple(inner))

    def take(self, rows: RowIndices) -> "Folds":
        """The same for some of the rows."""
        return Folds(self.outer[rows], tuple(inner[rows] for inner in self.inner))


def permute_labels(contrast: Contrast, rng: np.random.Generator) -> Bools:
    """One draw of :func:`permuted_labels`."""
    return permuted_labels(contrast, 1, rng)[:, 0]


def permuted_labels(contrast: Contrast, n_draws: int, rng: np.random.Generator) -> Bool[np.ndarray, "row draw"]:
    """Permute the labels of whole groups, each stratum's share of positives kept.

    All labels of a group move together, to a group with equally many rows in each of the same strata; if features and
    labels are independent within strata, every such permutation was as likely as what was observed. Labels of one
    question that hang together therefore still do, where each stratum permuted by itself would tear them apart and make
    the null too narrow. Groups with no exact counterpart (questions that have rows under several kinds of hint, say)
    are paired with the one that shares most of their rows, and the pair swaps the labels of what they share, or not,
    by a coin. The rows of a group within a stratum change places at random.
    """
    found: Bools = np.repeat(contrast.labels[:, None], n_draws, axis=1)
    alike, rest = _exchangeable(contrast)
    for draw in range(n_draws):
        column = found[:, draw]
        for rows in alike:
            column[rows] = contrast.labels[rows[rng.permutation(len(rows))]]
        for first, second in _pairs_of(rest, rng):
            if rng.random() < 0.5:
                column[first], column[second] = contrast.labels[second], contrast.labels[first]
        _shuffle_within(contrast, column, rng)
    return found


def _exchangeable(contrast: Contrast) -> tuple[list[RowIndices], list[dict[str, list[int]]]]:
    """Rows ``[group, row]`` of groups alike in strata and sizes; and the rows by stratum of each group without peer."""
    members: dict[str, dict[str, list[int]]] = {}
    for row, (group, stratum) in enumerate(zip(contrast.groups, contrast.strata, strict=True)):
        members.setdefault(group, {}).setdefault(stratum, []).append(row)
    classes: dict[tuple[tuple[str, int], ...], list[dict[str, list[int]]]] = {}
    for by_stratum in members.values():
        signature = tuple((stratum, len(by_stratum[stratum])) for stratum in sorted(by_stratum))
        classes.setdefault(signature, []).append(by_stratum)
    alike = [
        np.array([[row for stratum in sorted(one) for row in one[stratum]] for one in own])
        for own in classes.values()
        if len(own) > 1
    ]
    return alike, [own[0] for own in classes.values() if len(own) == 1]


def _pairs_of(groups: list[dict[str, list[int]]], rng: np.random.Generator) -> Iterator[tuple[list[int], list[int]]]:
    """Partners at random order, each with the unpaired group that shares most rows; the rows that they share."""
    waiting = [groups[int(i)] for i in rng.permutation(len(groups))]
    while len(waiting) > 1:
        one = waiting.pop()
        shared = [sum(min(len(rows), len(other.get(s, ()))) for s, rows in one.items()) for other in waiting]
        partner = waiting.pop(int(np.argmax(shared)))
        first, second = [], []
        for stratum, rows in one.items():
            n = min(len(rows), len(partner.get(stratum, ())))
            first += rows[:n]
            second += partner.get(stratum, [])[:n]
        yield first, second


def _shuffle_within(contrast: Contrast, column: Bools, rng: np.random.Generator) -> None:
    """Let the rows of a group that share a stratum (a prompt with and without its hint) change places, in place."""
    for rows in contrast.repeated:
        column[rows] = column[rows[rng.permutation(len(rows))]]


def control_labels(types: Sequence[str], n_draws: int, rng: np.random.Generator) -> Bool[np.ndarray, "row draw"]:
    """Labels of a control task (Hewitt & Liang 2019, section 2): each *type* gets a random label, for all its rows.

    A probe can only do well on it by reading off the type, so a high figure says that the probe could fit anything.

    Args:
        types: a surface feature of each row that recurs across groups; half of the types become positive.

    Raises:
        HintprobeError: there are fewer than two types.
    """
    names, index = np.unique(np.asarray(types), return_inverse=True)
    if len(names) < 2:
        raise HintprobeError(f"A control task needs two types of rows or more, and all rows are of type {types[0]!r}.")
    positive = np.zeros((len(names), n_draws), dtype=bool)
    for draw in range(n_draws):
        positive[rng.permutation(len(names))[: len(names) // 2], draw] = True
    labels: Bools = positive[index]
    return labels
