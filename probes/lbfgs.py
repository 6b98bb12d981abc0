"""Many L2-regularised logistic problems on one data matrix, minimised together: preconditioned batched L-BFGS."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probes.preconditioner import Preconditioner

_MEMORY = 3  # pairs of steps and gradient changes; 2 to 20 need about equally many steps behind this preconditioner
_PATIENCE = 100  # steps without progress after which rounding, not the problem, sets the gradient
_LINE_EVALUATIONS = 8


@dataclass
class Problems:
    """The problems still being solved, one a row; ``weight`` is 0 outside a problem's mask.

    Attributes:
        sign: label as -1 or 1.
        ridge: 1 / C.
        beta: coefficients, the intercept last.
        margin: ``sign * (x @ coef + intercept)``.
    """

    sign: Float[Tensor, "problem row"]
    weight: Float[Tensor, "problem row"]
    ridge: Float[Tensor, "problem"]
    beta: Float[Tensor, "problem coordinate"]
    margin: Float[Tensor, "problem row"]


@dataclass
class _State:
    """What the minimiser knows about each problem still being solved."""

    where: Int[Tensor, "problem"]
    gradient: Float[Tensor, "problem coordinate"]
    curvature: Float[Tensor, "problem"]
    best: Float[Tensor, "problem"]
    waited: Int[Tensor, "problem"]
    history: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)


@dataclass(frozen=True)
class _Line:
    """A point along the search directions."""

    length: Float[Tensor, "problem"]
    margin: Float[Tensor, "problem row"]
    miss: Float[Tensor, "problem row"]  # weighted probability of the wrong class
    curvature: Float[Tensor, "problem"]


def minimise(
    x: Float[Tensor, "row feature"],
    problems: Problems,
    preconditioner: Preconditioner,
    tolerance: float,
    max_steps: int,
) -> tuple[Float[Tensor, "problem coordinate"], Bool[Tensor, "problem"], Int[Tensor, "problem"]]:
    """Minimise every problem until the largest entry of its mean-loss gradient is at most ``tolerance``.

    Each step costs two products with ``x`` for all problems together (Nocedal & Wright 2006, algorithm 7.5, with the
    preconditioner as initial inverse Hessian); the line search runs on margins and costs none. A problem that has
    converged is retired: left in the batch, rounding would spoil it.

    Returns:
        Coefficients, whether each problem converged, and its number of steps.
    """
    result = torch.zeros_like(problems.beta)
    converged = torch.zeros(len(result), dtype=torch.bool, device=x.device)
    steps = torch.full((len(result),), max_steps, device=x.device)
    state = _begin(x, problems)
    rows = problems.weight.sum(1)
    for step in range(max_steps):
        size = state.gradient.abs().amax(1) / rows
        small = size <= tolerance
        better = size < 0.9 * state.best
        state.waited = torch.where(better, 0, state.waited + 1)
        state.best = torch.minimum(state.best, size)
        leave = small | (state.waited > _PATIENCE)
        if bool(leave.any()):
            result[state.where[leave]] = problems.beta[leave]
            converged[state.where[leave]] = small[leave]
            steps[state.where[leave]] = step
            problems, state, rows = _keep(problems, ~leave), _keep_state(state, ~leave), rows[~leave]
            if not len(rows):
                return result, converged, steps
        _step(x, problems, state, preconditioner)
    result[state.where] = problems.beta
    return result, converged, steps


def _begin(x: Tensor, problems: Problems) -> _State:
    miss = problems.weight * torch.sigmoid(-problems.margin)
    n = len(miss)
    return _State(
        torch.arange(n, device=x.device),
        _gradient(x, problems, miss),
        (miss * (problems.weight - miss)).mean(1).clamp(min=1e-6),
        torch.full((n,), torch.inf, dtype=x.dtype, device=x.device),
        torch.zeros(n, dtype=torch.long, device=x.device),
    )


def _keep(problems: Problems, kept: Tensor) -> Problems:
    return Problems(
        problems.sign[kept], problems.weight[kept], problems.ridge[kept], problems.beta[kept], problems.margin[kept]
    )


def _keep_state(state: _State, kept: Tensor) -> _State:
    return _State(
        state.where[kept],
        state.gradient[kept],
        state.curvature[kept],
        state.best[kept],
        state.waited[kept],
        [(move[kept], change[kept], rho[kept]) for move, change, rho in state.history],
    )


def _gradient(x: Tensor, problems: Problems, miss: Tensor) -> Float[Tensor, "problem coordinate"]:
    pull = -problems.sign * miss
    flat = torch.addcmul(pull @ x, problems.ridge[:, None], problems.beta[:, :-1])
    return torch.cat([flat, pull.sum(1, keepdim=True)], dim=1)


def _step(x: Tensor, problems: Problems, state: _State, preconditioner: Preconditioner) -> None:
    """One step of every problem, in place."""
    direction = _direction(problems, state, preconditioner)
    flat, intercept = direction[:, :-1], direction[:, -1:]
    # Tall times thin is the faster order of this product on a CPU.
    along = problems.sign * ((x @ flat.T.contiguous()).T + intercept)
    line = _search(problems, along, flat, (direction * state.gradient).sum(1))
    move = line.length[:, None] * direction
    problems.beta += move
    problems.margin = line.margin
    new = _gradient(x, problems, line.miss)
    change = new - state.gradient
    product = (move * change).sum(1)
    trusted = product > 1e-10 * move.norm(dim=1) * change.norm(dim=1)
    rho = torch.where(trusted, 1 / product, 0.0)  # a pair of weight zero changes nothing
    state.history = [*state.history[-_MEMORY + 1 :], (move, change, rho)]
    state.gradient, state.curvature = new, line.curvature


def _direction(
    problems: Problems, state: _State, preconditioner: Preconditioner
) -> Float[Tensor, "problem coordinate"]:
    """Two-loop recursion; the preconditioner follows each problem's present curvature."""
    q = state.gradient.clone()
    shares = []
    for move, change, rho in reversed(state.history):
        share = rho * (move * q).sum(1)
        shares.append(share)
        q.addcmul_(change, -share[:, None])
    q = preconditioner.apply(q, state.curvature, problems.ridge)
    for (move, change, rho), share in zip(state.history, reversed(shares), strict=True):
        q.addcmul_(move, (share - rho * (change * q).sum(1))[:, None])
    downhill = (q * state.gradient).sum(1) > 0
    if not bool(downhill.all()):
        plain = preconditioner.apply(state.gradient, state.curvature, problems.ridge)
        q = torch.where(downhill[:, None], q, plain)
    return -q


