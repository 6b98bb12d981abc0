"""What is told apart, what may be compared with what, and which rows may never be parted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from activations.errors import HintprobeError
from probes.arrays import Bools


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

    def take(self, rows: NDArray[np.intp]) -> "Contrast":
        """The same for some of the rows."""
        return Contrast(self.labels[rows], tuple(self.groups[i] for i in rows), tuple(self.strata[i] for i in rows))

    def groups_of(self, value: bool) -> int:
        """How many groups have a row of this class."""
        return len({group for group, label in zip(self.groups, self.labels, strict=True) if label == value})


def fold_strata(fold: NDArray[np.intp], strata: Sequence[str]) -> tuple[str, ...]:
    """Outer fold and stratum of each row: held-out scores are comparable within these only."""
    return tuple(f"{k}/{stratum}" for k, stratum in zip(fold, strata, strict=True))


def grouped_folds(contrast: Contrast, n_folds: int, seed: int) -> NDArray[np.intp]:
    """Fold of each row: groups whole, classes balanced.

    Raises:
        HintprobeError: a class has fewer groups than folds.
    """
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

    outer: NDArray[np.intp]
    inner: tuple[NDArray[np.intp], ...]

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

    def take(self, rows: NDArray[np.intp]) -> "Folds":
        """The same for some of the rows."""
        return Folds(self.outer[rows], tuple(inner[rows] for inner in self.inner))


def permute_labels(contrast: Contrast, rng: np.random.Generator) -> Bools:
    """Permute labels among the groups of each stratum; the labels of one group's rows stay together.

    Groups change places with groups of as many rows in the stratum, and the rows of a group among themselves. If
    features and labels are independent within strata, every such permutation was as likely as what was observed.
    """
    return permuted_labels(contrast, 1, rng)[:, 0]


def permuted_labels(contrast: Contrast, n_draws: int, rng: np.random.Generator) -> Bool[np.ndarray, "row draw"]:
    """Several draws of :func:`permute_labels`."""
    found: Bools = np.repeat(contrast.labels[:, None], n_draws, axis=1)
    alike = _exchangeable(contrast)
    for draw in range(n_draws):
        for rows in alike:
            moved = contrast.labels[rows[rng.permutation(len(rows))]]
            # Where a group holds both classes (a prompt with and without its hint), moving it whole changes nothing.
            found[rows, draw] = rng.permuted(moved, axis=1)
    return found


def _exchangeable(contrast: Contrast) -> list[NDArray[np.intp]]:
    """Row indices ``[group, row]`` of the groups that have equally many rows in a stratum."""
    members: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(contrast.strata, contrast.groups, strict=True)):
        members.setdefault(key, []).append(row)
    blocks: dict[tuple[str, int], list[list[int]]] = {}
    for (stratum, _), rows in members.items():
        blocks.setdefault((stratum, len(rows)), []).append(rows)
    return [np.array(rows) for rows in blocks.values()]


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
