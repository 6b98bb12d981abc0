"""A cheap inverse of the logistic Hessian of one data matrix, shared by all problems on it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

# Up to this many dimensions the eigendecomposition itself costs less than the steps it saves.
_EXACT_UP_TO = 256


@dataclass(frozen=True)
class Preconditioner:
    """Leading eigenvectors of ``x.T @ x``; what lies outside them counts as the smallest eigenvalue kept.

    Attributes:
        vectors: orthonormal columns, ``[feature, rank]``.
        values: their eigenvalues, ``[rank]``.
        rest: stand-in for the eigenvalues that were not kept.
        n_rows: rows of ``x``: the curvature of the intercept.
    """

    vectors: Float[Tensor, "feature rank"]
    values: Float[Tensor, "rank"]
    rest: float
    n_rows: int

    @classmethod
    def of(cls, x: Float[Tensor, "row feature"], rank: int) -> "Preconditioner":
        """Exact where ``x`` has few features, else a randomised Nyström approximation of the given rank."""
        if x.shape[1] <= max(_EXACT_UP_TO, rank):
            values, vectors = _eigh(x.T @ x)
            return cls(vectors, values.clamp(min=0), 0.0, len(x))
        values, vectors = _nystroem(x, rank)
        return cls(vectors, values, float(values.min()), len(x))

    def apply(
        self,
        gradient: Float[Tensor, "problem coordinate"],
        curvature: Float[Tensor, "problem"],
        ridge: Float[Tensor, "problem"],
    ) -> Float[Tensor, "problem coordinate"]:
        """Solve ``(curvature * x.T @ x + ridge) p = gradient`` approximately; the last coordinate is the intercept.

        Args:
            curvature: mean of ``p (1 - p)`` over all rows; rows outside a problem's mask count as zero.
        """
        flat = gradient[:, :-1]
        outside = 1 / (curvature * self.rest + ridge)
        inside = 1 / (curvature[:, None] * self.values + ridge[:, None]) - outside[:, None]
        result = torch.empty_like(gradient)
        result[:, :-1] = torch.addmm(outside[:, None] * flat, (flat @ self.vectors) * inside, self.vectors.T)
        result[:, -1] = gradient[:, -1] / (curvature * self.n_rows)
        return result


def _nystroem(x: Float[Tensor, "row feature"], rank: int) -> tuple[Tensor, Tensor]:
    """Eigenpairs of the randomised Nyström approximation (Frangella, Tropp & Udell 2023, algorithm 2.1)."""
    generator = torch.Generator(device=x.device).manual_seed(0)
    test = torch.randn(x.shape[1], rank, generator=generator, dtype=x.dtype, device=x.device)
    test = torch.linalg.qr(test).Q
    sketch = x.T @ (x @ test)
    # Rows of low rank leave the core singular up to rounding: the shift grows until it can be factorised.
    shift = torch.finfo(x.dtype).eps * 100 * sketch.norm().clamp(min=1e-6)
    for _ in range(8):
        shifted = sketch + shift * test
        core = test.T @ shifted
        factor, failed = torch.linalg.cholesky_ex((core + core.T) / 2)
        if not int(failed):
            break
        shift = shift * 100
    sketch = shifted
    root = torch.linalg.solve_triangular(factor, sketch.T, upper=False)
    squares, rotation = torch.linalg.eigh(root @ root.T)
    vectors = root.T @ (rotation / squares.clamp(min=float(shift)).sqrt())
    return (squares - shift).clamp(min=0), vectors


def _eigh(gram: Float[Tensor, "feature feature"]) -> tuple[Float[Tensor, "feature"], Float[Tensor, "feature feature"]]:
    """Eigenvalues and vectors; again in float64 where float32 does not converge (many equal eigenvalues)."""
    try:
        values, vectors = torch.linalg.eigh(gram)
    except RuntimeError:  # LinAlgError, which torch does not export to type checkers
        values, vectors = torch.linalg.eigh(gram.double())
    return values.to(gram.dtype), vectors.to(gram.dtype)