def _search(problems: Problems, along: Tensor, flat: Tensor, slope_at_zero: Tensor) -> _Line:
    """Newton's method on each line, kept inside its bracket, until a tenth of the slope is left."""
    cross, square = (problems.beta[:, :-1] * flat).sum(1), flat.square().sum(1)
    length = torch.ones_like(cross)
    low, high = torch.zeros_like(cross), torch.full_like(cross, torch.inf)
    for evaluation in range(_LINE_EVALUATIONS):
        margin = torch.addcmul(problems.margin, length[:, None], along)
        miss = problems.weight * torch.sigmoid(-margin)
        spread = miss * (problems.weight - miss)
        slope = -(miss * along).sum(1) + problems.ridge * (cross + length * square)
        flat_enough = slope.abs() <= 0.1 * slope_at_zero.abs()
        if evaluation == _LINE_EVALUATIONS - 1 or bool(flat_enough.all()):
            break
        bend = (spread * along.square()).sum(1) + problems.ridge * square
        low, high = torch.where(slope < 0, length, low), torch.where(slope > 0, length, high)
        newton = length - slope / bend
        fallback = torch.where(high.isinf(), 2 * length, (low + high) / 2)
        inside = (newton > low) & (newton < high)
        length = torch.where(flat_enough, length, torch.where(inside, newton, fallback))
    return _Line(length, margin, miss, spread.mean(1).clamp(min=1e-6))
