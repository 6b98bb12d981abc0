"""Capture of every layer at four positions, against a plain forward and against the other ways to have the same.

Run: ``python -m experiments.benchmarks.capture [--quick] [--json]``. One random Llama, one batch without padding, one
thread; all contenders in turn, round after round, and medians over rounds. Ratios are ours over theirs: below 1, ours
is faster. Then the growth of resident memory over 200 batches.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from activations import LoadedModel, Site, capture, residual_sites
from activations.backends import open_backend
from activations.errors import HintprobeError
from experiments.run.known_models import resolve_model

Contender = Callable[[], dict[Site, Tensor]]


@dataclass(frozen=True)
class Shape:
    """A model and a batch."""

    layers: int
    width: int
    vocabulary: int
    batch: int
    length: int
    rounds: int


FULL = Shape(layers=12, width=768, vocabulary=32_000, batch=4, length=256, rounds=5)
QUICK = Shape(layers=8, width=384, vocabulary=8_000, batch=4, length=128, rounds=9)


def random_llama(shape: Shape, dtype: torch.dtype) -> LoadedModel:
    """A Llama with random weights, and the tokenizer of an organism (only its padding is used)."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.width // 64,
        num_key_value_heads=shape.width // 64,
        intermediate_size=shape.width * 8 // 3,
        architectures=["LlamaForCausalLM"],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = LlamaForCausalLM(config)
    model = model.to(dtype).eval().requires_grad_(False)
    tokenizer: Any = AutoTokenizer.from_pretrained(resolve_model("organism:unfaithful"))
    return LoadedModel(model, tokenizer, "random-llama", "random", "none")


