"""A run of the organism `unfaithful` that takes seconds (nothing is to be concluded from it); a newcomer's files."""

from pathlib import Path
from typing import Any

SMALL: dict[str, Any] = {
    "models": ["organism:unfaithful"],
    "threads": 1,
    "questions": {"source": "organism-world", "limit": 48},
    "generate": {"max_new_tokens": 64},
    "capture": {"positions": ["prompt_end", "cot_0.5"]},
    "probe": {
        "outer_folds": 2, "inner_folds": 2, "repeats": 1, "c_grid": [0.03], "permutations": 0, "control_tasks": 0,
        "transfer": False, "early_answering": [0.0], "targets": ["reliant"], "along_cot": 0, "min_per_class": 4,
    },
    "patch": {"pairs": 2, "controls": ["random_positions"]},
    "mediate": {"items": 1, "draws": 1, "cut": ["pointer"]},
    "directions": {"detectors": []},
    "compare": {"bootstrap": 100},
}  # fmt: skip


def newcomers_model(folder: Path) -> None:
    """A random Qwen3 with a byte-level tokenizer, whose head can only say A to D: a folder like anybody's."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from experiments.benchmarks.chat_styles import STYLES, styled, train_tokenizer

    tokenizer = styled(
        train_tokenizer("byte-level", [f"Which is number {k}?" for k in range(30)], 300), STYLES["qwen3"]
    )
    shape = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        head_dim=16, intermediate_size=64, initializer_range=0.2, tie_word_embeddings=False,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id, bos_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Qwen3ForCausalLM(shape)
    letters = [tokenizer.get_vocab()[letter] for letter in "ABCD"]
    head = torch.zeros_like(model.lm_head.weight)
    head[letters] = model.lm_head.weight[letters]
    model.lm_head.weight.data = head
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def newcomers_quiz(path: Path, n: int = 24) -> None:
    """A table with a column per option."""
    rows = [f"Which is number {k}?,{k},{k + 1},{k + 2},{k + 3},A" for k in range(n)]
    path.write_text("\n".join(["question,A,B,C,D,answer", *rows]) + "\n")
