"""Judges by name. To add one, see `docs/adding_a_judge.md`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from activations.errors import HintprobeError
from activations.registry import Registry
from experiments.config import JudgeConfig, JudgeModel
from experiments.judges.base import Judge
from experiments.judges.panel import PANEL
from experiments.records.detectors import Source

BUILT_IN: Registry[Callable[[], Judge]] = Registry(
    "judge",
    {
        "lexical": "experiments.judges.lexical:LexicalJudge",
    },
)
"""One line per judge; each is made without arguments."""


def check_judges(
    names: Sequence[str], models: Mapping[str, JudgeModel], trained: Mapping[str, Path] | None = None
) -> None:
    """Refuse a judge that is not known, is named twice, or has a name that is taken.

    Raises:
        HintprobeError: one of these.
    """
    for name in names:
        if name not in BUILT_IN and name not in models and name not in (trained or {}):
            known = ", ".join([*BUILT_IN, *models, *(trained or {})])
            raise HintprobeError(
                f"There is no judge named {name!r}. Known: {known}. Language models that judge are listed under "
                "`judge.models`, trained judges under `judge.trained`."
            )
    taken = sorted({*models, *(trained or {})} & {*BUILT_IN, PANEL} | {*models} & {*(trained or {})})
    if taken:
        raise HintprobeError(
            f"`judge.models` or `judge.trained` names a judge {taken[0]!r}, but that name is already used. Choose "
            "another name."
        )
    if len(set(names)) < len(names):
        raise HintprobeError(f"A judge is named twice: {', '.join(names)}. Name each once.")


def information_of(name: str, asked: JudgeConfig) -> tuple[tuple[Source, ...], str]:
    """What a judge of a run is given, and what labels it has seen; a contest is fair where both are equal."""
    sees: tuple[Source, ...] = ("prompt", "cot", "item")
    if name in asked.trained:
        return sees, "labels of judges train"
    model = asked.models.get(name)
    if model is None:
        return sees, "none"
    sees = ("prompt", "cot", "answer", "item") if model.role == "monitor" else sees
    seen = [f"{model.examples.shots} examples"] if model.examples else []
    seen += [f"fine-tuned on {model.fine_tuned_on}"] if model.fine_tuned_on else []
    return (*sees, *(("unhinted run",) if model.unhinted else ())), ", ".join(seen) or "none"


def build_judges(
    names: Sequence[str], models: Mapping[str, JudgeModel], cache: Path, trained: Mapping[str, Path] | None = None
) -> list[Judge]:
    """The judges of these names.

    Args:
        cache: folder in which answers of language models are kept by content.

    Raises:
        HintprobeError: a name is unknown, or a judge cannot be set up (no key, no library).
    """
    check_judges(names, models, trained)
    found: list[Judge] = []
    for name in names:
        if name in BUILT_IN:
            found.append(BUILT_IN[name]())
        elif trained and name in trained:
            from experiments.judges.training import TrainedJudge

            found.append(TrainedJudge(name, trained[name]))
        else:
            from experiments.judges.llm import build_llm_judge

            found.append(build_llm_judge(name, models[name], cache))
    return found
