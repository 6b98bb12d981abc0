"""Does the card compute what the CPU does? On a small model, against CPU float32."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from activations import Decoding, Knockout, LoadedModel, Site, capture_batch, check_model, generate, residual_sites
from activations.noise import exponential
from experiments.benchmarks.gpu_models import TOY, random_qwen3, random_rows
from probes import solve_logistic
from probes.patching import PatchPair, patch_pairs
from probes.readout import read_options

TOLERANCE = 1e-4
"""Relative, in float32: kernels add in other orders."""
_LENGTHS = (19, 7, 12)


def relative(found: Tensor, expected: Tensor) -> float:
    """Norm of the difference over that of what is expected."""
    found, expected = found.double().cpu(), expected.double().cpu()
    return float((found - expected).norm() / expected.norm().clamp(min=1e-30))


def moved(loaded: LoadedModel, device: torch.device, dtype: torch.dtype = torch.float32) -> LoadedModel:
    """A copy on a device, in a dtype."""
    model: Any = copy.deepcopy(loaded.model)
    return dataclasses.replace(loaded, model=model.to(device, dtype))


def proofs(device: torch.device) -> list[dict[str, Any]]:
    """One line per proof: what, the error, its limit, and whether it holds."""
    cpu = random_qwen3(TOY, torch.float32, torch.device("cpu"))
    card = moved(cpu, device)
    half = moved(cpu, device, torch.bfloat16)
    floor = check_model(half).noise.floor
    ways: dict[str, tuple[Callable[[LoadedModel], Tensor], LoadedModel, float]] = {
        "capture": (_captured, card, TOLERANCE),
        "patched logits": (_patched, card, 10 * TOLERANCE),
        "knockout": (_knocked_out, card, TOLERANCE),
        "capture in bfloat16": (_captured, half, max(0.02, 2 * floor)),
    }
    lines = [_line(name, relative(run(other), run(cpu)), limit) for name, (run, other, limit) in ways.items()]
    draws = [(seed, step) for seed in range(4) for step in range(3)]
    here, there = (exponential(draws, 50_000, where) for where in (torch.device("cpu"), device))
    lines.append(_line("noise", relative(there, here), 1e-6))
    lines.append(_line("greedy tokens that differ", _tokens_apart(cpu, card, 0.0), 0.0))
    lines.append(_line("sampled tokens that differ", _tokens_apart(cpu, card, 1.0), 0.0))
    lines.append(_line("probe weights", relative(_probe(device), _probe(torch.device("cpu"))), 1e-2))
    return lines


def _line(name: str, error: float, limit: float) -> dict[str, Any]:
    return {"proof": name, "error": error, "limit": limit, "holds": error <= limit}


def _rows(loaded: LoadedModel) -> list[tuple[int, ...]]:
    return random_rows(_LENGTHS, loaded.vocabulary)


def _captured(loaded: LoadedModel) -> Tensor:
    sites = residual_sites(TOY.layers)
    values = capture_batch(loaded, _rows(loaded), [[0, n // 2, n - 1] for n in _LENGTHS], sites)
    return torch.cat([values[site].float().flatten() for site in sites])


def _patched(loaded: LoadedModel) -> Tensor:
    (row, *_) = _rows(loaded)
    source = (*row[:3], row[3] + 1, *row[4:])
    pair = PatchPair(row, source, 11, 12, {"turn": (3,), "last": (len(row) - 1,)}, group="g")
    sites = [Site(layer, component) for layer in range(TOY.layers) for component in ("resid_pre", "head_z")]
    effects = patch_pairs(loaded, [pair], sites).patched
    return torch.tensor([float(effects[cell]["logit_difference"][0]) for cell in effects])


def _knocked_out(loaded: LoadedModel) -> Tensor:
    rows = _rows(loaded)
    read = read_options(loaded, rows, [[5, 6, 7]] * len(rows), edits=[Knockout.hiding([(2, 3)] * len(rows))])
    return torch.from_numpy(read.logits)


def _tokens_apart(first: LoadedModel, second: LoadedModel, temperature: float) -> float:
    decoding, rows = Decoding(temperature, 12), _rows(first)
    a, b = (generate(loaded, rows, decoding, seeds=[1, 2, 3]) for loaded in (first, second))
    return float(sum(x != y for p, q in zip(a, b, strict=True) for x, y in zip(p.ids, q.ids, strict=True)))


def _probe(device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(200, 40, generator=generator)
    labels = (x[:, :1] + 0.5 * torch.randn(200, 1, generator=generator)) > 0
    masks = torch.ones(200, 2, dtype=torch.bool)
    masks[:50, 0] = False
    return solve_logistic(x.to(device), labels.to(device), masks.to(device), (1e-2, 1.0), 1e-5).coef.cpu()
