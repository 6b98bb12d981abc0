"""Character spans find their tokens, and a tokenizer that lies is found out."""

import time

import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from activations import HintprobeError
from activations.spans import Encoded, assert_covers, encode, offsets_of, tokens_of_span
from experiments.benchmarks.chat_styles import train_tokenizer

TEXT = "Take Ava Tate's heading and turn right 7 times.\n\nWhere does it point?"


def test_encoding_is_lossless_and_adds_nothing(tokenizer: PreTrainedTokenizerFast):
    encoded = encode(tokenizer, TEXT)
    assert len(encoded.ids) == len(encoded.offsets)
    assert "".join(TEXT[a:b] for a, b in encoded.offsets) == TEXT
    assert tokenizer.eos_token_id not in encoded.ids
    assert encode(tokenizer, "").ids == ()


def test_every_span_of_characters_gets_exactly_the_tokens_that_overlap_it(tokenizer: PreTrainedTokenizerFast):
    encoded = encode(tokenizer, TEXT)
    for start in range(len(TEXT)):
        for end in range(start + 1, len(TEXT) + 1):
            tokens = tokens_of_span(encoded, start, end)
            first, last = encoded.offsets[tokens[0]], encoded.offsets[tokens[-1]]
            assert first[0] <= start < first[1]
            assert last[0] < end <= last[1]


def test_a_word_is_one_token_and_its_neighbour_another(tokenizer: PreTrainedTokenizerFast):
    encoded = encode(tokenizer, TEXT)
    at = TEXT.index("heading")
    (token,) = tokens_of_span(encoded, at, at + len("heading"))
    assert_covers(tokenizer, encoded, [token], "heading")
    with pytest.raises(HintprobeError, match="cannot be trusted"):
        assert_covers(tokenizer, encoded, [token + 1], "heading")


def test_a_span_without_tokens_is_refused(tokenizer: PreTrainedTokenizerFast):
    encoded = encode(tokenizer, TEXT)
    with pytest.raises(HintprobeError, match="No token covers"):
        tokens_of_span(encoded, len(TEXT), len(TEXT) + 3)
    gap = Encoded("a  b", (1, 2), ((0, 1), (3, 4)))
    with pytest.raises(HintprobeError, match="No token covers"):
        tokens_of_span(gap, 1, 3)
    assert list(tokens_of_span(gap, 0, 4)) == [0, 1]


def test_tokens_that_share_a_character_all_count():
    """Byte-level tokenizers split one character over several tokens, all with that character's offsets."""
    emoji = Encoded("x🙂y", (1, 2, 3, 4), ((0, 1), (1, 2), (1, 2), (2, 3)))
    assert list(tokens_of_span(emoji, 1, 2)) == [1, 2]


@pytest.mark.parametrize("family", ["byte-level", "sentencepiece"])
def test_offsets_of_tokens_that_no_encoding_gives(family):
    """As the tokenizer's own offsets where it has them, and right where the ids were cut otherwise."""
    inner = Tokenizer.from_str(train_tokenizer(family, [TEXT, "Größe 🙂 naïve µm²"], 400))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, clean_up_tokenization_spaces=False)
    for text in (TEXT, "Größe 🙂🙂 naïve µm² — 漢字 end"):
        ids = encode(tokenizer, text).ids
        words = [encode(tokenizer, word).ids for word in ("x", "y", "zz")]
        odd = ids[:3] + tuple(token for word in words for token in word) + ids[3:]
        for given in (ids, odd):
            decoded, offsets = tokenizer.decode(given), offsets_of(tokenizer, given)
            assert len(offsets) == len(given)
            covered = sorted(set(offsets))
            assert "".join(decoded[a:b] for a, b in covered) == decoded
            for token, (start, end) in zip(given, offsets, strict=True):
                alone = tokenizer.decode([token]).strip()
                assert alone in decoded[start:end] or "\ufffd" in alone, (alone, decoded[start:end])


def test_offsets_take_time_in_proportion_to_the_tokens(tokenizer: PreTrainedTokenizerFast):
    def cost(n):
        ids = encode(tokenizer, "Take Ava Tate's heading and turn right 7 times. " * n).ids
        start = time.process_time()
        offsets_of(tokenizer, ids)
        return time.process_time() - start

    cost(10)
    assert cost(800) < 12 * cost(200), "four times the tokens; squared time would be sixteen times"


def test_bytes_that_never_make_a_character_are_held_no_longer_than_eight_tokens():
    inner = Tokenizer.from_str(train_tokenizer("byte-level", [TEXT], 300))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, clean_up_tokenization_spaces=False)
    broken = encode(tokenizer, "🙂").ids[0]
    offsets = offsets_of(tokenizer, [broken] * 40)
    assert len(offsets) == 40
    assert max(end for _, end in offsets) <= len(tokenizer.decode([broken] * 40))
