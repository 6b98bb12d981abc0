"""``hintprobe train rl``: train a policy in one environment, or find that done."""

from typing import Any

from activations import fingerprint, load_model
from activations.errors import HintprobeError
from experiments.judges import build_judges
from experiments.records.tables import write_json
from experiments.run.known_models import resolve_model
from experiments.run.lock import LOCK, holding
from experiments.run.progress import Reporter
from experiments.run.threads import limited_threads
from experiments.training.config import TrainingConfig
from experiments.training.grpo import Scorer, make_trainer
from experiments.training.libraries import kept_random_states, quiet, require_libraries
from experiments.training.policy_probe import policy_probe
from experiments.training.prompts import training_tasks
from experiments.training.rewards import ProbeOf, Readers
from experiments.training.workplace import Workplace


def train_rl(config: TrainingConfig, reporter: Reporter | None = None) -> dict[str, Any]:
    """Train the policy of a configuration up to its steps; a training that was stopped goes on.

    Returns:
        ``checkpoints`` (folder by step), ``steps`` and the last step's terms.

    Raises:
        HintprobeError: the extra or the model is missing, the folder holds another training, the reward is constant,
            the policy collapsed, or memory does not suffice. Checkpoints are kept.
    """
    reporter = reporter or Reporter()
    require_libraries()
    source = resolve_model(config.model)
    place = Workplace(config.training_dir)
    record = place.claim(config, fingerprint(source))
    if record["steps_done"] < config.train.steps:
        with holding(place.folder, LOCK, False, reporter.say):
            _train(config, source, place, reporter)
            write_json(place.record, {**record, "steps_done": config.train.steps})
            place.slim(keep=None)
    rows = place.steps.read()
    return {
        "name": config.name,
        "environment": config.train.environment,
        "checkpoints": {str(step): str(path) for step, path in place.found().items()},
        "steps": len(rows),
        "first": rows[0].model_dump() if rows else None,
        "last": rows[-1].model_dump() if rows else None,
    }


def _train(config: TrainingConfig, source: str, place: Workplace, reporter: Reporter) -> None:
    import torch

    reporter.say(f"  loading {config.model}")
    loaded = load_model(source, config.dtype, config.device)
    probe = policy_probe(config, source, loaded, reporter)
    loaded.model.requires_grad_(config.train.lora is None)  # models are loaded to be read
    tasks = training_tasks(config, loaded.tokenizer)
    scorer = Scorer(config.train, loaded, tasks, _readers(config, probe))
    found = place.found()
    last = found[max(found)] if found else None
    if last is not None:
        reporter.say(f"  resuming from {last.name}")
    title = f"{config.name}: {config.train.environment}"
    bar = reporter.bar(title, config.train.steps)
    with limited_threads(config.threads), kept_random_states(), quiet(), bar as tick:
        trainer = make_trainer(config.train, loaded, scorer, place, tick)
        try:
            trainer.train(resume_from_checkpoint=str(last) if last else None)
        except torch.OutOfMemoryError as error:
            raise HintprobeError(
                "The GPU's memory does not hold this training. Lower `train.micro` (completions per forward), set "
                "`train.gradient_checkpointing`, or train adapters (`train.lora`); then run again to resume."
            ) from error
        if config.train.steps % config.train.save_every:
            trainer._save_checkpoint(trainer.model, None)


def _readers(config: TrainingConfig, probe: ProbeOf | None) -> Readers:
    judge = config.measure.judge
    (first, *_) = build_judges(judge.judges, judge.models, config.cache / "judges")
    return Readers(first, config.train.max_new_tokens, config.train.seed, probe)
