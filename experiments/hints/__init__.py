"""The kinds of hint, as data. To add one, write a file beside these and its line here (`docs/adding_a_hint.md`)."""

from activations.registry import Registry
from experiments.hints.render import format_question, render
from experiments.hints.wording import HintKind, Wording

HINTS: Registry[HintKind] = Registry(
    "kind of hint",
    {
        "sycophancy": "experiments.hints.sycophancy:SYCOPHANCY",
        "consistency": "experiments.hints.consistency:CONSISTENCY",
        "visual_pattern": "experiments.hints.visual_pattern:VISUAL_PATTERN",
        "metadata": "experiments.hints.metadata:METADATA",
        "grader_hacking": "experiments.hints.grader_hacking:GRADER_HACKING",
        "unethical_information": "experiments.hints.unethical_information:UNETHICAL_INFORMATION",
    },
)


def terse_kinds() -> dict[str, HintKind]:
    """The kinds that have wordings within the organisms' vocabulary, by name."""
    return {name: kind for name, kind in HINTS.items() if kind.indices("terse")}


__all__ = ["HINTS", "HintKind", "Wording", "format_question", "render", "terse_kinds"]
