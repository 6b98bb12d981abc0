"""A nonlinear probe: what a linear one misses although the activations hold it."""

import warnings
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from probes.arrays import Array
from probes.estimators.base import BinaryProbe
from probes.estimators.fitting import Estimator, each


class MLPProbe(BinaryProbe):
    """One hidden layer of rectified units on standardised features (scikit-learn's MLPClassifier, lbfgs).

    It has no direction: what moves its score depends on where one stands. Held against a linear probe it tells whether
    something is present in another form than along a line, so it is an upper bound rather than a detector to ship.

    Parameters:
        hidden: units.
        alpha: L2 penalty.
        max_steps: of lbfgs; stopping early is part of the regularisation.
        random_state: seed of the initial weights.

    Attributes:
        hidden_, hidden_bias_, output_, output_bias_: the weights, ``[d, hidden]``, ``[hidden]``, ``[hidden]``, ``[1]``.
    """

    ARRAYS: ClassVar[tuple[str, ...]] = ("mean_", "scale_", "hidden_", "hidden_bias_", "output_", "output_bias_")

    def __init__(self, hidden: int = 32, alpha: float = 1.0, max_steps: int = 200, random_state: int = 0) -> None:
        self.hidden = hidden
        self.alpha = alpha
        self.max_steps = max_steps
        self.random_state = random_state

    def _fit(self, z: Float[np.ndarray, "row d"], positive: Bool[np.ndarray, "row"]) -> None:
        model = MLPClassifier(
            (self.hidden,),
            solver="lbfgs",
            alpha=self.alpha,
            max_iter=self.max_steps,
            random_state=self.random_state,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(z, positive)
        self.hidden_, self.output_ = model.coefs_[0], model.coefs_[1][:, 0]
        self.hidden_bias_, self.output_bias_ = model.intercepts_

    def _score(self, z: Float[np.ndarray, "row d"]) -> Float[np.ndarray, "row"]:
        score: Array = np.maximum(z @ self.hidden_ + self.hidden_bias_, 0) @ self.output_ + self.output_bias_[0]
        return score


MLP = Estimator(MLPProbe, each(lambda c: MLPProbe(alpha=1 / c)))
