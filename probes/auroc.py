"""AUROC within strata: of many scores, on thousands of bootstrap weights, and for many label vectors at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from probes.arrays import Array, RowIndices


@dataclass(frozen=True)
class StratifiedPairs:
    """Which positives may be compared with which negatives: those of the same stratum.

    Attributes:
        blocks: row indices of the positives and of the negatives of each stratum that has both.
        n_rows: how many rows were asked about.
    """

    blocks: tuple[tuple[RowIndices, RowIndices], ...]
    n_rows: int

    @classmethod
    def of(cls, labels: Bool[np.ndarray, "row"], strata: Sequence[str]) -> "StratifiedPairs":
        """Pairs within strata; ``strata`` names each row's."""
        blocks = []
        code = stratum_codes(strata)
        for k in range(int(code.max(initial=-1)) + 1):
            inside = code == k
            positive, negative = np.flatnonzero(inside & labels), np.flatnonzero(inside & ~labels)
            if len(positive) and len(negative):
                blocks.append((positive, negative))
        return cls(tuple(blocks), len(labels))

    @property
    def n_pairs(self) -> int:
        """Number of pairs that are compared."""
        return sum(len(positive) * len(negative) for positive, negative in self.blocks)

    @property
    def n_used(self) -> int:
        """Number of rows that stand in some pair."""
        return sum(len(positive) + len(negative) for positive, negative in self.blocks)

    def auroc(
        self, scores: Float[np.ndarray, "*score row"], weights: Float[np.ndarray, "resample row"] | None = None
    ) -> Float[np.ndarray, "*score resample"]:
        """Share of pairs in which the positive scores higher, ties counting half; NaN without a pair.

        Each pair weighs the product of its rows' weights, so that a stratum weighs its number of pairs. One stratum
        alone gives the ordinary AUROC (Mann & Whitney 1947).

        Args:
            scores: one or many scores of each row; several are compared on the same resamples, hence paired.
            weights: how often each resample holds each row (:func:`probes.bootstrap.cluster_bootstrap`); one resample
                of ones by default.
        """
        leading = np.shape(scores)[:-1]
        flat = np.reshape(scores, (int(np.prod(leading)), self.n_rows)).astype(float)
        drawn = np.ones((1, self.n_rows)) if weights is None else weights
        above, below = np.zeros((len(flat), len(drawn))), np.zeros(len(drawn))
        for positive, negative in self.blocks:
            # Counts and half-counts of a block are exact in float32, at twice the speed.
            up, down = drawn[:, positive].astype(np.float32), drawn[:, negative].astype(np.float32)
            below += up.sum(1, dtype=float) * down.sum(1, dtype=float)
            for k, score in enumerate(flat):
                difference = score[positive][:, None] - score[negative][None, :]
                wins = np.heaviside(difference, 0.5).astype(np.float32)
                above[k] += np.einsum("rn,rn->r", up @ wins, down, dtype=float)
        with np.errstate(invalid="ignore", divide="ignore"):
            result: Array = above / below
        return result.reshape(*leading, len(drawn))

    def influence(self, scores: Float[np.ndarray, "row"]) -> tuple[float, Float[np.ndarray, "row"]]:
        """The AUROC, and what each row adds to it: the first-order change per unit of the row's weight.

        Sums of squares of these over groups are the variance that a cluster bootstrap would give, to first order (the
        infinitesimal jackknife, Efron 1982; of independent rows, that of DeLong et al. 1988). NaN and zeros without a
        pair.
        """
        wins, pairs = np.zeros(self.n_rows), np.zeros(self.n_rows)
        for positive, negative in self.blocks:
            up, down = np.sort(scores[positive]), np.sort(scores[negative])
            wins[positive] += _beaten(down, scores[positive])
            wins[negative] += len(positive) - _beaten(up, scores[negative])
            pairs[positive] += len(negative)
            pairs[negative] += len(positive)
        if not self.blocks:
            return float("nan"), np.zeros(self.n_rows)
        value = float(wins.sum() / pairs.sum())
        return value, (wins - value * pairs) / (pairs.sum() / 2)


def _beaten(ordered: Array, scores: Array) -> Array:
    """How many of the ordered values each score exceeds, ties counting half."""
    found: Array = (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / 2
    return found


def stratum_codes(strata: Sequence[str]) -> RowIndices:
    """A number for each row's stratum."""
    code: RowIndices = np.unique(np.asarray(strata, dtype=str), return_inverse=True)[1]
    return code


def stratified_auroc(scores: Float[np.ndarray, "row"], labels: Bool[np.ndarray, "row"], strata: Sequence[str]) -> float:
    """AUROC that compares positives with negatives of the same stratum only, strata weighted by their pairs.

    NaN where no stratum holds both classes.
    """
    return StratifiedPairs.of(labels, strata).influence(np.asarray(scores, dtype=float))[0]


def aurocs_of_vectors(
    scores: Float[np.ndarray, "row vector"], labels: Bool[np.ndarray, "row vector"], code: Int[np.ndarray, "row"]
) -> Float[np.ndarray, "vector"]:
    """The same for many pairs of a score and a label vector, through ranks; ties count half, NaN without a pair.

    Args:
        code: stratum of each row, as a number (:func:`stratum_codes`).
    """
    from scipy.stats import rankdata

    order = np.argsort(code, kind="stable")
    code, scores, labels = code[order], scores[order], labels[order]
    starts = np.flatnonzero(np.diff(code, prepend=code[0] - 1))
    sizes = np.diff(starts, append=len(code))
    low = scores.min(0)
    span = np.where(scores.max(0) > low, scores.max(0) - low, 1.0)
    # One ranking for all strata: each is lifted above the one before.
    lifted = (scores - low) / span + 2.0 * np.repeat(np.arange(len(starts)), sizes)[:, None]
    ranks = rankdata(lifted, axis=0) - np.repeat(starts, sizes)[:, None]
    n_positive = np.add.reduceat(labels, starts, axis=0, dtype=float)
    wins = np.add.reduceat(ranks * labels, starts, axis=0) - n_positive * (n_positive + 1) / 2
    pairs = (n_positive * (sizes[:, None] - n_positive)).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = wins.sum(0) / pairs
    return found
