"""Stage 1: ask every question without the hint, choose targets, then ask with the hint, moved, and empty."""

from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from activations.models import context_of
from experiments.config import GenerateConfig, HintsConfig
from experiments.engines.registry import ENGINES
from experiments.questions.pool import load_questions
from experiments.records.accounts import GenerateAccount
from experiments.records.files import MARKER, checksum, read_bytes
from experiments.records.seeds import stable_int
from experiments.run.model_run import ModelRun, StageResult
from experiments.run.parts import Work
from experiments.run.sampling import sampling_of
from experiments.run.sharing import split
from experiments.run.stage import Stage
from experiments.stages.read_transcripts import run_transcripts


def run_generate(run: ModelRun) -> StageResult | None:
    """Generate all rollouts of a model, or find them. Questions are read and checked before any model is loaded."""
    config = run.config
    if config.generate.transcripts is not None:
        return run_transcripts(run, config.generate.transcripts)
    questions, dropped = load_questions(config.questions, run.limit, config.seed)
    asked = stable_int(*(question.model_dump_json() for question in questions))
    sampled = sampling_of(config.generate, run.source)
    depends = (asked, *item_sources(config.hints), _settings(config.generate) | sampled, config.seed, config.numerics)
    in_process = ENGINES[config.generate.engine].loads_model
    if not (run.place(GenerateAccount.STAGE, depends)[1] / MARKER).exists():
        check_room(run.source, config.generate)  # which takes a library that a finished run does without

    def work(folder: Path) -> Work:
        from experiments.stages.work.generate import Generation

        return Generation(run, folder, questions, dropped)

    return split(run, GenerateAccount, depends, work, in_process)


def item_sources(config: HintsConfig) -> tuple[object, ...]:
    """What items depend on; those of a file on what it holds, wherever it lies."""
    if config.items is None:
        return (config,)
    if config.items.exists() and not config.items.is_file():
        raise HintprobeError(
            f"{config.items} (`hints.items`) is not a file. Give the items.jsonl of a finished generate stage."
        )
    return config.model_copy(update={"items": None}), checksum(read_bytes(config.items))


def check_room(source: str, config: GenerateConfig) -> None:
    """Refuse a limit of completions that no prompt leaves room for.

    Raises:
        HintprobeError: ``max_new_tokens`` is beyond the model's context.
    """
    context = context_of(source) if config.engine == "in-process" else None
    if context is not None and config.max_new_tokens > context:
        raise HintprobeError(
            f"`generate.max_new_tokens` is {config.max_new_tokens}, but the context of {source} is {context} tokens, "
            "for prompt and completion together. Set it to the number of tokens left after your longest prompt."
        )


def _settings(config: GenerateConfig) -> dict[str, Any]:
    """What a completion depends on: not how fast it comes, nor at which address."""
    settings = config.model_dump(exclude={"token_budget", "server", "sampling"})
    if config.engine == "server":
        settings["served"] = config.server.served_as or config.server.model
    return settings


STAGE = Stage(GenerateAccount, "generate", (), lambda run, _: run_generate(run), parts=True)
