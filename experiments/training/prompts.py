"""The prompts that a policy is trained on: items with their targets drawn blind, none of a group that is measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from activations.errors import HintprobeError
from experiments.config import HintsConfig
from experiments.prompts.items import choose_targets, plan_items
from experiments.prompts.writing import PromptWriter, Written
from experiments.questions.pool import load_questions
from experiments.records import Item, Question
from experiments.records.seeds import stable_int
from experiments.training.config import TrainingConfig
from experiments.training.environments import environment_of

_ALL = 10**9


@dataclass(frozen=True)
class Task:
    """One prompt of the training, and what its completions are held against.

    Attributes:
        seed: tells prompts of equal text apart in what is drawn for them.
    """

    item: Item
    written: Written
    rewarded: str | None
    seed: int

    @property
    def text(self) -> str:
        """The prompt as the chat template wrote it."""
        return self.written.rendered.encoded.text


def training_tasks(config: TrainingConfig, tokenizer: object) -> list[Task]:
    """All prompts of an environment, in the order of the training's seed.

    Raises:
        HintprobeError: no question is left once the measured groups are taken out.
    """
    train, measure = config.train, config.measure
    environment = environment_of(train.environment)
    hints = measure.hints.model_copy(update={"kinds": environment.kinds, "directions": (environment.direction,)})
    generate = measure.generate
    writer = PromptWriter(tokenizer, generate.template_options, generate.system, generate.instruction)
    tasks = []
    for item in plan_items(_questions(config), HintsConfig.model_validate(hints.model_dump()), train.seed):
        aimed = choose_targets(item, (), None, train.seed)
        seed = stable_int(train.seed, "task", item.id)
        tasks.append(Task(aimed, writer.write(aimed, environment.condition), environment.answer(aimed), seed))
    return sorted(tasks, key=lambda task: task.seed)


def _questions(config: TrainingConfig) -> Sequence[Question]:
    measured = {question.group for question in load_questions(config.measure.questions, _limit(config), config.seed)[0]}
    source = config.measure.questions.model_copy(update={"split": config.train.split, "per_subject": None})
    pool, _ = load_questions(source, _ALL, config.train.seed)
    free = [question for question in pool if question.group not in measured][: config.train.questions]
    if not free:
        raise HintprobeError(
            f"No question is left to train on: all {len(pool)} of {source.source} (split {source.split}) belong to "
            "groups that are measured. Measure fewer (`measure.questions.limit`) or train on another split "
            "(`train.split`)."
        )
    return free


def _limit(config: TrainingConfig) -> int:
    return config.measure.questions.limit
