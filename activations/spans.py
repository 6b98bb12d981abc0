"""Character spans → token indices, through the tokenizer's offsets."""

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
            f"The tokenizer does not know every word of {expected!r} (it reads {decoded!r}). Ask a model of this "
            "tokenizer only questions within its vocabulary."
        )
    if "".join(expected.split()) not in "".join(decoded.split()):
        raise HintprobeError(
            f"The tokens found for {expected!r} decode to {decoded!r}: this tokenizer's offsets cannot be trusted."
        )
