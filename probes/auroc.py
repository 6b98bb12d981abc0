"""AUROC within strata: of many scores at once, on thousands of bootstrap weights at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from probes.arrays import Array, Rows


@dataclass(frozen=True)
class Comparison:
    """Which positives may be compared with which negatives: those of the same stratum.

    Attributes:
        blocks: row indices of the positives and of the negatives of each stratum that has both.
        n_rows: how many rows were asked about.
    """

    blocks: tuple[tuple[Rows, Rows], ...]
    n_rows: int

    @classmethod
    def of(cls, labels: Bool[np.ndarray, "row"], strata: Sequence[str]) -> "Comparison":
        """Pairs within strata; ``strata`` names each row's."""
        blocks = []
        code = np.unique(np.asarray(strata, dtype=str), return_inverse=True)[1]
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

    def pairs(self) -> tuple[Rows, Rows]:
        """All pairs as two aligned lists of row indices: positives and negatives."""
        grids = [np.meshgrid(positive, negative, indexing="ij") for positive, negative in self.blocks]
        if not grids:
            return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
        return np.concatenate([g[0].ravel() for g in grids]), np.concatenate([g[1].ravel() for g in grids])

    def auroc(
        self, scores: Float[np.ndarray, "*score row"], weights: Float[np.ndarray, "resample row"] | None = None
    ) -> Float[np.ndarray, "*score resample"]:
        """Share of pairs in which the positive scores higher, ties counting half; NaN without a pair.

        Each pair weighs the product of its rows' weights, so that a stratum weighs its number of pairs. A comparison
        of one stratum is the ordinary AUROC (Mann & Whitney 1947).

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


def stratified_auroc(scores: Float[np.ndarray, "row"], labels: Bool[np.ndarray, "row"], strata: Sequence[str]) -> float:
    """AUROC that compares positives with negatives of the same stratum only, strata weighted by their pairs.

    NaN where no stratum holds both classes.
    """
    return float(Comparison.of(labels, strata).auroc(scores)[0])
