"""What a training and its trajectory cost on a card: arithmetic from the model's shape and the data sheet."""

from typing import Any

from experiments.planning.costs import CARDS, DTYPE_BYTES, MATRIX_SHARE, Work, generate_seconds
from experiments.planning.plan import Assumptions, plan_run
from experiments.planning.shapes import shape_of
from experiments.run.known_models import resolve_model
from experiments.training.config import TrainingConfig

_FORWARDS = {True: 3 + 1, False: 3}
"""Forward and backward count as three forwards; with a KL penalty the start is run as well."""
_RECOMPUTED = 1
"""One more forward with gradient checkpointing."""
_LORA_SHARE = 25
"""Parameters of a block's adapters of rank 1 over the model's width: both sides of seven matrices, three wide."""


def plan_training(config: TrainingConfig, card: str, completion_tokens: float | None) -> dict[str, Any]:
    """Completions, tokens, hours and disk of training and of measuring; no weights are loaded.

    Raises:
        HintprobeError: an unknown card, or a model whose shape is not known.
    """
    train = config.train
    (measured,) = plan_run(config.measured([config.model]), Assumptions(completion_tokens, card))
    shape = shape_of(resolve_model(config.model))
    length = completion_tokens or max(1.0, train.max_new_tokens / 4)
    n_bytes = DTYPE_BYTES["bfloat16" if config.dtype == "auto" else config.dtype]
    work = Work(
        prompts=train.batch, records=train.batch, prompt_tokens=measured["prompt_tokens_each"],
        completion_tokens=length, token_budget=train.batch * 10**6, captured=0, entries=0, sites=0,
    )  # fmt: skip
    sampling = generate_seconds(work, shape, CARDS[card], n_bytes)
    forwards = _FORWARDS[train.beta > 0] + _RECOMPUTED * train.gradient_checkpointing
    updating = 2 * shape.active_params * forwards * train.batch * work.row_tokens / (MATRIX_SHARE * CARDS[card].flops)
    n_saved = train.steps // train.save_every + bool(train.steps % train.save_every)
    each = shape.params * n_bytes
    if train.lora is not None:
        each = train.lora.rank * _LORA_SHARE * shape.d_model * shape.n_layers * 4
    seconds = sum(measured["seconds"].values())
    return {
        "name": config.name,
        "completions": train.batch * train.steps,
        "tokens": int(train.batch * train.steps * work.row_tokens),
        "checkpoints": n_saved + 1,
        "checkpoint_bytes": int(n_saved * each),
        "merged_bytes": int(n_saved * shape.params * n_bytes) if train.lora is not None else 0,
        "measured_bytes": (n_saved + 1) * (measured["activation_bytes"] + measured["record_bytes"]),
        "seconds": {
            "training": round(train.steps * (sampling + updating), 1),
            "measuring": round((n_saved + 1) * seconds, 1),
        },
        "measured": measured,
        "basis": f"Assumed: completions of {length:.0f} tokens in training; times are arithmetic from the card's data "
        "sheet, good to a factor of three where completions are sampled by vLLM, of ten where by transformers.",
    }
