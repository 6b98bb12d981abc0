"""Character spans → token indices, through the tokenizer's offsets."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from activations.errors import HintprobeError


@dataclass(frozen=True)
class Encoded:
    """Text and its exact tokens.

    Attributes:
        offsets: per token, the characters of ``text`` that it covers.
    """

    text: str
    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]


def encode(tokenizer: object, text: str) -> Encoded:
    """Tokenise without adding special tokens: what a chat template wrote is all there is."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None and backend.truncation is None and backend.padding is None:
        plain = backend.encode(text, add_special_tokens=False)  # the same tokens, without the wrapper's conversions
        return Encoded(text, tuple(plain.ids), tuple(plain.offsets))
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)  # type: ignore[operator]
    return Encoded(text, tuple(encoded["input_ids"]), tuple(tuple(pair) for pair in encoded["offset_mapping"]))


_HELD = 8
"""Tokens that wait for the rest of their character at most; no character takes more bytes than half of that."""


def offsets_of(tokenizer: object, ids: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Characters of the decoded text that each token covers, for tokens that no encoding of the text gives.

    Every token is decoded behind the few before it, so that time is linear in their number. Tokens that together make
    one character all get that character's place, as a byte-level tokenizer's own offsets have it.
    """
    decode = tokenizer.decode  # type: ignore[attr-defined]
    offsets: list[tuple[int, int]] = []
    at = behind = first = 0
    seen = ""
    for i in range(len(ids)):
        now = decode(list(ids[behind : i + 1]))
        if now.endswith("\ufffd") and i + 1 < len(ids) and i + 1 - first < _HELD:
            continue
        grown = max(len(now) - len(seen), 0)
        offsets += [(at, at + grown)] * (i + 1 - first)
        at += grown
        behind, first = first, i + 1
        seen = decode(list(ids[behind:first]))
    return tuple(offsets)


def tokens_of_span(encoded: Encoded, start: int, end: int) -> range:
    """Tokens that overlap the characters ``start`` to ``end``.

    Raises:
        HintprobeError: no token does.
    """
    hit = [i for i, (a, b) in enumerate(encoded.offsets) if a < end and b > start]
    if not hit:
        raise HintprobeError(
            f"No token covers characters {start} to {end} of {encoded.text[max(0, start - 20) : end]!r}."
        )
    return range(hit[0], hit[-1] + 1)


def assert_covers(tokenizer: object, encoded: Encoded, tokens: Sequence[int], expected: str) -> None:
    """Check on decoded text that the tokens found for a span really spell it.

    Raises:
        HintprobeError: they do not.
    """
    decoded = tokenizer.decode([encoded.ids[i] for i in tokens])  # type: ignore[attr-defined]
    unknown = getattr(tokenizer, "unk_token_id", None)
    if unknown is not None and any(encoded.ids[i] == unknown for i in tokens):
        raise HintprobeError(
            f"The tokenizer does not know every word of {expected!r} (it reads {decoded!r}). Ask a model with this "
            "tokenizer only questions within its vocabulary."
        )
    if _squeezed(expected) in _squeezed(decoded):
        return
    again = tokenizer.decode(list(encode(tokenizer, expected).ids))  # type: ignore[attr-defined]
    if _squeezed(again) not in _squeezed(decoded):  # not what the tokenizer's own normalisation makes of it either
        raise HintprobeError(
            f"The tokens found for {expected!r} decode to {decoded!r}: this tokenizer's offsets cannot be trusted."
        )


def _squeezed(text: str) -> str:
    """Without what normalising tokenizers change: white space, SentencePiece's sign for it, and the Unicode form."""
    return "".join(unicodedata.normalize("NFKC", text).replace("\u2581", " ").split())