class Race:
    """The contenders, on one batch."""

    def __init__(self, loaded: LoadedModel, shape: Shape) -> None:
        generator = torch.Generator().manual_seed(1)
        self.ids = torch.randint(10, shape.vocabulary, (shape.batch, shape.length), generator=generator)
        self.positions = [[7, shape.length // 3, shape.length // 2, shape.length - 1]] * shape.batch
        self.loaded, self.sites = loaded, residual_sites(shape.layers)
        self.mask = torch.ones_like(self.ids)
        self.inputs = {"input_ids": self.ids, "attention_mask": self.mask, "position_ids": self.mask.cumsum(-1) - 1}
        self.where = torch.tensor(self.positions)
        self.rows = torch.arange(shape.batch)[:, None]
        self.contenders: dict[str, Contender] = {
            "ours": self.ours,
            "plain_forward": self.plain_forward,
            "output_hidden_states": self.output_hidden_states,
        }
        for name, library, more in (
            ("nnsight", "nnsight", {"nnsight": self.nnsight, "nnsight_stop": self.nnsight_stop}),
            ("bridge", "transformer_lens", {"bridge": self.bridge}),
        ):
            try:
                setattr(self, f"_{name}", open_backend(library, loaded))
            except HintprobeError as error:
                sys.stderr.write(f"left out: {error}\n")
                continue
            self.contenders |= more

    def ours(self) -> dict[Site, Tensor]:
        """The public call, from lists of token ids."""
        rows = [tuple(row) for row in self.ids.tolist()]
        ((_, captured),) = capture(self.loaded, rows, self.positions, self.sites)
        return captured

    @torch.no_grad()
    def plain_forward(self) -> dict[Site, Tensor]:
        """What the model takes by itself, LM head included; nothing is kept."""
        self.loaded.model(**self.inputs, use_cache=False)
        return {}

    @torch.no_grad()
    def output_hidden_states(self) -> dict[Site, Tensor]:
        """Transformers' own way; the last state is after the final norm, and is not compared."""
        states = self.loaded.model(**self.inputs, use_cache=False, output_hidden_states=True).hidden_states
        return {s: state[self.rows, self.where] for s, state in zip(self.sites[:-1], states[:-1], strict=True)}

    @torch.no_grad()
    def nnsight(self) -> dict[Site, Tensor]:
        """A trace that keeps four positions of each layer."""
        model, rows, where, n_layers = self._nnsight.wrapped, self.rows, self.where, len(self.sites) - 1  # type: ignore[attr-defined]
        with model.trace(self.inputs):
            found: Any = list().save()  # type: ignore[attr-defined]  # noqa: C408
            found.append(model.model.layers[0].input[rows, where])
            for layer in range(n_layers):
                found.append(model.model.layers[layer].output[rows, where])
        return dict(zip(self.sites, found, strict=True))

    def nnsight_stop(self) -> dict[Site, Tensor]:
        """The same, ended after the last layer: what our nnsight backend does."""
        read: dict[Site, Tensor] = self._nnsight.read(self._batch(), self.where, self.sites)  # type: ignore[attr-defined]
        return read

    @torch.no_grad()
    def bridge(self) -> dict[Site, Tensor]:
        """``run_with_cache`` of the wanted hook points, as its documentation has it."""
        bridge = self._bridge.bridge  # type: ignore[attr-defined]
        names = [f"blocks.{site.layer}.hook_{site.component}" for site in self.sites]
        _, cache = bridge.run_with_cache(self.ids, names_filter=names, attention_mask=self.mask)
        return {s: cache[name][self.rows, self.where] for s, name in zip(self.sites, names, strict=True)}

    def _batch(self) -> Any:
        from activations.batching import PaddedBatch

        return PaddedBatch(self.ids, self.mask.bool(), torch.zeros(len(self.ids), dtype=torch.long))


def agreement(race: Race) -> float:
    """Largest difference of any contender from ours, relative to the site's root mean square."""
    expected = race.ours()
    worst = 0.0
    for contender in race.contenders.values():
        for site, value in contender().items():
            scale = expected[site].float().square().mean().sqrt()
            worst = max(worst, float((value - expected[site]).float().abs().max() / scale))
    return worst


def run_race(shape: Shape, dtype: torch.dtype) -> dict[str, Any]:
    """Time all contenders in turn, round after round."""
    race = Race(random_llama(shape, dtype), shape)
    difference = agreement(race)  # and the warm-up
    times: dict[str, list[float]] = {name: [] for name in race.contenders}
    for _ in range(shape.rounds):
        for name, contender in race.contenders.items():
            start = time.perf_counter()
            contender()
            times[name].append(time.perf_counter() - start)
    median = {name: statistics.median(values) for name, values in times.items()}
    others = [name for name in median if name != "ours"]
    rounds = {name: sorted(a / b for a, b in zip(times["ours"], times[name], strict=True)) for name in others}
    return {
        "dtype": str(dtype).removeprefix("torch."),
        "shape": vars(shape),
        "seconds": median,
        "largest_difference": difference,
        **{f"time_ratio_{name}": median["ours"] / median[name] for name in others},
        **{f"time_ratio_{name}_range": [rounds[name][0], rounds[name][-1]] for name in others},
    }


def resident_bytes() -> int:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def memory_growth(batches: int = 200, warm_up: int = 400) -> dict[str, Any]:
    """Resident memory before and after 200 batches, each batch's numbers dropped as the next arrives.

    The allocator takes some hundred batches to settle on its arenas, hence the long warm-up.
    """
    shape = Shape(layers=4, width=256, vocabulary=1000, batch=4, length=64, rounds=0)
    loaded = random_llama(shape, torch.float32)
    generator = torch.Generator().manual_seed(2)
    n_rows = (warm_up + batches) * shape.batch
    ids = torch.randint(10, shape.vocabulary, (n_rows, shape.length), generator=generator).tolist()
    budget, before = shape.batch * shape.length, 0
    for done, _ in enumerate(capture(loaded, ids, [[3, 20, 40, 63]] * n_rows, residual_sites(shape.layers), budget)):
        if done == warm_up:
            before = resident_bytes()
    per_batch = (shape.layers + 1) * shape.batch * 4 * shape.width * 4
    return {
        "memory_batches": batches,
        "memory_growth_bytes": resident_bytes() - before,
        "memory_captured_bytes": batches * per_batch,
    }


def main() -> None:
    """Run and print one JSON object or a few lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller model, float32 only, under a minute")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(1)
    dtypes = [torch.float32] if options.quick else [torch.float32, torch.bfloat16]
    results = [run_race(QUICK if options.quick else FULL, dtype) for dtype in dtypes]
    report = {**results[0], **memory_growth(), "results": results}
    if options.json:
        sys.stdout.write(json.dumps(report) + "\n")
        return
    for result in results:
        sys.stdout.write(f"{result['dtype']}: ours {result['seconds']['ours']:.3f} s\n")
        for name, seconds in result["seconds"].items():
            if name != "ours":
                low, high = result[f"time_ratio_{name}_range"]
                ratio = result[f"time_ratio_{name}"]
                sys.stdout.write(f"  {name:<22}{seconds:7.3f} s   ratio {ratio:.2f} ({low:.2f} to {high:.2f})\n")
        sys.stdout.write(f"  largest difference {result['largest_difference']:.1e} of a site's root mean square\n")
    growth, captured = report["memory_growth_bytes"] / 2**20, report["memory_captured_bytes"] / 2**20
    sys.stdout.write(f"resident memory over 200 batches: {growth:+.1f} MiB, of {captured:.0f} MiB captured\n")


if __name__ == "__main__":
    main()
