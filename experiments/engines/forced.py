"""Answers that the model did not get to: its thinking is closed for it and an answer begun, and the options read.

Early answering cuts the chain of thought first (Lanham et al. 2023, "Measuring Faithfulness in Chain-of-Thought
Reasoning", section 2.3); forced answers follow a completion that states none.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from activations import LoadedModel
from activations.branches import Branch, branch_logits
from activations.errors import HintprobeError
from activations.spans import encode
from experiments.answers.splitting import split_completion
from experiments.answers.thinking import opened_by
from experiments.prompts.positions import cot_tokens, encode_completion
from experiments.records import LETTERS, Rollout

FRAME = "The answer is ("


_CONTEXT = 40
"""Characters of the text before a frame that decide how its first word is cut into tokens."""


def frame_tokens(
    tokenizer: object, text: str, n_options: int, before: str = ""
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Tokens of the frame that all letters share, and the token with which each letter goes on.

    Args:
        before: the text that the frame follows.

    Raises:
        HintprobeError: two letters go on with the same token.
    """
    spelled = [_following(tokenizer, before, f"{text}{letter})") for letter in LETTERS[:n_options]]
    shared = 0
    while all(len(ids) > shared + 1 and ids[shared] == spelled[0][shared] for ids in spelled):
        shared += 1
    following = tuple(ids[shared] for ids in spelled)
    if len(set(following)) < n_options:
        raise HintprobeError(
            f"After {text!r} the tokenizer starts two option letters with the same token, so their logits are the "
            "same. Set `probe.early_answering: []` and `generate.forced_answer: false`."
        )
    return spelled[0][:shared], following


def _following(tokenizer: object, before: str, text: str) -> tuple[int, ...]:
    """Tokens of a text as they follow another one; as they stand alone where a token would reach across the seam."""
    first = encode(tokenizer, before[-_CONTEXT:]).ids
    whole = encode(tokenizer, before[-_CONTEXT:] + text).ids
    return whole[len(first) :] if whole[: len(first)] == first else encode(tokenizer, text).ids


def _branch(
    tokenizer: object, rollout: Rollout, cot: Sequence[int] | None, n_options: int, fraction: float
) -> Branch | None:
    """Cut a rollout's CoT after ``fraction`` of its tokens and force the answer; None where there is no CoT to cut.

    The thinking is closed in the form in which this rollout marks it.
    """
    n_prompt = len(rollout.prompt_ids)
    split = split_completion(rollout.completion_text, rollout.prompt_text)
    if fraction == 0:
        opening = "" if opened_by(rollout.prompt_text) else split.opener
        cut, text = n_prompt, f"{opening}{split.closer}{FRAME}" if rollout.cot is not None else FRAME
    elif cot is None:
        return None
    else:
        cut, text = n_prompt + cot[max(1, round(fraction * len(cot))) - 1] + 1, f"{split.closer}{FRAME}"
    frame, letters = frame_tokens(tokenizer, text, n_options)
    return Branch(cut, frame, letters)


def _after(tokenizer: object, rollout: Rollout, n_options: int) -> Branch:
    """A lead-in after all that a rollout wrote, its thinking closed first where it was still open."""
    visible = rollout.completion_ids[:-1] if rollout.finish_reason == "stop" else rollout.completion_ids
    split = split_completion(rollout.completion_text, rollout.prompt_text)
    closer = "\n\n" if split.closed else split.closer
    frame, letters = frame_tokens(tokenizer, f"{closer}{FRAME}", n_options, rollout.completion_text)
    return Branch(len(rollout.prompt_ids) + len(visible), frame, letters)


