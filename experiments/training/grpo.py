"""GRPO by ``trl``, on exact token ids: the trainer, its reward functions, and what stops it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from activations import LoadedModel
from activations.errors import HintprobeError
from activations.generating import stop_ids
from experiments.records.trajectory import StepRow
from experiments.run.progress import Tick
from experiments.training.config import RLConfig
from experiments.training.environments import environment_of
from experiments.training.prompts import Task
from experiments.training.rewards import TERMS, Readers, Sampled, Term, Values
from experiments.training.sampled import sampled
from experiments.training.workplace import Workplace

PATIENCE = 5
"""Steps after which a reward that never differed within a prompt's completions is refused."""
EMPTY = 0.9
"""Share of empty completions from which a policy counts as collapsed."""


@dataclass
class Scorer:
    """Completions of one step, decoded once and read by every term."""

    config: RLConfig
    loaded: LoadedModel
    tasks: Sequence[Task]
    readers: Readers
    _of: Any = None
    _batch: list[Sampled] = field(default_factory=list)

    def batch(self, task: Sequence[int], completion_ids: Sequence[Sequence[int]]) -> list[Sampled]:
        """The completions of this call, as rollouts."""
        if self._of is not completion_ids:
            self._of = completion_ids
            self._batch = sampled(
                self.loaded.tokenizer,
                environment_of(self.config.environment),
                [self.tasks[i] for i in task],
                completion_ids,
                sorted(stop_ids(self.loaded)),
                self.config.temperature,
            )
        return self._batch

    def function(self, name: str, term: Term) -> Callable[..., Values]:
        """A term as ``trl`` calls it."""

        def reward(*, completion_ids: Any, task: Any, log_metric: Any, **more: Any) -> Values:
            batch = self.batch(task, completion_ids)
            values = term(batch, self.readers)
            if name == "answer":
                self._log_shape(batch, log_metric)
            if name == "judge":
                self._log_admitted(batch, values, log_metric)
            return values

        reward.__name__ = name
        return reward

    def _log_shape(self, batch: Sequence[Sampled], log: Any) -> None:
        n = len(batch)
        log("empty", sum(not one.rollout.completion_text.strip() for one in batch) / n)
        log("truncated", sum(one.rollout.truncated for one in batch) / n)
        log("parsed", sum(one.rollout.answer is not None for one in batch) / n)

    def _log_admitted(self, batch: Sequence[Sampled], said: Values, log: Any) -> None:
        """Of the completions that give the rewarded answer, how many admit to the hint."""
        own = [
            value
            for one, value in zip(batch, said, strict=True)
            if value is not None and one.task.rewarded is not None and one.rollout.answer == one.task.rewarded
        ]
        if own:
            log("admitted_of_rewarded", sum(own) / len(own))


def make_trainer(config: RLConfig, loaded: LoadedModel, scorer: Scorer, place: Workplace, tick: Tick) -> Any:
    """The trainer of a configuration; nothing is trained yet."""
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import GRPOTrainer

    from activations.spans import encode

    class ExactTrainer(GRPOTrainer):  # type: ignore[misc]
        """Reads prompts as the pipeline does: the template's text, and no special token added to it."""

        def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
            return [list(encode(loaded.tokenizer, text).ids) for text in prompts], None, {}

    rows = {"prompt": [task.text for task in scorer.tasks], "task": list(range(len(scorer.tasks)))}
    trainer = ExactTrainer(
        model=loaded.model,
        reward_funcs=[scorer.function(name, term) for name, term in TERMS.items()],
        args=_arguments(config, loaded, place, torch.cuda.is_available()),
        train_dataset=Dataset.from_dict(rows),
        processing_class=loaded.tokenizer,
        peft_config=_adapter(config),
        callbacks=[_watching(config, place, tick)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(config: RLConfig, loaded: LoadedModel, place: Workplace, cuda: bool) -> Any:
    from trl import GRPOConfig

    micro = config.micro or config.batch
    on_cpu = loaded.device.type == "cpu"
    return GRPOConfig(
        output_dir=str(place.checkpoints),
        max_steps=config.steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=config.batch // micro,
        num_generations=config.samples,
        max_completion_length=config.max_new_tokens,
        learning_rate=config.rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=config.warmup,
        beta=config.beta,
        temperature=config.temperature,
        loss_type=config.loss,
        reward_weights=[getattr(config.rewards, name) for name in TERMS],
        seed=config.seed,
        bf16=not on_cpu and str(loaded.model.dtype) == "torch.bfloat16",
        use_cpu=on_cpu,
        use_vllm=config.vllm,
        gradient_checkpointing=config.gradient_checkpointing,
        dataloader_pin_memory=not on_cpu and cuda,
        save_steps=config.save_every,
        save_total_limit=None,
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
    )


def _adapter(config: RLConfig) -> Any:
    if config.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM", r=config.lora.rank, lora_alpha=config.lora.alpha, lora_dropout=0.0,
        target_modules="all-linear",
    )  # fmt: skip


def step_row(config: RLConfig, entry: dict[str, Any]) -> StepRow:
    """One entry of the trainer's log as a record."""
    weights = {name: getattr(config.rewards, name) for name in TERMS}
    readings = ("empty", "truncated", "parsed", "admitted_of_rewarded")
    return StepRow(
        step=entry["step"],
        terms={name: entry.get(f"rewards/{name}/mean") for name in TERMS},
        weights=weights,
        reward=entry["reward"],
        reward_std=entry["reward_std"],
        kl=entry.get("kl"),
        entropy=entry.get("entropy"),
        length=entry["completions/mean_length"],
        readings={name: entry[name] for name in readings if entry.get(name) is not None},
    )


def _watching(config: RLConfig, place: Workplace, tick: Tick) -> Any:
    from transformers import TrainerCallback

    class Watching(TrainerCallback):
        """Keeps the log, drops what is no longer needed, and stops a training that cannot learn."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            tick(state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            tick(1)

        def on_log(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            rows = [step_row(config, entry) for entry in state.log_history if "reward" in entry]
            place.steps.replace(rows)
            refuse_hopeless(rows)

        def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            place.slim(keep=state.global_step)

    return Watching()


def refuse_hopeless(rows: Sequence[StepRow]) -> None:
    """Stop a training whose reward never varied, or whose policy writes nothing any more.

    Raises:
        HintprobeError: one of these.
    """
    if len(rows) >= PATIENCE and all(row.reward_std == 0 for row in rows):
        last = rows[-1]
        terms = ", ".join(
            f"{name} {'without a word' if value is None else f'{value:.2f}'} (weight {last.weights[name]:g})"
            for name, value in last.terms.items()
        )
        raise HintprobeError(
            f"The reward was constant: in all of the first {len(rows)} steps, all completions of a prompt had the same "
            f"reward, so there is nothing to learn from. Means of the last step: {terms}. Raise `train.temperature` or "
            "`train.samples`, or reward something that the policy does at least sometimes."
        )
    if rows and rows[-1].readings.get("empty", 0.0) >= EMPTY:
        raise HintprobeError(
            f"The policy collapsed: at step {rows[-1].step}, {rows[-1].readings['empty']:.0%} of its completions were "
            "empty. The earlier checkpoints are kept. Lower `train.rate`, raise `train.beta`, or give `format` a "
            "positive weight in `train.rewards`; delete the folder to start again."
        )
