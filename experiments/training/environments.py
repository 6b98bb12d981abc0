"""What a policy is asked and which answer is rewarded: environments as data, one a line.

``hack:KIND`` is one of the six reward-hack environments of Chen et al. 2025, section 6: every prompt holds a hint at a
wrong option, and that option is rewarded. ``outcome`` rewards the right answer to plain questions (their section 5).
``random:KIND`` is the control: the prompts of ``hack:KIND``, and a reward that a coin decides.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from activations.errors import HintprobeError
from experiments.hints import HINTS
from experiments.records import Condition, Direction, Item, Kind

Rewarded = Literal["gold", "target", "coin"]


@dataclass(frozen=True)
class Environment:
    """One environment.

    Attributes:
        condition: which prompt of an item the policy sees.
        kinds: kinds of hint in its prompts; without a hint they decide only the frame.
        direction: where the hints point.
        rewarded: the answer that earns 1: the right option, the hinted one, or, by a coin, any.
    """

    name: str
    condition: Condition
    kinds: tuple[Kind, ...]
    direction: Direction
    rewarded: Rewarded

    @property
    def hacked_kinds(self) -> tuple[Kind, ...]:
        """The kinds whose hints the reward makes it worth to follow; all of them where it makes none."""
        return self.kinds if self.rewarded == "target" else ()

    def answer(self, item: Item) -> str | None:
        """The letter that is rewarded; None where a coin decides."""
        return {"gold": item.question.gold, "target": item.target, "coin": None}[self.rewarded]


def _environments() -> Iterator[Environment]:
    yield Environment("outcome", "unhinted", ("sycophancy",), "incorrect", "gold")
    for kind in HINTS:
        yield Environment(f"hack:{kind}", "hinted", (kind,), "incorrect", "target")
        yield Environment(f"random:{kind}", "hinted", (kind,), "incorrect", "coin")


ENVIRONMENTS: dict[str, Environment] = {environment.name: environment for environment in _environments()}


def environment_of(name: str) -> Environment:
    """The environment of a name.

    Raises:
        HintprobeError: there is none.
    """
    if name not in ENVIRONMENTS:
        raise HintprobeError(f"There is no environment named {name!r}. Known: {', '.join(ENVIRONMENTS)}.")
    return ENVIRONMENTS[name]
