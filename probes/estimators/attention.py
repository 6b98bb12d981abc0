"""A probe over all positions of a chain of thought: it learns where to look and what to read there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from activations.errors import HintprobeError
from probes.arrays import Array
from probes.estimators.base import Probe
from probes.estimators.fitting import Estimator, each
from probes.linear import moments

Row = Float[np.ndarray, "position d"]


@dataclass(frozen=True)
class _Ragged:
    """Rows of unequal length, one after the other: only scalars a position are ever padded.

    Attributes:
        row, column: where each position stands in a padded matrix.
    """

    tokens: Float[Tensor, "token d"]
    row: Int[Tensor, "token"]
    column: Int[Tensor, "token"]
    shape: tuple[int, int]

    @classmethod
    def of(cls, tokens: Array, lengths: Sequence[int], device: str) -> "_Ragged":
        row = np.repeat(np.arange(len(lengths)), lengths)
        column = np.concatenate([np.arange(n) for n in lengths])
        return cls(
            torch.from_numpy(tokens).to(device),
            torch.from_numpy(row).to(device),
            torch.from_numpy(column).to(device),
            (len(lengths), max(lengths)),
        )

    def padded(self, values: Float[Tensor, "token"], fill: float) -> Float[Tensor, "row position"]:
        """Values of the positions as a matrix, ``fill`` where a row has ended."""
        empty = torch.full(self.shape, fill, dtype=values.dtype, device=values.device)
        return empty.index_put((self.row, self.column), values)


class AttentionProbe(Probe):
    """A learned query attends over a row's positions; a linear read-out of what it attends to is the log-odds.

    With positions ``z_t``, weights ``a = softmax(z_t · query)`` and score ``sum_t a_t (z_t · coef) + intercept``
    (attention probe of McKenzie et al. 2025, arXiv 2506.10805, with one head). Trained by L-BFGS on the logistic loss
    with an L2 penalty on query and coefficients. The problem is not convex: another ``random_state`` may end elsewhere.

    Rows are ragged, so scikit-learn's checks for two-dimensional features do not apply to it.

    Parameters:
        C: inverse strength of the penalty.
        max_steps: of L-BFGS.
        random_state: seed of the initial query.
        device: where it trains.

    Attributes:
        query_, coef_: on standardised features, ``[d]``.
        intercept_: ``[1]``.
    """

    ARRAYS: ClassVar[tuple[str, ...]] = ("mean_", "scale_", "query_", "coef_", "intercept_")

    def __init__(self, C: float = 1.0, max_steps: int = 200, random_state: int = 0, device: str = "cpu") -> None:
        self.C = C
        self.max_steps = max_steps
        self.random_state = random_state
        self.device = device

    def fit(self, X: Sequence[Row], y: ArrayLike) -> Self:
        """Fit on rows of positions, each ``[position, d]``, and one label a row.

        Raises:
            HintprobeError: no rows, a row without positions, rows of unequal width, values that are not finite, or
                another number of labels than rows.
            ValueError: another number of classes than two.
        """
        labels = np.asarray(y)
        if len(labels) != len(X):
            raise HintprobeError(f"An attention probe was given {len(X)} rows and {len(labels)} labels.")
        tokens, lengths = _joined(X)
        positive = self._take_classes(labels)
        self.mean_, self.scale_ = moments(tokens)
        self.n_features_in_ = tokens.shape[1]
        ragged = _Ragged.of((tokens - self.mean_) / self.scale_, lengths, self.device)
        query, coef, intercept = self._train(ragged, torch.from_numpy(positive).double().to(self.device))
        self.query_, self.coef_, self.intercept_ = query.numpy(), coef.numpy(), intercept.numpy()
        return self

    def _train(self, rows: _Ragged, target: Float[Tensor, "row"]) -> tuple[Tensor, Tensor, Tensor]:
        d = rows.tokens.shape[1]
        generator = torch.Generator().manual_seed(self.random_state)
        query = (torch.randn(d, generator=generator, dtype=torch.float64) / d).to(self.device).requires_grad_()
        coef = torch.zeros(d, dtype=torch.float64, device=self.device, requires_grad=True)
        intercept = torch.zeros(1, dtype=torch.float64, device=self.device, requires_grad=True)
        optimiser = torch.optim.LBFGS(
            [query, coef, intercept], max_iter=self.max_steps, history_size=20, line_search_fn="strong_wolfe"
        )

        def loss() -> Tensor:
            optimiser.zero_grad()
            score = _read(rows, query, coef)[0] + intercept
            fit = torch.nn.functional.binary_cross_entropy_with_logits(score, target)
            total = fit + (query.square().sum() + coef.square().sum()) / (2 * self.C * len(target))
            total.backward()
            return total

        optimiser.step(loss)
        return query.detach().cpu(), coef.detach().cpu(), intercept.detach().cpu()

    def _ragged(self, X: Sequence[Row]) -> tuple[_Ragged, list[int]]:
        check_is_fitted(self)
        tokens, lengths = _joined(X)
        if tokens.shape[1] != self.n_features_in_:
            raise HintprobeError(
                f"This attention probe was fitted on {self.n_features_in_} features and was given {tokens.shape[1]}."
            )
        return _Ragged.of((tokens - self.mean_) / self.scale_, lengths, "cpu"), lengths

    def decision_function(self, X: Sequence[Row]) -> Float[np.ndarray, "row"]:
        """Log-odds of the second class for each row of positions."""
        rows, _ = self._ragged(X)
        pooled, _ = _read(rows, torch.from_numpy(self.query_), torch.from_numpy(self.coef_))
        score: Array = pooled.numpy() + self.intercept_[0]
        return score

    def attention(self, X: Sequence[Row]) -> list[Float[np.ndarray, "position"]]:
        """Where the probe looks: the weights of each row's positions, which sum to one."""
        rows, lengths = self._ragged(X)
        _, weights = _read(rows, torch.from_numpy(self.query_), torch.from_numpy(self.coef_))
        return [w[:n] for w, n in zip(weights.numpy(), lengths, strict=True)]

    def position_scores(self, X: Sequence[Row]) -> list[Float[np.ndarray, "position"]]:
        """What the probe would say of each position if it looked nowhere else; log-odds."""
        rows, lengths = self._ragged(X)
        values = rows.tokens.numpy() @ self.coef_ + self.intercept_[0]
        return np.split(values, np.cumsum(lengths)[:-1])

    @property
    def direction_(self) -> Float[np.ndarray, "d"]:
        """The direction in activation space that is read at the positions attended to."""
        check_is_fitted(self)
        direction: Array = self.coef_ / self.scale_
        return direction


