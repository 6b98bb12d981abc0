"""GPT-2 models whose circuit is set by hand, to hold causal methods to a path that is known.

A prompt is ``bos w w q_X w hint_Y w w asst``: X is what the model would answer by itself, Y what the hint names (the
control prompt has a ``w`` for the hint). The text goes ``think cot_Z so close (``, and then the letter. How it is
built:

- Every feature i is the direction (e_2i - e_2i+1) / √2. Its mean is zero, so LayerNorm only scales it.
- A token embeds as its type plus its value (a to d, or none): two features, hence one norm for all tokens. Position
  embeddings and MLPs are zero: attention matches content alone.
- A head asks from one type of token and gives a score to each type of key. A constant query gives every token a low
  score on ``bos``, whose value is none: a head that is not asked writes nothing. Scores lie 40 apart, so attention is
  hard to within 1e-17.
- A head copies a value subspace to another one (to be said as CoT, to be said as a letter, or the relay subspace that
  only later heads read). What else is said next is a table of bigrams from the type subspace.

Circuits (which tokens the two steps "choose the CoT token" and "choose the letter" read, the first one present wins):

==========  ====================  =================================================
name        CoT token reads       letter reads
==========  ====================  =================================================
direct      question              hint, else CoT
text        hint, else question   CoT
both        hint, else question   hint and CoT, half each
prompt      question              the last prompt token, which read hint or question
relay       question              ``think``, which read hint or question
dormant     question              CoT; ``(`` also copies hint or question to where nothing reads it
none        question              CoT
==========  ====================  =================================================

``relay`` passes through a token of the text, and yet not through what the text says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

VALUES = ("a", "b", "c", "d")
TYPES = ("pad", "bos", "eos", "w", "q", "hint", "asst", "think", "cot", "so", "close", "(", "letter")
VALUED = ("q", "hint", "cot", "letter")
SPACES = ("type", "value", "say_cot", "say_letter", "relay")
WIDTH, HEADS = 96, 4
_HEAD_WIDTH = WIDTH // HEADS
_STEP, _LOUD, _NEXT = 40.0, 3.0, 1.5

VOCABULARY = {
    name: index
    for index, name in enumerate(
        [*(t for t in TYPES if t not in VALUED), *(f"{t}_{v}" for t in VALUED for v in VALUES)]
    )
}


def _feature(space: str, name: str) -> Tensor:
    names = {"type": TYPES, "value": (*VALUES, "none")}.get(space, VALUES)
    before = sum(len({"type": TYPES, "value": (*VALUES, "none")}.get(s, VALUES)) for s in SPACES[: SPACES.index(space)])
    vector = torch.zeros(WIDTH)
    index = before + names.index(name)
    vector[2 * index], vector[2 * index + 1] = 0.5**0.5, -(0.5**0.5)
    return vector


@dataclass(frozen=True)
class Head:
    """A query type, the ranks of the key types it looks for (higher wins, equals share), and what it copies where."""

    layer: int
    asks: str
    ranks: Mapping[str, int]
    reads: str
    writes: str


CIRCUITS: dict[str, tuple[Head, ...]] = {
    "direct": (
        Head(0, "think", {"q": 1}, "value", "say_cot"),
        Head(0, "(", {"hint": 2, "cot": 1}, "value", "say_letter"),
    ),
    "text": (
        Head(0, "think", {"hint": 2, "q": 1}, "value", "say_cot"),
        Head(0, "(", {"cot": 1}, "value", "say_letter"),
    ),
    "both": (
        Head(0, "think", {"hint": 2, "q": 1}, "value", "say_cot"),
        Head(0, "(", {"hint": 1, "cot": 1}, "value", "say_letter"),
    ),
    "prompt": (
        Head(0, "think", {"q": 1}, "value", "say_cot"),
        Head(0, "asst", {"hint": 2, "q": 1}, "value", "relay"),
        Head(1, "(", {"asst": 9}, "relay", "say_letter"),  # what layer 0 wrote there shrinks its type feature
    ),
    "relay": (
        Head(0, "think", {"q": 1}, "value", "say_cot"),
        Head(0, "think", {"hint": 2, "q": 1}, "value", "relay"),
        Head(1, "(", {"think": 9}, "relay", "say_letter"),
    ),
    "dormant": (
        Head(0, "think", {"q": 1}, "value", "say_cot"),
        Head(0, "(", {"cot": 1}, "value", "say_letter"),
        Head(0, "(", {"hint": 2, "q": 1}, "value", "relay"),
    ),
    "none": (
        Head(0, "think", {"q": 1}, "value", "say_cot"),
        Head(0, "(", {"cot": 1}, "value", "say_letter"),
    ),
}
_BIGRAMS = {"asst": "think", "cot": "so", "so": "close", "close": "(", "letter": "eos", "eos": "eos"}


def _split(token: str) -> tuple[str, str]:
    kind, _, value = token.partition("_")
    return kind, value or "none"


def _wire(model: GPT2LMHeadModel, head: Head, slot: int) -> None:
    """Set one attention head. LayerNorm multiplies a feature by about √(width / 2), which is divided out again."""
    gain = (WIDTH / 2) ** 0.5
    attention = model.transformer.h[head.layer].attn
    queries, keys, values = (attention.c_attn.weight[:, k * WIDTH + slot * _HEAD_WIDTH :] for k in range(3))
    temper = _HEAD_WIDTH**0.5
    queries[:, 0] = _feature("type", head.asks) / gain * temper
    attention.c_attn.bias[slot * _HEAD_WIDTH + 1] = temper
    for kind, rank in head.ranks.items():
        keys[:, 0] += _feature("type", kind) / gain * _STEP * (rank + 1)
    keys[:, 1] = _feature("type", "bos") / gain * _STEP
    for k, value in enumerate(VALUES):
        values[:, k] = _feature(head.reads, value) / gain
        attention.c_proj.weight[slot * _HEAD_WIDTH + k] = _feature(head.writes, value) * _LOUD


def _build(circuit: str) -> GPT2LMHeadModel:
    config = GPT2Config(
        vocab_size=len(VOCABULARY), n_embd=WIDTH, n_layer=2, n_head=HEADS, n_positions=64, tie_word_embeddings=False,
        bos_token_id=None, eos_token_id=VOCABULARY["eos"], pad_token_id=VOCABULARY["pad"],
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if ".ln_" in name and name.endswith("weight") else 0.0)
        for token, index in VOCABULARY.items():
            kind, value = _split(token)
            model.transformer.wte.weight[index] = _feature("type", kind) + _feature("value", value)
            if kind in ("cot", "letter"):
                model.lm_head.weight[index] = _feature(f"say_{kind}", value) * _NEXT
        for before, after in _BIGRAMS.items():
            model.lm_head.weight[VOCABULARY[after]] += _feature("type", before) * 2 * _NEXT
        for slot, head in enumerate(CIRCUITS[circuit]):
            _wire(model, head, slot)
    return model


def wired_folder(circuit: str, folder: Path) -> Path:
    """Save a wired model and its word tokenizer in the Hugging Face format."""
    _build(circuit).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="w"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="pad", eos_token="eos", unk_token="w"
    ).save_pretrained(folder)
    return folder


def ids_of(text: str) -> tuple[int, ...]:
    """Token ids of a line of tokens."""
    return tuple(VOCABULARY[word] for word in text.split())


def prompt(own: str, hint: str | None) -> tuple[int, ...]:
    """A prompt; ``hint`` is None in the control prompt. The hint stands at index 5."""
    return ids_of(f"bos w w q_{own} w {f'hint_{hint}' if hint else 'w'} w w asst")


def written(value: str) -> tuple[int, ...]:
    """The text up to the letter."""
    return ids_of(f"think cot_{value} so close (")


def direction(space: str, towards: str, away: str) -> Tensor:
    """From one value of a subspace to another."""
    return _feature(space, towards) - _feature(space, away)


LETTERS = tuple(VOCABULARY[f"letter_{value}"] for value in VALUES)
HINT_AT = 5
