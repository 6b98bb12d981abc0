"""Linear probes: logistic, difference of means with or without whitening, ridge."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.linear_model import Ridge

from probes.arrays import Array
from probes.estimators.base import LinearProbe
from probes.estimators.fitting import Estimator, each
from probes.logistic import solve_logistic


class LogisticProbe(LinearProbe):
    """Logistic regression with an L2 penalty on standardised features; its score is the log-odds.

    Parameters:
        C: inverse strength of the penalty, as in scikit-learn.
    """

    def __init__(self, C: float = 1.0) -> None:
        self.C = C

    def _fit(self, z: Float[np.ndarray, "row d"], positive: Bool[np.ndarray, "row"]) -> None:
        everything = torch.ones(len(z), 1, dtype=torch.bool)
        solution = solve_logistic(
            torch.from_numpy(z), torch.from_numpy(positive)[:, None], everything, [self.C], 1e-8, 5000
        )
        self.coef_ = solution.coef[0, 0].numpy()
        self.intercept_ = solution.intercept[0, 0].numpy()


class MeanDifferenceProbe(LinearProbe):
    """Difference of the class means, the score's zero halfway between them (Marks & Tegmark 2024, section 5).

    With ``whiten`` the difference is taken through the inverse of the within-class covariance: linear discriminant
    analysis (Fisher 1936), whose score is the log-odds under Gaussian classes of equal covariance and the rows' base
    rate. The covariance is shrunk towards a multiple of the identity (Ledoit & Wolf 2004).

    Parameters:
        whiten: undo the within-class covariance.
    """

    def __init__(self, whiten: bool = False) -> None:
        self.whiten = whiten

    def _moments(self, x: Float[np.ndarray, "row d"]) -> tuple[Array, Array]:
        # Scaling features would turn the difference of the means away from its direction in activation space.
        return x.mean(0), np.ones(x.shape[1])

    def _fit(self, z: Float[np.ndarray, "row d"], positive: Bool[np.ndarray, "row"]) -> None:
        low, high = z[~positive].mean(0), z[positive].mean(0)
        coef, offset = high - low, 0.0
        if self.whiten:
            coef = _unwhiten(z - np.where(positive[:, None], high, low), coef)
            offset = float(np.log(positive.sum() / (~positive).sum()))
        self.coef_ = coef[None]
        self.intercept_ = np.array([offset - (high + low) @ coef / 2])


def _unwhiten(within: Float[np.ndarray, "row d"], difference: Float[np.ndarray, "d"]) -> Float[np.ndarray, "d"]:
    """Inverse of the shrunk covariance of centred rows times a vector."""
    share = float(ledoit_wolf_shrinkage(within, assume_centered=True))
    _, singular, right = np.linalg.svd(within, full_matrices=False)
    variances = singular**2 / len(within)
    floor = max(share, 1e-6) * variances.sum() / within.shape[1]
    floor = floor or 1.0  # rows of one class all alike: nothing to whiten by
    inside = right @ difference
    result: Array = right.T @ (inside / ((1 - share) * variances + floor) - inside / floor) + difference / floor
    return result


class RidgeProbe(LinearProbe):
    """Least squares on labels -1 and 1 with an L2 penalty on standardised features (scikit-learn's Ridge).

    Parameters:
        alpha: strength of the penalty, as in scikit-learn.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def _fit(self, z: Float[np.ndarray, "row d"], positive: Bool[np.ndarray, "row"]) -> None:
        model = Ridge(alpha=self.alpha).fit(z, np.where(positive, 1.0, -1.0))
        self.coef_ = model.coef_[None]
        self.intercept_ = np.array([model.intercept_])


MEAN_DIFFERENCE = Estimator(MeanDifferenceProbe, each(lambda _: MeanDifferenceProbe(), has_strength=False))
DISCRIMINANT = Estimator(MeanDifferenceProbe, each(lambda _: MeanDifferenceProbe(whiten=True), has_strength=False))
RIDGE = Estimator(RidgeProbe, each(lambda c: RidgeProbe(alpha=1 / c)))
