"""The model in this process: batched, sorted by length, with sampling noise that prompts of one seed share."""

from collections.abc import Sequence
from typing import Any

from activations import Completion, Decoding, LoadedModel, generate
from experiments.engines.base import Answered, Ask, Keep


class InProcess:
    """Greedy completions equal ``transformers``' ``generate(do_sample=False)`` token for token."""

    largest_seed = 2**63 - 1

    def __init__(self, loaded: LoadedModel, decoding: Decoding) -> None:
        self.loaded = loaded
        self.decoding = decoding

    def run(self, asks: Sequence[Ask], keep: Keep) -> None:
        """Complete all asks, longest first."""

        def on_batch(indices: list[int], completions: list[Completion]) -> None:
            keep(indices, [Answered(c.ids, c.margins, c.finish_reason, "model") for c in completions])

        seeds = [ask.seed for ask in asks]
        generate(self.loaded, [ask.prompt_ids for ask in asks], self.decoding, seeds=seeds, on_batch=on_batch)

    def account(self) -> dict[str, Any]:
        """Nothing was to be found out."""
        return {"engine": "in-process"}
