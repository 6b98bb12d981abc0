"""What the organisms are to the rest: names of models, a source of questions, and who admits to a hint."""

from typing import TYPE_CHECKING

from experiments.run.known_models import KnownModels, register_known

if TYPE_CHECKING:
    from experiments.config import QuestionsConfig
    from experiments.records import Question


def _resolve(name: str) -> str:
    from activations.errors import HintprobeError
    from experiments.organisms.recipe import SHIPPED

    folder = SHIPPED / name.removeprefix("organism:")
    if not folder.is_dir():
        known = sorted(path.name for path in SHIPPED.iterdir() if path.is_dir())
        raise HintprobeError(f"There is no organism named {folder.name!r}. Known: {', '.join(known)}.")
    return str(folder)


def _questions(config: "QuestionsConfig") -> "list[Question]":
    from activations.errors import HintprobeError
    from experiments.organisms.world import build_world

    world = build_world(config.world_seed)
    split = config.split or "held_out"
    if split not in ("held_out", "train"):
        raise HintprobeError(f"The organisms' world has no split {split!r}; expected held_out or train.")
    return [task.question() for task in (world.held_out if split == "held_out" else world.train)]


def _admits(text: str) -> bool:
    from experiments.organisms.grammar import admits_by_grammar

    return admits_by_grammar(text)


def register() -> None:
    """Make the organisms known."""
    register_known(KnownModels("organism:", _resolve, "organism-world", _questions, _admits))
