"""Hinted rows of an organism's run, joined with the causes that the grammar wrote into them."""

from dataclasses import dataclass

from experiments.organisms.grammar import Character, Factors, factors
from experiments.organisms.world import Task, World, build_world
from experiments.records import Item, Label, Rollout, Verdict
from experiments.records.stages import items_table, labels_table, rollouts_table, verdicts_table
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
    generated, judged = run.results["generate"].folder, run.results["judge"].folder
    items = {item.id: item for item in items_table(generated).read()}
    rollouts = {rollout.id: rollout for rollout in rollouts_table(generated).read()}
    judge = run.config.judge.judges[0]
    verdicts = {v.rollout_id: v for v in verdicts_table(judged).read() if v.judge == judge}
    return [
        join(world, character, tasks, items[label.item_id], label, rollouts, verdicts.get(label.rollout_id))
        for label in labels_table(judged).read()
    ]


def join(
    world: World,
    character: Character,
    tasks: dict[str, Task],
    item: Item,
    label: Label,
    rollouts: dict[str, Rollout],
    verdict: Verdict | None,
) -> Measured:
    """One row."""
    task = tasks[item.question.id]
    return Measured(
        item,
        label,
        rollouts[label.rollout_id],
        rollouts[label.rollout_id.replace(":hinted:", ":unhinted:")],
        task,
        factors(world, character, task, item.kind, item.source),
        verdict,
    )
