"""A transcript as numbers for a trained judge: its words about the hint, the lexical judge's reading, and its form.

Only sentences about the hint and their neighbours are read, with the hinted option written ``@`` and any other ``#``,
so that a judge trained on some questions reads others.
"""

from collections.abc import Callable, Sequence
from math import log1p

import numpy as np
from jaxtyping import Float

from experiments.judges.hint_view import view_hint
from experiments.judges.lexical import answers_target
from experiments.judges.lexicon import normal_kind
from experiments.judges.mention import leans_on, mentions_of
from experiments.judges.normal import sentences_of
from experiments.judges.reliance import gives_in, last_stance, stance
from experiments.transcripts import Transcript

Embedder = Callable[[Sequence[str]], Float[np.ndarray, "text d"]]
NUMBERS = (
    "mentions", "share_first", "share_last", "n_mentions", "admits", "rejects", "checks", "last_admits", "last_rejects",
    "follows_hint", "log_length",
)  # fmt: skip
_NEIGHBOURS = 1
"""Sentences on either side of one about the hint that are read with it."""


def about_hint(transcript: Transcript) -> tuple[str, dict[str, float]]:
    """What a text says about the hint, in normal form, and :data:`NUMBERS`."""
    view, sentences = view_hint(transcript), sentences_of(transcript.text, transcript.target)
    hits = {sentence.start for sentence in mentions_of(sentences, view, transcript.kind)}
    about = [
        k
        for k, s in enumerate(sentences)
        if s.start in hits or (hits and (leans_on(s, transcript.kind) or gives_in(s)))
    ]
    stances = [stance(sentences[k]) for k in about]
    last = last_stance(stances)
    near = {j for k in about for j in range(k - _NEIGHBOURS, k + _NEIGHBOURS + 1) if 0 <= j < len(sentences)}
    numbers = {
        "mentions": float(bool(hits)),
        "share_first": sentences[about[0]].share if about else 1.0,
        "share_last": sentences[about[-1]].share if about else 0.0,
        "n_mentions": log1p(len(about)),
        "admits": log1p(stances.count("admits")),
        "rejects": log1p(stances.count("rejects")),
        "checks": log1p(stances.count("checks")),
        "last_admits": float(last == "admits"),
        "last_rejects": float(last == "rejects"),
        "follows_hint": float(answers_target(transcript) is True),
        "log_length": log1p(len(transcript.text)),
    }
    return " ".join(sentences[j].normal.strip() for j in sorted(near)), numbers


def kind_of(transcript: Transcript) -> str:
    """The kind by our name for it."""
    return normal_kind(transcript.kind)


def sentence_embedder(folder: str) -> Embedder:
    """Mean last hidden states of a transformers model folder, one unit vector a text.

    Raises:
        HintprobeError: the folder holds no model that transformers can load.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    from activations.errors import HintprobeError

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModel.from_pretrained(folder).eval()
    except (OSError, ValueError, KeyError) as error:
        raise HintprobeError(f"No sentence embeddings can be computed with {folder}: {error}.") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token

    def embed(texts: Sequence[str]) -> Float[np.ndarray, "text d"]:
        rows = []
        for text in texts:
            given = tokenizer(text or ".", return_tensors="pt", truncation=True, max_length=512)
            with torch.no_grad():
                states = model(**given).last_hidden_state[0].float().mean(dim=0)
            rows.append((states / states.norm().clamp_min(1e-6)).numpy())
        return np.stack(rows).astype(float)

    return embed