def forced_answers(
    loaded: LoadedModel, rollouts: Sequence[Rollout], n_options: Sequence[int], token_budget: int = 32_768
) -> list[str | None]:
    """The option that the model prefers after each completion, with its thinking closed and an answer begun for it.

    Returns:
        Per rollout a letter; None where the lead-in would not fit into the model's context.

    Raises:
        HintprobeError: the tokenizer does not tell the letters apart.
    """
    branches = [_after(loaded.tokenizer, rollout, n) for rollout, n in zip(rollouts, n_options, strict=True)]
    context = getattr(loaded.model.config, "max_position_embeddings", None)
    fits = [context is None or branch.cut + len(branch.suffix) <= context for branch in branches]
    kept = [i for i, fit in enumerate(fits) if fit]
    if not kept:
        return [None] * len(rollouts)
    trunks = [rollouts[i].prompt_ids + rollouts[i].completion_ids for i in kept]
    logits = branch_logits(loaded, trunks, [[branches[i]] for i in kept], token_budget)
    found: list[str | None] = [None] * len(rollouts)
    for i, (values,) in zip(kept, logits, strict=True):
        found[i] = LETTERS[int(values.argmax())]
    return found


def forced_preference(
    loaded: LoadedModel,
    rollouts: Sequence[Rollout],
    targets: Sequence[str],
    n_options: Sequence[int],
    fractions: Sequence[float],
    token_budget: int = 32_768,
    on_rows: Callable[[int], None] | None = None,
) -> dict[float, Float[np.ndarray, "rollout"]]:
    """Log-odds of each rollout's target against its other options, with the CoT cut and the answer forced.

    Args:
        targets: letter of h.
        fractions: shares of the CoT's tokens that are kept; 0 answers at the end of the prompt.

    Returns:
        In nats, per fraction; a fraction at which some rollout has no chain of thought to cut is left out.

    Raises:
        HintprobeError: the tokenizer does not tell the letters apart.
    """
    tokenizer = loaded.tokenizer
    cots = [cot_tokens(encode_completion(tokenizer, rollout), rollout) for rollout in rollouts]
    branches = {
        fraction: [
            _branch(tokenizer, rollout, cot, n, fraction)
            for rollout, cot, n in zip(rollouts, cots, n_options, strict=True)
        ]
        for fraction in fractions
    }
    usable = {fraction: [b for b in own if b is not None] for fraction, own in branches.items()}
    kept = [fraction for fraction in fractions if len(usable[fraction]) == len(rollouts)]
    if not kept or not rollouts:
        return {}
    trunks = [rollout.prompt_ids + rollout.completion_ids for rollout in rollouts]
    per_row = [list(own) for own in zip(*(usable[fraction] for fraction in kept), strict=True)]
    logits = branch_logits(loaded, trunks, per_row, token_budget, on_rows)
    return {
        fraction: np.array([_log_odds(row[n], target) for row, target in zip(logits, targets, strict=True)])
        for n, fraction in enumerate(kept)
    }


def forced_entropy(
    loaded: LoadedModel,
    rollouts: Sequence[Rollout],
    n_options: Sequence[int],
    token_budget: int = 32_768,
    on_rows: Callable[[int], None] | None = None,
) -> Float[np.ndarray, "rollout"]:
    """Entropy over the options, in nats, of the answer that is forced at the end of each rollout's prompt.

    Raises:
        HintprobeError: the tokenizer does not tell the letters apart.
    """
    pairs = zip(rollouts, n_options, strict=True)
    found = [[branch] for rollout, n in pairs if (branch := _branch(loaded.tokenizer, rollout, None, n, 0)) is not None]
    logits = branch_logits(loaded, [rollout.prompt_ids for rollout in rollouts], found, token_budget, on_rows)
    shares = [torch.log_softmax(options.double(), 0) for (options,) in logits]
    return np.array([float(-(log * log.exp()).sum()) for log in shares])


def _log_odds(options: Float[Tensor, "option"], target: str) -> float:
    index = LETTERS.index(target)
    others = torch.cat([options[:index], options[index + 1 :]])
    return float(options[index] - torch.logsumexp(others, 0))
