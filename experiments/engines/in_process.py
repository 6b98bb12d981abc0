"""The model in this process: batched, sorted by length, with sampling noise that prompts of one seed share."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.engines.base import Answered, Ask, Keep
from experiments.engines.registry import EngineKind
from experiments.run.model_run import ModelRun

if TYPE_CHECKING:
    from activations import Completion, Decoding, LoadedModel
    from activations.row_state import OnStep


class InProcess:
    """Greedy completions equal ``transformers``' ``generate(do_sample=False)`` token for token.

    What the model's generation configuration asks for beyond :class:`~activations.Decoding` is left out, and the
    account names it.
    """

    largest_seed = 2**63 - 1

    def __init__(self, loaded: "LoadedModel", decoding: "Decoding", on_step: "OnStep | None" = None) -> None:
        self.loaded = loaded
        self.decoding = decoding
        self.on_step = on_step
        self.too_long = 0

    def run(self, asks: Sequence[Ask], keep: Keep) -> None:
        """Complete all asks, longest first; a prompt that leaves the model's context no room is kept as empty."""
        from activations import generate

        limit = self.loaded.context
        fitting = [i for i, ask in enumerate(asks) if limit is None or len(ask.prompt_ids) < limit]
        left = sorted(set(range(len(asks))) - set(fitting))
        self.too_long += len(left)
        if left:
            keep(left, [Answered((), (), "other", "model") for _ in left])

        def on_batch(indices: list[int], completions: "list[Completion]") -> None:
            answers = [Answered(c.ids, c.margins, c.finish_reason, "model") for c in completions]
            keep([fitting[i] for i in indices], answers)

        chosen = [asks[i] for i in fitting]
        seeds = [ask.seed for ask in chosen]
        prompts = [ask.prompt_ids for ask in chosen]
        generate(self.loaded, prompts, self.decoding, seeds=seeds, on_batch=on_batch, on_step=self.on_step)

    def account(self) -> dict[str, Any]:
        """What the model's own configuration asks for and is not done, and prompts beyond the context."""
        from activations.choosing import left_out

        return {"engine": "in-process", "left_out": left_out(self.loaded.model), "too_long": self.too_long}


def _open(run: ModelRun, decoding: "Decoding", folder: Path) -> InProcess:
    return InProcess(run.loaded, decoding, run.reporter.step)


KIND = EngineKind(_open, loads_model=True)
