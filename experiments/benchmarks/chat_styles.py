"""Chat templates in the formats of today's open models, and small tokenizers of both usual families to run them with.

The special tokens are those of the real models, the templates are written for this package, and the tokenizers are
trained where they are needed: nothing is downloaded.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Family = Literal["byte-level", "sentencepiece"]

_LLAMA3 = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\nToday Date: {{ strftime_now('%d %b %Y') }}\n\n"
    "{% if messages[0].role == 'system' %}{{ messages[0].content | trim }}{% set messages = messages[1:] %}{% endif %}"
    "<|eot_id|>{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}"
    "<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
_QWEN3 = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}{{ m.content.split('</think>')[-1].lstrip('\n') }}{% else %}{{ m.content }}"
    "{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
_GEMMA = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
_DEEPSEEK_R1 = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'user' %}<｜User｜>{{ m.content }}"
    "{% elif m.role == 'assistant' %}<｜Assistant｜>{{ m.content.split('</think>')[-1] }}<｜end▁of▁sentence｜>"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
)
_GPT_OSS = (
    "<|start|>system<|message|>Current date: {{ strftime_now('%Y-%m-%d') }}\n\n"
    "Reasoning: {{ reasoning_effort | default('medium') }}\n\n"
    "# Valid channels: analysis, final.<|end|>{% for m in messages %}"
    "{% if m.role == 'system' %}<|start|>developer<|message|># Instructions\n\n{{ m.content }}<|end|>"
    "{% elif m.role == 'assistant' %}<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|end|>"
    "{% else %}<|start|>user<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
# The system text moves into the last user turn, behind earlier turns.
_MISTRAL = (
    "{{ bos_token }}{% set ns = namespace(system='') %}{% for m in messages %}"
    "{% if m.role == 'system' %}{% set ns.system = m.content + '\n\n' %}"
    "{% elif m.role == 'user' %}[INST] {% if loop.last %}{{ ns.system }}{% endif %}{{ m.content }}[/INST]"
    "{% else %} {{ m.content | trim }}</s>{% endif %}{% endfor %}"
)


@dataclass(frozen=True)
class ChatStyle:
    """One model family's way of writing a conversation.

    Attributes:
        options: variables that its template is run with.
    """

    template: str
    special: tuple[str, ...]
    bos: str | None
    eos: str
    options: dict[str, Any]
    has_system: bool = True


_HEADERS = ("<|start_header_id|>", "<|end_header_id|>")
_IM = ("<|im_start|>", "<think>", "</think>")
_HARMONY = ("<|start|>", "<|message|>", "<|channel|>", "<|end|>")

STYLES: dict[str, ChatStyle] = {
    "llama3": ChatStyle(_LLAMA3, _HEADERS, "<|begin_of_text|>", "<|eot_id|>", {}),
    "qwen3": ChatStyle(_QWEN3, _IM, None, "<|im_end|>", {}),
    "qwen3_no_thinking": ChatStyle(_QWEN3, _IM, None, "<|im_end|>", {"enable_thinking": False}),
    "gemma": ChatStyle(_GEMMA, ("<start_of_turn>",), "<bos>", "<end_of_turn>", {}, has_system=False),
    "deepseek_r1": ChatStyle(
        _DEEPSEEK_R1, ("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"), "<｜begin▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>", {},
    ),
    "gpt_oss": ChatStyle(_GPT_OSS, _HARMONY, None, "<|return|>", {"reasoning_effort": "low"}),
    "mistral": ChatStyle(_MISTRAL, ("[INST]", "[/INST]"), "<s>", "</s>", {}),
}  # fmt: skip

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _byte_level(texts: Iterable[str], size: int) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    )
    return tokenizer


def _sentencepiece(texts: Iterable[str], size: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    # What is rare falls back to bytes, the line break and the marks of hints included.
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))],
        limit_alphabet=90,
        show_progress=False,
    )
    tokenizer.train_from_iterator((text.replace("\n", " ") for text in texts), trainer)
    return tokenizer


def train_tokenizer(family: Family, texts: Iterable[str], size: int = 4000) -> str:
    """Train a tokenizer without special tokens of chats; returns it as JSON."""
    trained = _byte_level(texts, size) if family == "byte-level" else _sentencepiece(texts, size)
    return str(trained.to_str())


def styled(trained: str, style: ChatStyle) -> Any:
    """A trained tokenizer with a style's special tokens and template."""
    from tokenizers import AddedToken, Tokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer.from_str(trained)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in style.special])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=style.bos, eos_token=style.eos, clean_up_tokenization_spaces=False
    )
    fast.chat_template = style.template
    return fast
