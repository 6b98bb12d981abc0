"""What every engine is asked and what it answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

IdsSource = Literal["model", "server", "retokenised", "retokenised_other_length"]
"""Where a completion's token ids come from: the model itself; the server's reply; or its text, tokenised again, and
then whether their number is the one that the server counted."""


@dataclass(frozen=True)
class Ask:
    """One completion to be sampled.

    Attributes:
        prompt_ids: the prompt's exact token ids.
        prompt_text: the same prompt as text.
        seed: seed of the sampling noise.
    """

    prompt_ids: tuple[int, ...]
    prompt_text: str
    seed: int


@dataclass(frozen=True)
class Answered:
    """One completion.

    Attributes:
        ids: new tokens, the end token included where it was reached.
        margins: top-two logit difference at each new token, nats; empty where the engine does not tell.
        finish_reason: ``other`` is whatever a server says besides stop and length, such as a content filter.
        text: the completion's text where its ids were made from it; None where the text is to be made from the ids.
    """

    ids: tuple[int, ...]
    margins: tuple[float, ...]
    finish_reason: Literal["stop", "length", "other"]
    ids_source: IdsSource
    text: str | None = None


Keep = Callable[[list[int], list[Answered]], None]
"""Called with indices of asks and their completions as they come, in the caller's own thread, so that each is saved."""


class Engine(Protocol):
    """Completes prompts."""

    largest_seed: int

    def run(self, asks: Sequence[Ask], keep: Keep) -> None:
        """Complete all asks, in any order.

        Raises:
            HintprobeError: the engine cannot go on. What was kept until then is sound.
        """

    def account(self) -> dict[str, Any]:
        """What the engine found out about itself and what it used, as JSON values."""