def _read(rows: _Ragged, query: Tensor, coef: Tensor) -> tuple[Float[Tensor, "row"], Float[Tensor, "row position"]]:
    """Attended read-out of each row, and the weights."""
    both = rows.tokens @ torch.stack([query, coef], dim=1)
    weights = rows.padded(both[:, 0], -torch.inf).softmax(dim=1)
    return (weights * rows.padded(both[:, 1], 0.0)).sum(1), weights


def _joined(X: Sequence[Row]) -> tuple[Float[np.ndarray, "token d"], list[int]]:
    """All positions of all rows, and how many each row has."""
    rows = [np.asarray(row, dtype=np.float64) for row in X]
    if not rows or any(row.ndim != 2 or len(row) == 0 or row.shape[1] != rows[0].shape[1] for row in rows):
        shapes = sorted({row.shape for row in rows})[:5]
        raise HintprobeError(
            "An attention probe needs at least one row, each a matrix of one or more positions by d features, with the "
            f"same d throughout; shapes given: {shapes}."
        )
    for i, row in enumerate(rows):
        if not np.isfinite(row).all():
            raise HintprobeError(f"Row {i} given to an attention probe holds NaN or infinite values.")
    return np.concatenate(rows), [len(row) for row in rows]


ATTENTION = Estimator(AttentionProbe, each(lambda c: AttentionProbe(C=c)), reads="sequence")
