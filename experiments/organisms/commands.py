"""The two organism commands: train one from its recipe, measure what it promises."""

from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from experiments.config import Config, GenerateConfig, QuestionsConfig
from experiments.context import ModelRun, unwritable
from experiments.organisms.card import write_card
from experiments.organisms.grammar import Character
from experiments.organisms.measure import measure
from experiments.organisms.recipe import SHIPPED, Recipe, load_recipe, recipe_names
from experiments.organisms.train import ship, train
from experiments.progress import Reporter
from experiments.tables import write_json

MEASURED = "measured.json"


def train_command(name: str, seed: int, out: Path | None, cache: Path, threads: int | None, console: Console) -> Path:
    """Train an organism, and first the one it starts from; a stopped training goes on from its checkpoint.

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
    start = None
    if recipe.starts_from is not None:
        start = cache / "training" / f"{recipe.starts_from}-{seed}" / "model"
        if not (start / "model.safetensors").exists():
            start = train_command(recipe.starts_from, seed, None, cache, threads, console)
    _train_with_bar(recipe, seed, work / "checkpoint.pt", start, folder, console)
    return folder


def _train_with_bar(
    recipe: Recipe, seed: int, checkpoint: Path, start: Path | None, folder: Path, console: Console
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

        model, tokenizer = train(recipe, seed, checkpoint, start, report)
    ship(model, tokenizer, folder)


def measure_command(name: str, questions: int, seed: int, cache: Path, console: Console) -> dict[str, Any]:
    """Measure an organism by name or folder; a shipped one's card is written anew."""
    shipped = name in recipe_names() and (SHIPPED / name).is_dir()
    source = f"organism:{name}" if shipped else name
    config = Config(
        name=f"measure-{Path(name).name}",
        models=(source,),
        cache=cache,
        seed=seed,
        questions=QuestionsConfig(source="organism-world", limit=questions),
        generate=GenerateConfig(max_new_tokens=64),
    )
    character = load_recipe(name).character if name in recipe_names() else Character()
    run = ModelRun(config, source, Reporter(console))
    result = measure(run, character)
    if shipped:
        write_json(SHIPPED / name / MEASURED, result)
        write_card()
    console.print_json(data=result)
    return result
