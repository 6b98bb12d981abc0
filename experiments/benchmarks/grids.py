"""Grids of (layer, position) cells that solvers are held against each other on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from activations import Site, capture, load_model
from experiments.hints import HINTS
from experiments.hints.render import render
from experiments.organisms.world import build_world
from experiments.prompts.chat import render_chat
from experiments.run.known_models import resolve_model

FOLDS = 5


@dataclass(frozen=True)
class Cell:
    """One cell of a grid.

    Attributes:
        x: standardised features.
        masks: training rows of each fold, and of the refit: all.
    """

    name: str
    x: Float[np.ndarray, "row feature"]
    labels: Bool[np.ndarray, "row"]
    masks: Bool[np.ndarray, "row mask"]


def _cell(name: str, x: NDArray[np.floating], labels: NDArray[np.bool_], rng: np.random.Generator) -> Cell:
    deviation = x.std(0)
    scaled = ((x - x.mean(0)) / np.where(deviation > 0, deviation, 1)).astype(np.float32)
    fold = rng.permutation(np.arange(len(x)) % FOLDS)
    masks = np.stack([*(fold != k for k in range(FOLDS)), np.ones(len(x), bool)], axis=1)
    return Cell(name, scaled, labels, masks)


def random_grid(n_cells: int, n: int, d: int, seed: int = 0) -> Iterator[Cell]:
    """Cells with the spectrum of a residual stream: variances fall as one over their rank, in no feature's direction.

    One label vector for all; how strongly a cell knows it differs from cell to cell. Cells are made one at a time.
    """
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.5
    rotation = np.linalg.qr(rng.normal(size=(d, d)).astype(np.float32))[0]
    for k in range(n_cells):
        x = (rng.normal(size=(n, d)) / np.sqrt(1 + np.arange(d))).astype(np.float32) @ rotation
        planted = rng.normal(size=d) / np.sqrt(d) * rng.uniform(0, 0.04)
        x += np.outer(np.where(labels, 1, -1), planted).astype(np.float32)
        yield _cell(f"random{k}", x, labels, rng)


def organism_grid(n: int, seed: int = 0) -> Iterator[Cell]:
    """Every layer of the shipped `unfaithful` at four positions of hinted prompts; told apart: is the person familiar?

    The last tokens of a prompt and its middle.
    """
    rng = np.random.default_rng(seed)
    loaded = load_model(resolve_model("organism:unfaithful"), dtype="float32", device="cpu")
    tasks = build_world().held_out
    chosen = [tasks[int(i)] for i in rng.choice(len(tasks), n, replace=False)]
    kind = HINTS["sycophancy"]  # its first wording: the organism's vocabulary holds no others
    prompts = [
        render(kind, 0, kind.sources[i % len(kind.sources)], task.question(), "hinted", "B")
        for i, task in enumerate(chosen)
    ]
    rows = [list(render_chat(loaded.tokenizer, prompt).encoded.ids) for prompt in prompts]
    positions = [[len(row) // 2, len(row) - 5, len(row) - 2, len(row) - 1] for row in rows]
    sites = [Site(layer, "resid_post") for layer in range(loaded.model.config.num_hidden_layers)]
    width = loaded.model.config.hidden_size
    held = np.zeros((len(sites), 4, n, width), dtype=np.float32)
    for indices, captured in capture(loaded, rows, positions, sites):
        for layer, site in enumerate(sites):
            held[layer][:, indices] = captured[site].float().numpy().transpose(1, 0, 2)
    labels = np.array([task.person.familiar for task in chosen])
    for layer, site in enumerate(sites):
        for place, name in enumerate(("middle", "fifth_last", "second_last", "last")):
            yield _cell(f"{site}@{name}", held[layer, place], labels, rng)
