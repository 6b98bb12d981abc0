"""Scores → probabilities."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from probes.arrays import Array


@dataclass(frozen=True)
class Platt:
    """``probability = 1 / (1 + exp(-(slope * score + offset)))`` (Platt 1999).

    Fit it on scores of rows that the probe was not fitted on.
    """

    slope: float
    offset: float

    @classmethod
    def fit(cls, scores: Float[np.ndarray, "row"], labels: Bool[np.ndarray, "row"]) -> "Platt":
        """Fit slope and offset by nearly unpenalised logistic regression of the labels on the scores."""
        from sklearn.linear_model import LogisticRegression

        centre, spread = float(scores.mean()), float(scores.std()) or 1.0
        model = LogisticRegression(C=1e3).fit(((scores - centre) / spread)[:, None], labels)
        slope = float(model.coef_[0, 0]) / spread
        return cls(slope, float(model.intercept_[0]) - slope * centre)

    def probability(self, scores: Float[np.ndarray, "row"]) -> Float[np.ndarray, "row"]:
        """Probability of the positive class."""
        result: Array = (1 + np.tanh((self.slope * scores + self.offset) / 2)) / 2
        return result
