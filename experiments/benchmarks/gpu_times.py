"""What the work of a run costs on a device, each beside the named alternative, in turn."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from activations import Decoding, LoadedModel, Site, capture, generate, residual_sites, visiting
from activations.batching import by_length
from activations.noise import exponential
from experiments.benchmarks.gpu_models import Scale, ragged_lengths, random_rows
from probes import solve_logistic
from probes.patching import PatchPair, patch_pairs

Run = Callable[[], Any]
TEMPERATURE = 0.7


def seconds(run: Run, device: torch.device) -> float:
    """Wall seconds of one call, the device's queue emptied before and after."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def in_turn(runs: dict[str, Run], device: torch.device, rounds: int) -> dict[str, float]:
    """Median seconds of each, round after round, after one round that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for k in range(rounds + 1):
        for name, run in runs.items():
            took = seconds(run, device)
            if k:
                taken[name].append(took)
    return {name: statistics.median(values) for name, values in taken.items()}


@torch.no_grad()
def generation(loaded: LoadedModel, scale: Scale, rounds: int) -> dict[str, Any]:
    """Against ``model.generate``, greedy and sampled; ``generate_ratio_*`` are our tokens a second over theirs."""
    rows = random_rows([scale.prompt] * scale.rows, scale.vocabulary)
    ids = torch.tensor(rows, device=loaded.device)
    model: Any = loaded.model

    def theirs(**how: Any) -> Run:
        return lambda: model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=scale.new, min_new_tokens=scale.new, **how
        )

    def ours(temperature: float) -> Run:
        decoding = Decoding(temperature, scale.new, 2**30)
        return lambda: generate(loaded, rows, decoding, seeds=range(len(rows)))

    taken = in_turn(
        {
            "ours_greedy": ours(0.0),
            "hf_greedy": theirs(do_sample=False),
            "ours_sampled": ours(TEMPERATURE),
            "hf_sampled": theirs(do_sample=True, temperature=TEMPERATURE, top_k=0, top_p=1.0),
        },
        loaded.device,
        rounds,
    )
    tokens = scale.rows * scale.new
    draws = [(seed, 5) for seed in range(scale.rows)]
    exponential(draws, scale.vocabulary, loaded.device)
    noise = min(seconds(lambda: exponential(draws, scale.vocabulary, loaded.device), loaded.device) for _ in range(10))
    return {
        "generate_ratio_hf_greedy": taken["hf_greedy"] / taken["ours_greedy"],
        "generate_ratio_hf_sampled": taken["hf_sampled"] / taken["ours_sampled"],
        "noise_share_of_step": noise / (taken["ours_sampled"] / scale.new),
        "generate_tokens_per_second": {name: tokens / took for name, took in taken.items()},
        "noise_milliseconds": 1e3 * noise,
        **rollouts(loaded, scale, rounds),
    }


def rollouts(loaded: LoadedModel, scale: Scale, rounds: int) -> dict[str, Any]:
    """Rows that share what they read, over as many prompts that share nothing.

    Four rollouts of each prompt; and fours of prompts that differ in their last eighth, as an item's conditions do.
    """
    prompts = random_rows([scale.prompt] * max(1, scale.rows // 4), scale.vocabulary, seed=2)
    decoding = Decoding(TEMPERATURE, max(2, scale.new // 4), 2**30)
    same = [prompt for prompt in prompts for _ in range(4)]
    apart = random_rows([scale.prompt] * len(same), scale.vocabulary, seed=3)
    own = max(1, scale.prompt // 8)
    alike = [(*prompt[:-own], *other[-own:]) for prompt, other in zip(same, apart, strict=True)]
    runs: dict[str, Run] = {
        name: lambda rows=rows: generate(loaded, rows, decoding, seeds=range(len(rows)))  # type: ignore[misc]
        for name, rows in (("same", same), ("alike", alike), ("apart", apart))
    }
    taken = in_turn(runs, loaded.device, rounds)
    return {
        "rollouts_ratio_apart": taken["apart"] / taken["same"],
        "conditions_ratio_apart": taken["apart"] / taken["alike"],
    }


@torch.no_grad()
def ragged_capture(loaded: LoadedModel, scale: Scale, rounds: int) -> dict[str, Any]:
    """Real tokens a second of a ragged capture, over those of plain forwards on full batches of the same shapes."""
    lengths = ragged_lengths(scale)
    rows = random_rows(lengths, scale.vocabulary)
    batches = list(by_length(lengths, scale.budget))
    shapes = [(len(batch), lengths[batch[0]]) for batch in batches]
    padded = sum(n * longest for n, longest in shapes)
    sites, model = residual_sites(scale.layers), loaded.model
    positions = [[0, n // 3, n // 2, n - 1] for n in lengths]

    def ours() -> None:
        for _ in capture(loaded, rows, positions, sites, scale.budget):
            pass

    def plain() -> None:
        for n, longest in shapes:
            ids = torch.full((n, longest), 11, device=loaded.device)
            # The head reads one token: on all of them its logits alone would fill a card.
            model(input_ids=ids, use_cache=False, logits_to_keep=1)

    taken = in_turn({"ours": ours, "plain": plain}, loaded.device, rounds)
    real = sum(lengths)
    return {
        "capture_ratio_plain_ragged": (real / taken["ours"]) / (padded / taken["plain"]),
        "padding_waste": 1 - real / padded,
        "capture_tokens_per_second": real / taken["ours"],
        "plain_tokens_per_second": padded / taken["plain"],
    }


@torch.no_grad()
def patching(loaded: LoadedModel, scale: Scale, rounds: int) -> dict[str, Any]:
    """A grid of cells from kept runs, against one hook and one whole forward a cell."""
    tokens, n_layers = scale.patched
    layers = [k * scale.layers // n_layers for k in range(n_layers)]
    base, source = random_rows([tokens, tokens], scale.vocabulary, seed=4)
    source = (base[0], *source[1:])
    pair = PatchPair(base, source, 11, 12, {str(p): (p,) for p in range(1, tokens)}, "g")
    ids = torch.tensor([base], device=loaded.device)
    state = torch.zeros(scale.width, dtype=loaded.model.dtype, device=loaded.device)
    sample = [(layer, 1 + (7 * k) % (tokens - 1)) for k, layer in enumerate(layers)]

    def hooks() -> None:
        for layer, position in sample:

            def put(states: torch.Tensor, position: int = position) -> torch.Tensor:
                changed = states.clone()
                changed[:, position] = state
                return changed

            with visiting(loaded.model, {Site(layer, "resid_pre"): put}):
                loaded.model(input_ids=ids.expand(2, -1), use_cache=False, logits_to_keep=1)

    def ours() -> None:
        patch_pairs(loaded, [pair], [Site(layer, "resid_pre") for layer in layers])

    taken = in_turn({"ours": ours, "hooks": hooks}, loaded.device, rounds)
    cells = len(layers) * (tokens - 1)
    each = {"ours": 1e3 * taken["ours"] / cells, "hooks": 1e3 * taken["hooks"] / len(sample)}
    return {"patching_ratio_hooks": each["hooks"] / each["ours"], "patching_milliseconds_per_cell": each}


def probe_fits(loaded: LoadedModel, scale: Scale, rounds: int) -> dict[str, Any]:
    """Thirty logistic fits of a cell: on the device, on the CPU, and by scikit-learn in a loop (one fit, scaled)."""
    from sklearn.linear_model import LogisticRegression

    n, d = scale.probe
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(n, d)) / np.sqrt(1 + np.arange(d))).astype(np.float32)
    labels = rng.random(n) < 0.5
    penalties = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    fold = rng.permutation(n) % 5
    masks = np.stack([*(fold != k for k in range(5)), np.ones(n, bool)], axis=1)
    held = [torch.from_numpy(part) for part in (x, labels[:, None], masks)]
    there = [part.to(loaded.device) for part in held]
    runs: dict[str, Run] = {
        "device": lambda: solve_logistic(there[0], there[1], there[2], penalties, 1e-4),
        "cpu": lambda: solve_logistic(held[0], held[1], held[2], penalties, 1e-4),
        "scikit_learn": lambda: LogisticRegression(C=1e-2, tol=1e-4, max_iter=1000).fit(x, labels),
    }
    taken = in_turn(runs, loaded.device, rounds)
    taken["scikit_learn"] *= len(penalties) * masks.shape[1]
    return {
        "probes_ratio_scikit_learn": taken["scikit_learn"] / taken["device"],
        "probes_ratio_cpu": taken["cpu"] / taken["device"],
        "probes_seconds": taken,
    }
