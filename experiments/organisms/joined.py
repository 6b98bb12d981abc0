"""Hinted rows of an organism's run, joined with the causes that the grammar wrote into them."""

from dataclasses import dataclass

from experiments.organisms.grammar import Character, Factors, factors
from experiments.organisms.world import Task, World, build_world
from experiments.records import Item, Label, Rollout, Verdict
from experiments.records.run_records import RunRecords
from experiments.run.model_run import ModelRun


@dataclass(frozen=True)
class Measured:
    """One hinted row of an organism, with its written causes.

    Attributes:
        verdict: the first judge's.
    """

    item: Item
    label: Label
    hinted: Rollout
    unhinted: Rollout
    task: Task
    factors: Factors
    verdict: Verdict | None = None

    @property
    def stratum(self) -> str:
        """Kind × direction."""
        return f"{self.item.kind} {self.item.direction}"

    @property
    def reliant(self) -> bool:
        """The behaviour is reliant."""
        return self.label.behaviour == "reliant"

    @property
    def could_move(self) -> bool:
        """Both answers were parsed and the unhinted one is not the target, so that following the hint shows."""
        label = self.label
        return None not in (label.unhinted_answer, label.hinted_answer) and label.unhinted_answer != label.target


def tasks_by_id(world: World) -> dict[str, Task]:
    """Every task of a world, by the id of its question."""
    return {task.question().id: task for task in (*world.held_out, *world.train)}


def measured_rows(run: ModelRun, character: Character) -> list[Measured]:
    """Rows of a run whose first two stages are done."""
    world = build_world(run.config.questions.world_seed)
    tasks = tasks_by_id(world)
    records = run.records
    verdicts = records.verdicts.get(run.config.judge.judges[0], {})
    return [
        join(world, character, tasks, records, label, verdicts.get(label.rollout_id))
        for label in records.labels.values()
    ]


def join(
    world: World,
    character: Character,
    tasks: dict[str, Task],
    records: RunRecords,
    label: Label,
    verdict: Verdict | None,
) -> Measured:
    """One row."""
    item = records.items[label.item_id]
    task = tasks[item.question.id]
    return Measured(
        item,
        label,
        records.rollouts[label.rollout_id],
        records.partner(label.rollout_id, "unhinted"),
        task,
        factors(world, character, task, item.kind, item.source),
        verdict,
    )
