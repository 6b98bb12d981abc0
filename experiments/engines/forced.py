"""Early answering: cut the chain of thought, make the model answer, and read how much it prefers an option.

Lanham et al. 2023, "Measuring Faithfulness in Chain-of-Thought Reasoning", section 2.3.
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
from experiments.answers.parser import THINK_CLOSE, THINK_OPEN
from experiments.prompts.positions import cot_tokens, encode_completion
from experiments.records import LETTERS, Rollout

FRAME = "The answer is ("


def frame_tokens(tokenizer: object, text: str, n_options: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Tokens of the frame that all letters share, and the token with which each letter goes on.

    Raises:
        HintprobeError: two letters go on with the same token.
    """
    spelled = [encode(tokenizer, f"{text}{letter})").ids for letter in LETTERS[:n_options]]
    shared = 0
    while all(len(ids) > shared + 1 and ids[shared] == spelled[0][shared] for ids in spelled):
        shared += 1
    following = tuple(ids[shared] for ids in spelled)
    if len(set(following)) < n_options:
        raise HintprobeError(
            f"After {text!r} the tokenizer starts two option letters with the same token, so their logits cannot be "
            "told apart. Set `probe.early_answering: []`."
        )
    return spelled[0][:shared], following


def _branch(tokenizer: object, rollout: Rollout, cot: range | None, n_options: int, fraction: float) -> Branch | None:
    """Cut a rollout's CoT after ``fraction`` of its tokens and force the answer; None where there is no CoT to cut."""
    n_prompt, thinks = len(rollout.prompt_ids), rollout.cot is not None
    if fraction == 0:
        opened = rollout.prompt_text.rstrip().endswith(THINK_OPEN)
        opening = "" if opened else f"{THINK_OPEN}\n"
        cut, text = n_prompt, f"{opening}\n{THINK_CLOSE}\n\n{FRAME}" if thinks else FRAME
    elif cot is None:
        return None
    else:
        cut, text = n_prompt + cot[0] + max(1, round(fraction * len(cot))), f"\n{THINK_CLOSE}\n\n{FRAME}"
    frame, letters = frame_tokens(tokenizer, text, n_options)
    return Branch(cut, frame, letters)


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


def _log_odds(options: Float[Tensor, "option"], target: str) -> float:
    index = LETTERS.index(target)
    others = torch.cat([options[:index], options[index + 1 :]])
    return float(options[index] - torch.logsumexp(others, 0))
