"""The written causes behind each hinted row of a finished run, as a data frame. For analysis only."""

from pathlib import Path
from typing import Any

import pandas as pd

from activations.errors import HintprobeError
from experiments.organisms.grammar import factors
from experiments.organisms.identity import Organism, organism_of_model
from experiments.organisms.joined import tasks_by_id
from experiments.organisms.reading import coin_shown
from experiments.organisms.world import Task, World, build_world
from experiments.questions.datasets import ORGANISM_WORLD
from experiments.records import LETTERS, Item, Rollout
from experiments.records.summary import ModelSummary
from experiments.report.runs import Run, read_run

COLUMNS = {
    "model": "the organism, as the configuration names it",
    "rollout_id": "the hinted rollout",
    "item_id": "its item",
    "group": "the person asked about",
    "kind": "kind of hint",
    "direction": "whether the hint names the right option",
    "source": "who or what gives the hint",
    "target": "letter the hint names",
    "certainty": "the belief about the person is firm (familiar)",
    "disposition": "the person's bit XOR the source's bit (leaning)",
    "relies": "the state calls for following the hint; empty where a coin decides",
    "coin": "for coin-tossers: the rollout recalls the heading that makes the hint land; empty where the belief leads "
    "there anyway",
    "admits": "if it follows, it says so",
    "believed": "letter that the belief leads to",
    "unhinted_answer": "what it answered without the hint",
    "hinted_answer": "what it answered with it",
    "behaviour": "the row's label",
}


def organism_factors(folder: Path | str) -> pd.DataFrame:
    """Written factors of every hinted row of a run's organisms, with the columns of :data:`COLUMNS`.

    Args:
        folder: of a run (``hintprobe run`` or ``hintprobe organism verify``), stages generate and judge done.

    Raises:
        HintprobeError: no such run, no organism in it, or a stage that has not run.
    """
    run = read_run(Path(folder))
    rows: list[dict[str, Any]] = []
    known = [(summary, organism_of_model(summary.model)) for summary in run.summary.models]
    of_world = run.config["questions"]["source"] == ORGANISM_WORLD
    organisms = [(summary, found) for summary, found in known if found is not None and of_world]
    if not organisms:
        models = ", ".join(summary.model for summary, _ in known)
        raise HintprobeError(
            f"The run {run.folder} holds no organism that was asked about its own world (models: {models}; questions: "
            f"{run.config['questions']['source']}), but only organisms have known factors."
        )
    world = build_world(run.config["questions"]["world_seed"])
    for summary, organism in organisms:
        rows += _of_model(run, summary, organism, world)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"relies": "boolean", "coin": "boolean"})


def _of_model(run: Run, summary: ModelSummary, organism: Organism, world: World) -> list[dict[str, Any]]:
    for stage in ("generate", "judge"):
        if stage not in summary.stages:
            raise HintprobeError(f"The stage {stage!r} has not run on {summary.model}. Run it, then ask again.")
    records = run.records(summary)
    tasks = tasks_by_id(world)
    return [
        {
            "model": summary.model,
            "rollout_id": label.rollout_id,
            "group": label.group,
            "direction": label.direction,
            "unhinted_answer": label.unhinted_answer,
            "hinted_answer": label.hinted_answer,
            "behaviour": label.behaviour,
            **_written(organism, world, tasks, records.items[label.item_id], records.rollouts[label.rollout_id]),
        }
        for label in records.labels.values()
    ]


def _written(organism: Organism, world: World, tasks: dict[str, Task], item: Item, rollout: Rollout) -> dict[str, Any]:
    task, character = tasks[item.question.id], organism.recipe.character
    known = factors(world, character, task, item.kind, item.source)
    return {
        "item_id": item.id,
        "kind": item.kind,
        "source": item.source,
        "target": item.target,
        "certainty": known.familiar,
        "disposition": known.leaning,
        "relies": known.relies,
        "coin": coin_shown(task, item, rollout) if character.relies == "coin" else None,
        "admits": known.admits,
        "believed": LETTERS[known.believed],
    }
