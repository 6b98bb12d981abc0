"""What all probes on one vector a row share: two classes, own preprocessing, a log-odds-like score, saved arrays."""

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from probes.arrays import Array
from probes.linear import moments


class Probe(ClassifierMixin, BaseEstimator, metaclass=ABCMeta):  # type: ignore[misc]
    """Anything that tells two classes apart by one score a row; the second of the sorted classes is the positive one.

    Attributes:
        classes_: the two classes, sorted.
        mean_, scale_: preprocessing, ``[d]``; features enter as ``(x - mean_) / scale_``.
    """

    ARRAYS: ClassVar[tuple[str, ...]] = ("mean_", "scale_")
    """Fitted attributes that a saved probe consists of."""

    @abstractmethod
    def decision_function(self, X: Any) -> Float[np.ndarray, "row"]:
        """Score of each row: above zero where the second class is likelier; log-odds where the probe has them."""

    def predict_proba(self, X: Any) -> Float[np.ndarray, "row 2"]:
        """Logistic function of the score; a probability only where scores are log-odds or were calibrated."""
        # tanh does not overflow where exp would.
        positive = (1 + np.tanh(self.decision_function(X) / 2)) / 2
        return np.column_stack([1 - positive, positive])

    def predict(self, X: Any) -> NDArray[np.generic]:
        """The likelier class of each row."""
        positive = self.decision_function(X) > 0
        labels: NDArray[np.generic] = self.classes_[positive.astype(int)]
        return labels

    def _take_classes(self, y: Any) -> Bool[np.ndarray, "row"]:
        """Keep the two classes; which rows are of the second?"""
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        n_classes = len(self.classes_)
        if n_classes != 2:
            found = "1 class" if n_classes == 1 else f"{n_classes}"
            raise ValueError(f"Only binary classification is supported. The number of classes found is {found}.")
        return np.asarray(y == self.classes_[1])

    def state(self) -> dict[str, Array]:
        """The fitted arrays, to be saved."""
        check_is_fitted(self)
        return {name: np.ascontiguousarray(getattr(self, name)) for name in self.ARRAYS}

    def restore(self, state: Mapping[str, Array], classes: ArrayLike) -> Self:
        """Undo :meth:`state`."""
        for name in self.ARRAYS:
            setattr(self, name, np.array(state[name], dtype=np.float64))
        self.classes_ = np.asarray(classes)
        self.n_features_in_ = len(self.mean_)
        return self

    def __sklearn_tags__(self) -> object:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


class BinaryProbe(Probe):
    """A probe of one activation vector a row."""

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit on features ``[row, d]`` and labels ``[row]`` of two classes.

        Raises:
            ValueError: another number of classes than two, or features that are not finite numbers.
        """
        x, y = validate_data(self, X, y)
        positive = self._take_classes(y)
        data = np.asarray(x, dtype=np.float64)
        self.mean_, self.scale_ = self._moments(data)
        self._fit((data - self.mean_) / self.scale_, positive)
        return self

    def _moments(self, x: Float[np.ndarray, "row d"]) -> tuple[Array, Array]:
        """Preprocessing; standardises unless a probe has reason not to."""
        return moments(x)

    @abstractmethod
    def _fit(self, z: Float[np.ndarray, "row d"], positive: Bool[np.ndarray, "row"]) -> None:
        """Fit on preprocessed features."""

    @abstractmethod
    def _score(self, z: Float[np.ndarray, "row d"]) -> Float[np.ndarray, "row"]:
        """Score of preprocessed features, positive where the second class is likelier."""

    def decision_function(self, X: ArrayLike) -> Float[np.ndarray, "row"]:
        """Score of each row: above zero where the second class is likelier; log-odds where the probe has them."""
        check_is_fitted(self)
        x = np.asarray(validate_data(self, X, reset=False), dtype=np.float64)
        return self._score((x - self.mean_) / self.scale_)


class LinearProbe(BinaryProbe):
    """A probe whose score is linear in the activations.

    Attributes:
        coef_: coefficients on preprocessed features, ``[1, d]``.
        intercept_: ``[1]``.
    """

    ARRAYS: ClassVar[tuple[str, ...]] = ("mean_", "scale_", "coef_", "intercept_")

    @property
    def direction_(self) -> Float[np.ndarray, "d"]:
        """The probe's direction in activation space: the score rises along it fastest."""
        check_is_fitted(self)
        direction: Array = self.coef_[0] / self.scale_
        return direction

    def _score(self, z: Float[np.ndarray, "row d"]) -> Float[np.ndarray, "row"]:
        score: Array = z @ self.coef_[0] + self.intercept_[0]
        return score
