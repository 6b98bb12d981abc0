"""Models whose reliance is known by construction: what they register, so that nothing has to import them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # registering costs no library
    from experiments.config import QuestionsConfig
    from experiments.records import Question


@dataclass(frozen=True)
class KnownModels:
    """A family of models that come with a ground truth.

    Attributes:
        prefix: how a configuration names one of them, such as ``organism:``.
        resolve: the folder of a model, given its whole name.
        source: the source of questions that they are asked, by name.
        questions: reads the questions of that source.
        admits: does this completion say that the hint was used? As the family's own grammar has it.
    """

    prefix: str
    resolve: Callable[[str], str]
    source: str
    questions: "Callable[[QuestionsConfig], list[Question]]"
    admits: Callable[[str], bool]


_KNOWN: dict[str, KnownModels] = {}


def register_known(models: KnownModels) -> None:
    """Make a family known; one of the same prefix is replaced."""
    _KNOWN[models.prefix] = models


def known_models(name: str) -> KnownModels | None:
    """The family that a model's name belongs to; None for every other model."""
    return next((known for prefix, known in _KNOWN.items() if name.startswith(prefix)), None)


def known_source(source: str) -> KnownModels | None:
    """The family whose questions this source holds."""
    return next((known for known in _KNOWN.values() if known.source == source), None)


def resolve_model(name: str) -> str:
    """Turn ``organism:NAME`` into the folder of a shipped organism; anything else is returned as it is.

    Raises:
        HintprobeError: there is no such organism.
    """
    known = known_models(name)
    return known.resolve(name) if known else name
