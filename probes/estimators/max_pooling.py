"""A probe over all positions of a text that goes by its strongest one."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from activations.errors import HintprobeError
from probes.arrays import Array
from probes.estimators.base import Probe
from probes.estimators.fitting import Estimator, each
from probes.estimators.linear import LogisticProbe

_ROUNDS = 10


class MaxPoolingProbe(Probe):
    """The score of a row is the highest that any of its positions gets from one linear read-out.

    Trained as multiple-instance learning is (Andrews et al. 2003, MI-SVM, with logistic regression in place of the
    SVM): the strongest position of each row under the present read-out represents the row, the read-out is fitted on
    those, and so on until the choice stays. It starts from the rows' mean positions.

    Parameters:
        C: inverse strength of the L2 penalty.
    """

    ARRAYS = ("mean_", "scale_", "coef_", "intercept_")

    def __init__(self, C: float = 1.0) -> None:
        self.C = C

    def fit(self, X: Sequence[Float[np.ndarray, "position d"]], y: ArrayLike) -> Self:
        """Fit on rows of positions, each ``[position, d]``, and one label a row.

        Raises:
            HintprobeError: a row without a position.
        """
        if any(len(row) == 0 for row in X):
            raise HintprobeError("A max-pooling probe needs at least one position in every row, and a row has none.")
        positive = self._take_classes(y)
        chosen: list[int] | None = None
        picked = np.stack([np.mean(row, axis=0) for row in X])
        for _ in range(_ROUNDS):
            read = LogisticProbe(C=self.C).fit(picked, positive)
            best = [int(np.argmax(read.decision_function(row))) for row in X]
            if best == chosen:
                break
            chosen = best
            picked = np.stack([row[k] for row, k in zip(X, best, strict=True)])
        self.mean_, self.scale_, self.coef_, self.intercept_ = read.mean_, read.scale_, read.coef_, read.intercept_
        self.n_features_in_ = picked.shape[1]
        return self

    def decision_function(self, X: Any) -> Array:
        """The strongest position's score in each row; a matrix is read as rows of one position."""
        check_is_fitted(self)
        rows = X[:, None] if isinstance(X, np.ndarray) and X.ndim == 2 else X
        coef = self.coef_[0] / self.scale_
        offset = self.intercept_[0] - self.mean_ @ coef
        return np.array([float(np.max(np.asarray(row) @ coef)) + offset for row in rows])


MAX_POOLING = Estimator(MaxPoolingProbe, each(lambda c: MaxPoolingProbe(C=c)), reads="sequence")
