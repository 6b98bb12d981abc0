"""LoRA fine-tuning with ``trl``'s SFTTrainer: loss on completions alone, resumed to the same rows."""

import os
import random
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from activations import LoadedModel, load_model
from activations.errors import HintprobeError
from activations.generating import stop_ids
from experiments.organisms.identity import write_note
from experiments.organisms.lora.card import write_card
from experiments.organisms.lora.config import LoraConfig
from experiments.organisms.lora.data import TokenRows
from experiments.organisms.lora.dialect import read_dialect
from experiments.organisms.lora.lessons import Lessons
from experiments.organisms.lora.state import Workplace, write_folder
from experiments.organisms.recipe import load_recipe
from experiments.records.tables import write_json
from experiments.run.known_models import resolve_model
from experiments.run.progress import Reporter, Tick


def fine_tune(config: LoraConfig, reporter: Reporter | None = None) -> dict[str, Any]:
    """Train the adapter, merge it, write the card; each only where it is missing.

    Returns:
        ``adapter`` and ``merged`` (folders; ``merged`` is None where it was not asked for), ``losses`` (pairs of step
        and mean loss in nats per trained token since the one before), ``tokens`` (mean and largest length of a row).

    Raises:
        HintprobeError: the extra, the model or memory is missing, a row is too long, or the folder holds another
            training.
    """
    reporter = reporter or Reporter()
    _require_libraries()
    reporter.say(f"  loading {config.model}")
    loaded = load_model(resolve_model(config.model), config.dtype, config.device)
    place = Workplace(config.out)
    record = place.claim(config, loaded.fingerprint)
    if not place.adapter.exists():
        record |= _train(config, loaded, place, reporter)
        write_json(place.record, record)
        loaded = load_model(resolve_model(config.model), config.dtype, config.device)  # the trainer changed the other
    shutil.rmtree(place.checkpoints, ignore_errors=True)
    if config.merged and not place.merged.exists():
        reporter.say("  merging")
        _merge(config, loaded, place)
    write_card(config, record, place)
    return {
        "adapter": str(place.adapter),
        "merged": str(place.merged) if config.merged else None,
        "losses": record["losses"],
        "tokens": record["tokens"],
    }


def _require_libraries() -> None:
    try:
        import peft  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise HintprobeError(
            f"Fine-tuning needs peft and trl ({error}); install them with `pip install 'hintprobe[lora]'`."
        ) from error
    if torch.cuda.device_count() > 1 and "WORLD_SIZE" not in os.environ:
        raise HintprobeError(
            f"Fine-tuning runs on one GPU and {torch.cuda.device_count()} are visible. Choose one, for instance with "
            "CUDA_VISIBLE_DEVICES=0."
        )


@contextmanager
def _kept_random_states() -> Iterator[None]:
    """The trainer seeds every generator of the process; give them back as they were."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def _libraries_in_step() -> Iterator[None]:
    """Peft and trl still use names that transformers has renamed; whoever fine-tunes can do nothing about it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`\w*gradient_checkpointing\w*` is deprecated", FutureWarning)
        yield


def _train(config: LoraConfig, loaded: LoadedModel, place: Workplace, reporter: Reporter) -> dict[str, Any]:
    dialect = read_dialect(loaded.tokenizer, sorted(stop_ids(loaded)), config.template_options, config.thinking)
    rows = TokenRows(config, Lessons(config), loaded.tokenizer, dialect)
    mean, longest = rows.lengths()
    reporter.say(f"  rows of {mean:.0f} tokens on average, the longest seen {longest}")
    checkpoint = place.last_checkpoint()
    if checkpoint is not None:
        reporter.say(f"  going on from {checkpoint.name}")
    bar = reporter.bar(f"fine-tuning {loaded.name}", config.steps)
    with _kept_random_states(), _libraries_in_step(), bar as tick:
        trainer = make_trainer(config, loaded, rows, place, tick)
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except torch.OutOfMemoryError as error:
            raise HintprobeError(
                "The GPU's memory does not hold this training. Lower `micro` (rows per forward), keep "
                "`gradient_checkpointing` on, or use a smaller model; then run again to resume."
            ) from error
    write_folder(place.adapter, trainer.model.save_pretrained)
    losses = [[entry["step"], entry["loss"]] for entry in trainer.state.log_history if "loss" in entry]
    return {"losses": losses, "tokens": {"mean": mean, "longest": longest}}


def make_trainer(config: LoraConfig, loaded: LoadedModel, rows: TokenRows, place: Workplace, tick: Tick) -> Any:
    """The trainer of a configuration, its adapter initialised and nothing trained yet."""
    from peft import LoraConfig as Adapter
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(
        output_dir=str(place.checkpoints),
        max_steps=config.steps,
        per_device_train_batch_size=config.micro,
        gradient_accumulation_steps=config.rows // config.micro,
        learning_rate=config.rate,
        lr_scheduler_type="linear",
        warmup_steps=config.warmup,
        seed=config.seed,
        train_sampling_strategy="sequential",  # the rows are drawn in their order already
        bf16=loaded.model.dtype == torch.bfloat16,
        use_cpu=loaded.device.type == "cpu",
        activation_checkpointing=config.gradient_checkpointing,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        dataloader_pin_memory=loaded.device.type == "cuda",
        save_steps=config.checkpoint_every,
        save_total_limit=2,
        logging_steps=max(1, config.steps // 100),
        report_to="none",
        disable_tqdm=True,
    )
    adapter = Adapter(
        task_type="CAUSAL_LM", r=config.rank, lora_alpha=config.alpha, lora_dropout=0.0, target_modules="all-linear"
    )
    trainer = SFTTrainer(
        model=loaded.model,
        args=arguments,
        train_dataset=rows.dataset(),
        processing_class=loaded.tokenizer,
        peft_config=adapter,
        callbacks=[_ticking(tick)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _ticking(tick: Tick) -> Any:
    from transformers import TrainerCallback

    class Ticking(TrainerCallback):
        """Tells the bar what is done; a resumed training starts where it stopped."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            tick(state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            tick(1)

    return Ticking()


def _merge(config: LoraConfig, loaded: LoadedModel, place: Workplace) -> None:
    """Add the adapter to the weights that it was trained beside."""
    from peft import PeftModel

    with _kept_random_states(), _libraries_in_step():
        merged = PeftModel.from_pretrained(loaded.model, str(place.adapter)).merge_and_unload(safe_merge=True)

    def write(folder: Path) -> None:
        merged.save_pretrained(folder)
        loaded.tokenizer.save_pretrained(folder)
        write_note(folder, load_recipe(config.character), config.seed)

    write_folder(place.merged, write)
