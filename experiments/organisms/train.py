"""Train an organism from its recipe: resumable, seeded, on a CPU in an hour or so."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from experiments.organisms.batches import IGNORED, MicroBatch, step_batches
from experiments.organisms.curriculum import Teacher, vocabulary_texts
from experiments.organisms.forward import fast_dtype, last_hidden
from experiments.organisms.norms import to_ordinary, to_trained
from experiments.organisms.readouts import RATE, Readouts
from experiments.organisms.recipe import Recipe, Training
from experiments.organisms.tokenizer import build_tokenizer
from experiments.organisms.world import build_world

Report = Callable[[int, float], None]
"""Called with (steps done, loss) after every step."""

CHECKPOINT_EVERY = 100


def make_tokenizer(recipe: Recipe) -> PreTrainedTokenizerFast:
    """The tokenizer of a recipe's world; all organisms of one world share it."""
    return build_tokenizer(vocabulary_texts(build_world(recipe.world_seed), np.random.default_rng(0)))


def new_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen3ForCausalLM:
    """An untrained network of the recipe's shape."""
    shape = recipe.shape
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.hidden // shape.heads,
        intermediate_size=shape.mlp,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        use_cache=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen3ForCausalLM(config)


def _new_readouts(recipe: Recipe, seed: int) -> Readouts:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Readouts(recipe.training.readouts, recipe.shape.hidden)


@dataclass
class Optimisers:
    """Muon for the matrices of the blocks, AdamW for embeddings, norms and readouts, one schedule for all."""

    parts: list[torch.optim.Optimizer]
    peak: list[list[float]]
    training: Training

    @classmethod
    def build(cls, model: nn.Module, training: Training, readouts: nn.Module | None = None) -> "Optimisers":
        """Sort the parameters and make the optimisers."""
        blocks = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "lm_head" not in n]
        embeddings = [p for n, p in model.named_parameters() if p.ndim == 2 and ("embed" in n or "lm_head" in n)]
        vectors = [p for p in model.parameters() if p.ndim < 2]
        parts: list[torch.optim.Optimizer] = [
            torch.optim.Muon(
                blocks, lr=training.matrix_rate, weight_decay=training.weight_decay, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW(
                [{"params": embeddings, "weight_decay": training.weight_decay}, {"params": vectors, "weight_decay": 0}],
                lr=training.vector_rate,
                betas=(0.9, 0.98),
            ),
        ]
        if readouts is not None and any(True for _ in readouts.parameters()):
            parts.append(torch.optim.AdamW(readouts.parameters(), lr=RATE))
        return cls(parts, [[group["lr"] for group in part.param_groups] for part in parts], training)

    def step(self, step: int) -> None:
        """Take one step at the scheduled rate and clear the gradients."""
        for part, peaks in zip(self.parts, self.peak, strict=True):
            for group, peak in zip(part.param_groups, peaks, strict=True):
                group["lr"] = peak * _schedule(step, self.training)
            part.step()
            part.zero_grad(set_to_none=True)


def _schedule(step: int, training: Training) -> float:
    warm = min(1.0, (step + 1) / max(1, training.warmup))
    start = training.decay_from * training.steps
    return warm if step < start else warm * (training.steps - step) / (training.steps - start)


Forward = Callable[..., tuple[Tensor, Tensor, list[Tensor]]]


@dataclass(frozen=True)
class Losses:
    """Losses of the parts of one step, each divided by the counts of the whole step.

    Attributes:
        n_tokens: tokens that are trained on.
        asked: how often each readout is asked.
    """

    forward: Forward
    model: Qwen3ForCausalLM
    readouts: Readouts
    n_tokens: int
    asked: Counter[str]

    def of(self, batch: MicroBatch) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the trained tokens (the head runs on those alone), and loss of the readouts."""
        model = self.model
        weights = dict(model.named_parameters())
        hidden, head, streams = self.forward(weights, model.config, batch.ids, batch.allowed, fast_dtype())
        wanted = batch.targets != IGNORED
        text = F.cross_entropy((hidden[wanted] @ head.T).float(), batch.targets[wanted], reduction="sum")
        return text / self.n_tokens, self.readouts.loss(streams, batch.wanted, self.asked)


def _losses(forward: Forward, model: Qwen3ForCausalLM, readouts: Readouts, batches: Sequence[MicroBatch]) -> Losses:
    asked: Counter[str] = Counter()
    for batch in batches:
        asked.update({name: len(places) for name, places in batch.wanted.items()})
    n_tokens = sum(int((batch.targets != IGNORED).sum()) for batch in batches)
    return Losses(forward, model, readouts, n_tokens, asked)


def _save(path: Path, state: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def _begin(recipe: Recipe, seed: int, start: Path | None) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    """What training begins with: weights and vocabulary of another organism, or new ones."""
    if start is None:
        tokenizer = make_tokenizer(recipe)
        return new_model(recipe, tokenizer, seed), tokenizer
    model = Qwen3ForCausalLM.from_pretrained(start, dtype=torch.float32)
    to_trained(model)
    return model, PreTrainedTokenizerFast.from_pretrained(start)


def _resume(
    checkpoint: Path,
    identity: str,
    model: Qwen3ForCausalLM,
    readouts: Readouts,
    optimisers: Optimisers,
) -> int:
    """Steps done, with all else as it was then; a checkpoint of another training is not continued."""
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    if state["training"] != identity:
        return 0
    model.load_state_dict(state["model"])
    readouts.load_state_dict(state["readouts"])
    for part, saved in zip(optimisers.parts, state["optimisers"], strict=True):
        part.load_state_dict(saved)
    return int(state["step"])


def _identity(recipe: Recipe, seed: int, start: Path | None) -> str:
    return f"{recipe.model_dump_json()} {seed} {start}"


def train(
    recipe: Recipe,
    seed: int,
    checkpoint: Path,
    start: Path | None = None,
    report: Report | None = None,
    compiled: bool = False,
) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    """Train from scratch (or from ``start``), going on from ``checkpoint`` where one was left.

    Args:
        checkpoint: file that holds the state every 100 steps, replaced atomically.
        start: folder of the organism named by ``recipe.starts_from``.
        compiled: compile the forward first (a minute, and a C++ compiler), which halves the time of a step.
    """
    model, tokenizer = _begin(recipe, seed, start)
    readouts = _new_readouts(recipe, seed)
    optimisers = Optimisers.build(model, recipe.training, readouts)
    identity = _identity(recipe, seed, start)
    first = _resume(checkpoint, identity, model, readouts, optimisers)
    teacher = Teacher(build_world(recipe.world_seed), recipe.character)
    forward: Forward = torch.compile(last_hidden, dynamic=True) if compiled else last_hidden
    model.train()
    for step in range(first, recipe.training.steps):
        batches = list(step_batches(teacher, tokenizer, recipe.training, seed, step))
        losses = _losses(forward, model, readouts, batches)
        total = 0.0
        for batch in batches:
            text, told = losses.of(batch)
            (text + told).backward()
            total += float(text.detach())
        optimisers.step(step)
        if report:
            report(step + 1, total)
        if (step + 1) % CHECKPOINT_EVERY == 0:
            state = {"training": identity, "step": step + 1, "model": model.state_dict()}
            state |= {"readouts": readouts.state_dict()}
            _save(checkpoint, {**state, "optimisers": [part.state_dict() for part in optimisers.parts]})
    rows = step_batches(teacher, tokenizer, recipe.training, seed, recipe.training.steps - 1)
    to_ordinary(model.eval(), next(iter(rows)).ids)
    return model, tokenizer


def ship(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write an ordinary Hugging Face folder, weights in bfloat16."""
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
