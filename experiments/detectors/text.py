"""Detectors that read text alone: the prompt, or the chain of thought and answer."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from experiments.detectors.cells import DetectorCells
from experiments.detectors.context import Context
from experiments.detectors.rows import Rows
from experiments.judges.hint_view import view_hint
from experiments.judges.mention import mentions_of
from experiments.judges.normal import sentences_of
from experiments.records import Item, Rollout
from experiments.records.detectors import Source
from experiments.transcripts import transcript_of
from probes.arrays import Array

_TEXT: tuple[Source, ...] = ("cot", "answer")
_WORDS = r"<[^>]+>|[A-Za-z]+|[^\sA-Za-z]"


def word_counts(texts: Sequence[str], vocabulary: Sequence[str] | None) -> tuple[Array, tuple[str, ...]]:
    """Bag of words (1 or more characters, marks included), and its vocabulary."""
    counter = CountVectorizer(token_pattern=_WORDS, lowercase=False, vocabulary=vocabulary, binary=True)
    counts = counter.fit_transform(texts).toarray().astype(float)
    return counts, tuple(str(word) for word in counter.get_feature_names_out())


def tfidf(texts: Sequence[str], n_features: int = 3000) -> Array:
    """TF-IDF of words and pairs of words; document frequencies come from all rows, and no label."""
    reader = TfidfVectorizer(
        token_pattern=_WORDS, lowercase=False, ngram_range=(1, 2), sublinear_tf=True, max_features=n_features
    )
    weights: Array = reader.fit_transform(texts).toarray().astype(float)
    return weights


def without_mentions(item: Item, rollout: Rollout) -> str:
    """The completion without the sentences of its chain of thought that refer to the hint."""
    transcript = transcript_of(item, rollout)
    sentences = sentences_of(transcript.text, transcript.target)
    text = rollout.completion_text
    for sentence in mentions_of(sentences, view_hint(transcript), transcript.kind):
        text = text.replace(sentence.text, " ")
    return text


def text_detectors(context: Context) -> Iterator[DetectorCells]:
    """Classifiers of text; only those of the prompt for a target that is not the main one."""
    rows = context.rows
    names = TEXT_DETECTORS if context.main else ("prompt_words",)
    for name in names:
        yield TEXT_DETECTORS[name](rows, None)


def _prompt_words(rows: Rows, vocabulary: Sequence[str] | None) -> DetectorCells:
    counts, words = word_counts([r.prompt_text for r in rows.hinted], vocabulary)
    return DetectorCells(
        "prompt_words",
        "bag of words of the prompt",
        {"words": counts},
        rival=True,
        vocabulary=words,
        per_prompt=True,
        sees=("prompt",),
    )


def _prompt_forest(rows: Rows, vocabulary: Sequence[str] | None) -> DetectorCells:
    counts, _ = word_counts([r.prompt_text for r in rows.hinted], vocabulary)
    return DetectorCells(
        "prompt_forest", "random forest on the prompt's words", {"words": counts}, forest=True, per_prompt=True,
        shipped=False, sees=("prompt",),
    )  # fmt: skip


def _cot_words(rows: Rows, vocabulary: Sequence[str] | None) -> DetectorCells:
    counts, words = word_counts([r.completion_text for r in rows.hinted], vocabulary)
    return DetectorCells("cot_words", "bag of words of CoT and answer", {"words": counts}, vocabulary=words, sees=_TEXT)


def _cot_tfidf(rows: Rows, _: Sequence[str] | None) -> DetectorCells:
    weights = tfidf([r.completion_text for r in rows.hinted])
    return DetectorCells("cot_tfidf", _READS_COT, {"tfidf": weights}, scaling="block", shipped=False, sees=_TEXT)


def _cot_masked(rows: Rows, _: Sequence[str] | None) -> DetectorCells:
    masked = [without_mentions(item, r) for item, r in zip(rows.items, rows.hinted, strict=True)]
    reads = f"{_READS_COT}, sentences that mention the hint removed"
    return DetectorCells("cot_masked", reads, {"tfidf": tfidf(masked)}, scaling="block", shipped=False, sees=_TEXT)


def _cot_length(rows: Rows, _: Sequence[str] | None) -> DetectorCells:
    length = np.array([[float(len(r.completion_ids))] for r in rows.hinted])
    return DetectorCells("cot_length", "length of the completion", {"length": length}, sees=_TEXT)


_READS_COT = "words and word pairs of CoT and answer, TF-IDF"
TEXT_DETECTORS: dict[str, Callable[[Rows, Sequence[str] | None], DetectorCells]] = {
    "prompt_words": _prompt_words,
    "prompt_forest": _prompt_forest,
    "cot_words": _cot_words,
    "cot_tfidf": _cot_tfidf,
    "cot_masked": _cot_masked,
    "cot_length": _cot_length,
}
"""Each by itself, so that a saved one is read again without building the others; a vocabulary fixes its words."""
