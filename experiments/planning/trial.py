"""A short trial of the model itself: how fast it is here, how long its completions are, how often it is right."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from activations import Decoding, LoadedModel, capture, generate
from activations.sites import decoder_blocks
from experiments.config import Config
from experiments.engines.completions import completion_fields
from experiments.prompts.writing import PromptWriter
from experiments.records import Condition, Item
from experiments.records.seeds import stable_int
from experiments.run.sampling import sampling_of
from experiments.stages.capture import captured_sites

TRIAL = 32
_WARM_UP = 4


@dataclass(frozen=True)
class Measured:
    """What a trial of a few questions gave.

    Attributes:
        generate_rate, capture_rate: tokens a second; new tokens, and tokens of whole rollouts.
        accuracy: share of right answers among the questions without a hint, unparsed ones included.
        parsed, truncated: shares of completions that hold an answer, and that were cut at the limit.
    """

    questions: int
    prompt_tokens: float
    completion_tokens: float
    generate_rate: float
    capture_rate: float
    accuracy: float
    parsed: float
    truncated: float


def trial(loaded: LoadedModel, source: str, config: Config, items: Sequence[Item]) -> Measured:
    """Ask a few questions, half of them without a hint and half in the neutral form of one, and capture the answers.

    Targets are not known before the run, so the prompts with a named option cannot be written; the neutral form is as
    long and as strange. The accuracy is that of the questions without a hint.

    The rates are those of one small batch, so that a run with full batches is faster rather than slower.
    """
    chosen = list(items)[:: max(1, len(items) // TRIAL)][:TRIAL]
    settings = config.generate
    writer = PromptWriter(loaded.tokenizer, settings.template_options, settings.system, settings.instruction)
    asked: list[Condition] = ["neutral" if k % 2 else "unhinted" for k in range(len(chosen))]
    prompts = [writer.write(item, how).rendered.encoded for item, how in zip(chosen, asked, strict=True)]
    sampled: dict[str, Any] = sampling_of(settings, source)
    decoding = Decoding(max_new_tokens=settings.max_new_tokens, token_budget=settings.token_budget, **sampled)
    seeds = [stable_int(config.seed, "sampling", item.question.id, 0) for item in chosen]
    warm_up = replace(decoding, max_new_tokens=min(_WARM_UP, settings.max_new_tokens))
    generate(loaded, [prompt.ids for prompt in prompts], warm_up, seeds=seeds)
    start = time.perf_counter()
    completions = generate(loaded, [prompt.ids for prompt in prompts], decoding, seeds=seeds)
    generated = time.perf_counter()
    rows = [prompt.ids + completion.ids for prompt, completion in zip(prompts, completions, strict=True)]
    ends = [[len(row) - 1] for row in rows]
    sites = captured_sites(config.capture, len(decoder_blocks(loaded.model)))
    for _ in capture(loaded, rows, ends, sites, config.capture.token_budget):
        pass
    captured = time.perf_counter()
    answers = [
        completion_fields(
            loaded.tokenizer, completion, prompt.text, len(item.question.options), 0, 0.0, item.question.options
        )["answer"]
        for item, prompt, completion in zip(chosen, prompts, completions, strict=True)
    ]
    plain = [(item, answer) for item, answer, how in zip(chosen, answers, asked, strict=True) if how == "unhinted"]
    right = sum(answer == item.question.gold for item, answer in plain)
    new = sum(len(completion.ids) for completion in completions)
    return Measured(
        questions=len(chosen),
        prompt_tokens=sum(len(prompt.ids) for prompt in prompts) / len(chosen),
        completion_tokens=new / len(chosen),
        generate_rate=new / (generated - start),
        capture_rate=sum(map(len, rows)) / (captured - generated),
        accuracy=right / len(plain),
        parsed=sum(answer is not None for answer in answers) / len(chosen),
        truncated=sum(completion.finish_reason == "length" for completion in completions) / len(chosen),
    )
