"""Patching a grid of layers × positions, against TransformerLens' loop and against one plain hook per cell.

Run: ``python -m experiments.benchmarks.patching [--quick] [--json]``. A random Llama of 12 blocks, d_model 768; two
prompts of 64 tokens that differ from the second token on, so that (almost) no cell can be left out; one thread. Each
round times the three ways one after the other; the figures are medians over rounds of the ratio of times per cell.

A loop of whole forwards costs the same at every cell, so it is timed on cells spread evenly over the grid. Runs from
the middle do not, so they are timed on every position of every layer (``--quick``: of two layers whose mean depth is
the whole grid's).
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from activations import LoadedModel, Site, load_model, visiting
from activations.batching import pad_left
from activations.models import Dtype
from probes.patching import Cell, PatchPair, patch_pairs

LAYERS, WIDTH, HEADS, MLP, TOKENS, VOCABULARY = 12, 768, 12, 3072, 64, 32_000
READ = (100, 200)


@dataclass(frozen=True)
class Grid:
    """What is timed.

    Attributes:
        layers: timed from the middle, at every position.
        sample: cells that the loops are timed on.
    """

    layers: tuple[int, ...]
    sample: tuple[tuple[int, int], ...]
    rounds: int


def make_grid(quick: bool) -> Grid:
    """Two layers or all of them; as many cells for the loops as a round can bear."""
    layers = (4, 7) if quick else tuple(range(LAYERS))
    step = 16 if quick else 8
    sample = [(layer, (5 * layer + position) % TOKENS) for layer in layers for position in range(0, TOKENS, step)]
    return Grid(layers, tuple(sample), 2 if quick else 3)


def make_model(folder: Path, dtype: Dtype) -> LoadedModel:
    """The random Llama with a tokenizer, loaded as any model is."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from experiments.organisms.recipe import load_recipe
    from experiments.organisms.train import make_tokenizer

    if not (folder / "config.json").exists():
        tokenizer = make_tokenizer(load_recipe("unfaithful"))
        shape = LlamaConfig(
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            intermediate_size=MLP,
            vocab_size=VOCABULARY,
            pad_token_id=tokenizer.pad_token_id,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            LlamaForCausalLM(shape).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return load_model(str(folder), dtype, "cpu")


def make_pair() -> PatchPair:
    """Two random prompts that share their first token alone."""
    generator = torch.Generator().manual_seed(1)
    base, source = (torch.randint(300, VOCABULARY, (TOKENS,), generator=generator).tolist() for _ in range(2))
    positions = {str(p): (p,) for p in range(TOKENS)}
    return PatchPair(tuple(base), (base[0], *source[1:]), *READ, positions, "g")


def from_the_middle(loaded: LoadedModel, pair: PatchPair, layers: tuple[int, ...]) -> dict[tuple[int, int], float]:
    """Ours: logit difference per (layer, position)."""
    effects = patch_pairs(loaded, [pair], [Site(layer, "resid_pre") for layer in layers])
    return {
        (layer, p): float(effects.patched[Cell(Site(layer, "resid_pre"), str(p))]["logit_difference"][0])
        for layer in layers
        for p in range(TOKENS)
    }


@torch.no_grad()
def plain_hooks(loaded: LoadedModel, pair: PatchPair, sample: tuple[tuple[int, int], ...]) -> dict[Any, float]:
    """One whole forward and one hook per cell, logits of the last token only."""
    base = pad_left([pair.base_ids], 0, loaded.device).ids
    kept: dict[int, torch.Tensor] = {}
    keepers = {Site(k, "resid_pre"): lambda states, k=k: kept.update({k: states}) for k in range(LAYERS)}
    with visiting(loaded.model, keepers):
        loaded.model.base_model(torch.tensor([pair.source_ids]))
    found = {}
    for layer, position in sample:

        def put(states: torch.Tensor, layer: int = layer, position: int = position) -> torch.Tensor:
            changed = states.clone()
            changed[:, position] = kept[layer][:, position]
            return changed

        # `logits_to_keep=1` at batch 1 in bfloat16 takes a path 15 times slower than two-dimensional input does.
        with visiting(loaded.model, {Site(layer, "resid_pre"): put}):
            last = loaded.model.base_model(base, use_cache=False).last_hidden_state[0, -1:]
        logits = loaded.model.get_output_embeddings()(last)[0].float()
        found[layer, position] = float(logits[READ[0]] - logits[READ[1]])
    return found


@torch.no_grad()
def transformer_lens_loop(bridge: Any, pair: PatchPair, sample: tuple[tuple[int, int], ...]) -> dict[Any, float]:
    """``get_act_patch_resid_pre`` on the sampled cells, the source run's cache included."""
    import pandas as pd
    from transformer_lens import patching

    _, kept = bridge.run_with_cache(torch.tensor([pair.source_ids]), names_filter=lambda name: "resid_pre" in name)
    frame = pd.DataFrame(sample, columns=["layer", "pos"])

    def metric(logits: torch.Tensor) -> torch.Tensor:
        last = logits[0, -1].float()
        return last[READ[0]] - last[READ[1]]

    base = torch.tensor([pair.base_ids])
    values = patching.generic_activation_patch(
        bridge, base, kept, metric, patching.layer_pos_patch_setter, "resid_pre", index_df=frame
    )
    return dict(zip(sample, values.tolist(), strict=True))


def timed(run: Callable[[], dict[Any, float]], cells: int) -> tuple[float, dict[Any, float]]:
    """Seconds per cell, and the result."""
    start = time.perf_counter()
    result = run()
    return (time.perf_counter() - start) / cells, result


def compare(folder: Path, dtype: Dtype, grid: Grid) -> dict[str, Any]:
    """Rounds of the three ways in turn; ratios of times per cell, and the largest difference in logit difference."""
    from activations.backends import open_backend

    loaded, pair = make_model(folder, dtype), make_pair()
    bridge = open_backend("transformer_lens", loaded).bridge  # type: ignore[attr-defined]
    seconds: dict[str, list[float]] = {"ours": [], "transformer_lens": [], "hooks": []}
    errors: list[float] = []
    ways: dict[str, tuple[Callable[[], dict[Any, float]], int]] = {
        "ours": (lambda: from_the_middle(loaded, pair, grid.layers), len(grid.layers) * TOKENS),
        "transformer_lens": (lambda: transformer_lens_loop(bridge, pair, grid.sample), len(grid.sample)),
        "hooks": (lambda: plain_hooks(loaded, pair, grid.sample), len(grid.sample)),
    }
    transformer_lens_loop(bridge, pair, grid.sample[:1])  # warm-up
    from_the_middle(loaded, pair, (LAYERS - 1,))
    for _ in range(grid.rounds):
        found = {}
        for name, (run, cells) in ways.items():
            taken, found[name] = timed(run, cells)
            seconds[name].append(taken)
        errors += [
            abs(found["ours"][k] - found[other][k]) for k in grid.sample for other in ("transformer_lens", "hooks")
        ]

    def ratio(name: str) -> float:
        return statistics.median(a / b for a, b in zip(seconds[name], seconds["ours"], strict=True))

    return {
        "dtype": dtype,
        "speedup_transformer_lens": ratio("transformer_lens"),
        "speedup_naive_hooks": ratio("hooks"),
        "max_logit_difference_error": max(errors),
        "milliseconds_per_cell": {name: 1000 * statistics.median(values) for name, values in seconds.items()},
        "forwards_per_cell": 1 / ratio("hooks"),
        "arithmetic_bound_forwards_per_cell": bound(grid.layers),
    }


def bound(layers: tuple[int, ...]) -> float:
    """Least share of a whole forward that a cell costs if only what the patch can change is computed.

    Multiplications by weights only: from the patched token on, from the patched block on, keys and values alone for all
    but the last token of the last block, and the head once (the whole forward's head, too, reads one token only).
    """
    block = 4 * WIDTH**2 + 3 * WIDTH * MLP
    keys = 2 * WIDTH**2
    head = WIDTH * VOCABULARY
    costs = [
        (LAYERS - 1 - layer) * (TOKENS - p) * block + (TOKENS - 1 - p) * keys + block + head
        for layer in layers
        for p in range(1, TOKENS)
    ]
    return sum(costs) / (len(layers) * TOKENS) / (LAYERS * TOKENS * block + head)


def main() -> None:
    """Run and print one JSON object, or a line a dtype."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a part of the grid, under a minute")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        results = [compare(Path(folder), dtype, make_grid(options.quick)) for dtype in ("float32", "bfloat16")]
    first, second = results
    if options.json:
        summary = {
            "speedup_transformer_lens": first["speedup_transformer_lens"],
            "speedup_transformer_lens_bfloat16": second["speedup_transformer_lens"],
            "speedup_naive_hooks": first["speedup_naive_hooks"],
            "speedup_naive_hooks_bfloat16": second["speedup_naive_hooks"],
            "max_logit_difference_error": first["max_logit_difference_error"],
            "quick": options.quick,
        }
        sys.stdout.write(json.dumps({**summary, "results": results}) + "\n")
        return
    for result in results:
        sys.stdout.write(
            f"{result['dtype']}: {result['speedup_transformer_lens']:.1f} times TransformerLens' loop, "
            f"{result['speedup_naive_hooks']:.1f} times one hook per cell; {result['forwards_per_cell']:.3f} of a "
            f"forward per cell (arithmetic bound {result['arithmetic_bound_forwards_per_cell']:.3f}); logit "
            f"differences within {result['max_logit_difference_error']:.1e}\n"
        )


if __name__ == "__main__":
    main()
