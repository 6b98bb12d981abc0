"""Detectors that read text alone: the prompt, or the chain of thought and answer."""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from experiments.detectors.cells import DetectorCells
from experiments.detectors.rows import Rows
from experiments.judges.hint_view import view_hint
from experiments.judges.mention import mentions_of
from experiments.judges.normal import sentences_of
from experiments.records import Item, Rollout
from experiments.transcripts import transcript_of
from probes.arrays import Array

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


def text_detectors(rows: Rows, vocabularies: Mapping[str, tuple[str, ...]] | None = None) -> list[DetectorCells]:
    """Classifiers of text; ``vocabularies`` fixes the words when scoring other rows."""
    known = vocabularies or {}
    prompt, prompt_words = word_counts([r.prompt_text for r in rows.hinted], known.get("prompt_words"))
    cot, cot_words = word_counts([r.completion_text for r in rows.hinted], known.get("cot_words"))
    masked = [without_mentions(item, r) for item, r in zip(rows.items, rows.hinted, strict=True)]
    length = np.array([[float(len(r.completion_ids))] for r in rows.hinted])
    reads_cot = "words and word pairs of CoT and answer, TF-IDF"
    return [
        DetectorCells(
            "prompt_words", "bag of words of the prompt", {"words": prompt}, vocabulary=prompt_words, per_prompt=True
        ),
        DetectorCells(
            "prompt_forest", "random forest on the prompt's words", {"words": prompt}, forest=True, per_prompt=True,
            shipped=False,
        ),
        DetectorCells("cot_words", "bag of words of CoT and answer", {"words": cot}, vocabulary=cot_words),
        DetectorCells(
            "cot_tfidf", reads_cot, {"tfidf": tfidf([r.completion_text for r in rows.hinted])}, scaling="block",
            shipped=False,
        ),
        DetectorCells(
            "cot_masked", f"{reads_cot}, sentences that mention the hint removed", {"tfidf": tfidf(masked)},
            scaling="block", shipped=False,
        ),
        DetectorCells("cot_length", "length of the completion", {"length": length}),
    ]  # fmt: skip
