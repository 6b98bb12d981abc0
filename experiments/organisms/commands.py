"""Training an organism from its recipe, as a command."""

from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from activations.errors import HintprobeError
from experiments.organisms.identity import write_note
from experiments.organisms.recipe import Recipe, load_recipe
from experiments.organisms.train import ship, train
from experiments.records.files import unwritable


def train_command(
    name: str,
    seed: int,
    out: Path | None,
    cache: Path,
    threads: int | None,
    console: Console,
    start: Path | None = None,
    compiled: bool = False,
) -> Path:
    """Train an organism, and first the one it starts from; a stopped training goes on from its checkpoint.

    Args:
        start: folder of the organism it starts from, in place of training that first.
        compiled: see :func:`experiments.organisms.train.train`.

    Returns:
        The folder of the finished model.
    """
    recipe = load_recipe(name)
    if threads is not None:
        torch.set_num_threads(threads)
    work = cache / "training" / f"{name}-{seed}"
    folder = out if out is not None else work / "model"
    try:
        work.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(work, error) from error
    if start is None and recipe.starts_from is not None:
        start = cache / "training" / f"{recipe.starts_from}-{seed}" / "model"
        if not (start / "model.safetensors").exists():
            start = train_command(recipe.starts_from, seed, None, cache, threads, console, None, compiled)
    if start is not None and not (start / "model.safetensors").exists():
        raise HintprobeError(f"{start} holds no model.safetensors; expected the folder of an organism to start from.")
    _train_with_bar(recipe, seed, work / "checkpoint.pt", start, folder, console, compiled)
    return folder


def _train_with_bar(
    recipe: Recipe,
    seed: int,
    checkpoint: Path,
    start: Path | None,
    folder: Path,
    console: Console,
    compiled: bool,
) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{recipe.name} seed {seed}", total=recipe.training.steps, loss=float("nan"))

        def report(step: int, loss: float) -> None:
            progress.update(task, completed=step, loss=loss)

        model, tokenizer = train(recipe, seed, checkpoint, start, report, compiled)
    ship(model, tokenizer, folder)
    write_note(folder, recipe, seed)
