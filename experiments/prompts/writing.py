"""Items → the prompts of each condition as a tokenizer reads them, of one token length wherever it allows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.hints import HINTS
from experiments.prompts.chat import RenderedPrompt, render_chat
from experiments.prompts.items import item_prompt
from experiments.records import LETTERS, Condition, Item, Message, Prompt


@dataclass(frozen=True)
class Written:
    """The prompt of one condition."""

    prompt: Prompt
    rendered: RenderedPrompt

    @property
    def length(self) -> int:
        """Tokens."""
        return len(self.rendered.encoded.ids)


@dataclass(frozen=True)
class PromptWriter:
    """Writes prompts for one tokenizer.

    Attributes:
        options: variables of the chat template.
        system: a system turn before every prompt; empty for none.
        instruction: a paragraph at the end of every last user turn, such as how to state the answer; empty for none.
    """

    tokenizer: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    system: str = ""
    instruction: str = ""

    def write(self, item: Item, condition: Condition, variant: int = 0) -> Written:
        """The prompt of one condition."""
        prompt = self._framed(item_prompt(item, condition, variant))
        return Written(prompt, render_chat(self.tokenizer, prompt, self.options))

    def hinted_set(self, item: Item, answered: Sequence[str | None]) -> tuple[Item, dict[Condition, Written]]:
        """The prompts of an item whose target is chosen: hinted, swapped (where there is a swap target), neutral.

        The swap target gives way to another option that is neither the target nor among the unhinted answers
        ``answered``, and the neutral frame to another of the wording's, where only that has the hinted prompt's token
        length.

        Returns:
            The item, with the swap target that was taken, and its prompts.
        """
        hinted = self.write(item, "hinted")
        written: dict[Condition, Written] = {"hinted": hinted}
        if item.swap_target is not None:
            item, written["swapped"] = self._swapped(item, hinted.length, answered)
        written["neutral"] = self._neutral(item, hinted.length)
        return item, written

    def _swapped(self, item: Item, length: int, answered: Sequence[str | None]) -> tuple[Item, Written]:
        first = self.write(item, "swapped")
        if first.length == length:
            return item, first
        letters = LETTERS[: len(item.question.options)]
        for letter in letters:
            if letter not in (item.target, item.swap_target, *answered):
                other = item.model_copy(update={"swap_target": letter})
                written = self.write(other, "swapped")
                if written.length == length:
                    return other, written
        return item, first

    def _neutral(self, item: Item, length: int) -> Written:
        """The first neutral frame of the hinted prompt's length, else the nearest."""
        nearest = self.write(item, "neutral")
        for variant in range(1, len(HINTS[item.kind].wordings[item.wording].neutrals)):
            if nearest.length == length:
                break
            written = self.write(item, "neutral", variant)
            if abs(written.length - length) < abs(nearest.length - length):
                nearest = written
        return nearest

    def _framed(self, prompt: Prompt) -> Prompt:
        """The prompt with system turn and instruction; its places move along."""
        messages, spans = list(prompt.messages), prompt.spans
        if self.instruction:
            last = messages[-1]
            messages[-1] = last.model_copy(update={"content": f"{last.content}\n\n{self.instruction}"})
        if self.system:
            messages.insert(0, Message(role="system", content=self.system))
            spans = {name: s.model_copy(update={"message": s.message + 1}) for name, s in spans.items()}
        return Prompt(messages=tuple(messages), spans=spans)
