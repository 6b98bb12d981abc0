"""L2-regularised logistic regression: many penalties, folds and label vectors of one data matrix in one solve."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from activations.errors import HintprobeError
from probes.lbfgs import Problems, minimise
from probes.preconditioner import Preconditioner

_RANK = 128
_BLOCK = 128  # pairs in one product: enough to keep a processor busy, few enough to bound the memory
_FEW = 32  # up to here a product over all penalties at once beats warm starts from one penalty to the next
_SMALL = 500_000  # numbers per vector of all problems: below it a step costs its overhead, so few steps are best
_STEPS_EXPECTED = 15


@dataclass(frozen=True)
class LogisticSolution:
    """Coefficients for every penalty, row mask and label vector.

    Attributes:
        steps: L-BFGS steps of each problem; one costs a product with the features and one with their transpose.
    """

    coef: Float[Tensor, "penalty mask label feature"]
    intercept: Float[Tensor, "penalty mask label"]
    converged: Bool[Tensor, "penalty mask label"]
    steps: Int[Tensor, "penalty mask label"]


def solve_logistic(
    x: Float[Tensor, "row feature"],
    labels: Bool[Tensor, "row label"],
    masks: Bool[Tensor, "row mask"],
    penalties: Sequence[float],
    tolerance: float = 1e-5,
    max_steps: int = 1000,
) -> LogisticSolution:
    """Minimise ``sum_i log(1 + exp(-y_i f(x_i))) + |w|^2 / (2 C)`` over the rows of each mask; the intercept is free.

    All problems share one data matrix, so that their products become one matrix product. Fewer rows than features are
    first rotated into as many dimensions as there are rows, where that saves work. Runs on the device and in the dtype
    of ``x``; working memory beside ``x`` is about that of ``x`` itself and a few hundred vectors.

    Args:
        penalties: the values of C, as scikit-learn defines it.
        tolerance: largest entry of the gradient of the mean loss at which a problem has converged; scikit-learn's
            lbfgs stops at the same quantity. In float32 about 1e-6 times the features' scale can be reached.

    Raises:
        HintprobeError: values that are not finite, mismatched rows, a penalty that is not positive, or a mask under
            which some label vector has one class only.
    """
    labels, masks = labels.to(x.device), masks.to(x.device)
    _check(x, labels, masks, penalties)
    n_c, n_m, n_l = len(penalties), masks.shape[1], labels.shape[1]
    centre = x.mean(0)
    # The intercept is free, so centring changes no optimum; it decouples the intercept from the coefficients.
    z = x - centre
    basis: Tensor | None = None
    if _rotating_pays(x.shape[0], x.shape[1], n_c * n_m * n_l):
        basis, triangle = torch.linalg.qr(z.T)
        z = triangle.T.contiguous()
    beta, converged, steps = _walk(z, labels, masks, penalties, tolerance, max_steps)
    coef = beta[..., :-1] if basis is None else beta[..., :-1] @ basis.T
    return LogisticSolution(coef, beta[..., -1] - coef @ centre, converged, steps)


def _walk(
    z: Tensor, labels: Tensor, masks: Tensor, penalties: Sequence[float], tolerance: float, max_steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """All pairs of mask and label vector, in blocks; few pairs at every C at once, many from one C to the next."""
    n_c, n_m, n_l = len(penalties), masks.shape[1], labels.shape[1]
    c = torch.tensor(penalties, dtype=z.dtype, device=z.device)
    together = n_m * n_l <= _FEW or n_c * n_m * n_l * sum(z.shape) <= _SMALL
    runs = [torch.arange(n_c, device=z.device)] if together else list(c.argsort().split(1))
    preconditioner = Preconditioner.of(z, _RANK)
    beta = torch.zeros(n_c, n_m * n_l, z.shape[1] + 1, dtype=z.dtype, device=z.device)
    converged = torch.zeros(n_c, n_m * n_l, dtype=torch.bool, device=z.device)
    steps = torch.zeros(n_c, n_m * n_l, dtype=torch.long, device=z.device)
    for pairs in torch.arange(n_m * n_l, device=z.device).split(_BLOCK):
        sign = labels.T[pairs % n_l].to(z.dtype) * 2 - 1
        weight = masks.T[pairs // n_l].to(z.dtype)
        start = torch.zeros(len(pairs), z.shape[1] + 1, dtype=z.dtype, device=z.device)
        margin = torch.zeros_like(weight)
        for run in runs:
            k = len(run)
            ridge = (1 / c[run]).repeat_interleave(len(pairs))
            problems = Problems(sign.repeat(k, 1), weight.repeat(k, 1), ridge, start.repeat(k, 1), margin.repeat(k, 1))
            found, done, taken = minimise(z, problems, preconditioner, tolerance, max_steps)
            beta[run[:, None], pairs] = found.reshape(k, len(pairs), -1)
            converged[run[:, None], pairs] = done.reshape(k, -1)
            steps[run[:, None], pairs] = taken.reshape(k, -1)
            if not together:
                start, margin = found, sign * (found[:, :-1] @ z.T + found[:, -1:])
    shape = (n_c, n_m, n_l)
    return beta.reshape(*shape, -1), converged.reshape(shape), steps.reshape(shape)


def _rotating_pays(n_rows: int, n_features: int, n_problems: int) -> bool:
    """Whether a QR decomposition costs less than the products it shortens."""
    return n_rows * n_features < _STEPS_EXPECTED * n_problems * (n_features - n_rows)


def _check(x: Tensor, labels: Tensor, masks: Tensor, penalties: Sequence[float]) -> None:
    if not len(x) == len(labels) == len(masks):
        raise HintprobeError(
            f"Logistic probes were given {len(x)} rows of features, {len(labels)} of labels and {len(masks)} of masks; "
            "they need one of each per row."
        )
    if not penalties or min(penalties) <= 0:
        raise HintprobeError(f"Values of C must be positive, and at least one is needed; given: {list(penalties)}.")
    # A sum is finite only where every term is, and is far cheaper than looking at every term.
    if not bool(torch.isfinite(x.sum())) and len(bad := (~torch.isfinite(x).all(1)).nonzero()[:, 0]):
        raise HintprobeError(
            f"{len(bad)} of {len(x)} rows of features hold NaN or infinite values, the first at row {int(bad[0])}. "
            "Leave such rows out, or find out where their activations overflowed."
        )
    counts = masks.T.to(torch.float64) @ labels.to(torch.float64)
    one_class = (counts == 0) | (counts == masks.sum(0)[:, None])
    if bool(one_class.any()):
        mask, label = (int(i) for i in one_class.nonzero()[0])
        raise HintprobeError(
            f"The {int(masks[:, mask].sum())} rows of mask {mask} have one class only under label vector {label}; a "
            "probe needs rows of both classes. Use fewer folds or more rows."
        )
