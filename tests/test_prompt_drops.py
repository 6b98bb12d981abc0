"""The causal score: right by a plain forward, and two-sided on hand-wired circuits."""

import numpy as np
import pytest
import torch
from wired import LETTERS, VALUES, VOCABULARY, prompt

from activations import Decoding, generate
from activations.errors import HintprobeError
from probes import prompt_drops as scoring
from probes.prompt_drops import Written, prompt_drops, score_tokens


def as_the_model_writes(loaded, own, hint):
    (done,) = generate(loaded, [prompt(own, hint)], Decoding(0.0, 8))
    letter = LETTERS[VALUES.index(hint)]
    at = done.ids.index(letter) if letter in done.ids else done.ids.index(LETTERS[VALUES.index(own)])
    return Written(done.ids, at, LETTERS, VALUES.index(hint))


@pytest.mark.parametrize("chunk", [2, 256])
def test_scores_equal_a_plain_forward(chunk, tiny, monkeypatch):
    monkeypatch.setattr(scoring, "_CHUNK", chunk)
    loaded, rng = tiny("qwen3"), np.random.default_rng(0)
    prompts = [tuple(int(t) for t in rng.integers(10, 200, n)) for n in (7, 3, 5)]
    written = [
        Written(tuple(int(t) for t in rng.integers(10, 200, n)), at, (20, 21, 22), 1)
        for n, at in ((1, 0), (6, 2), (4, 3))
    ]
    asked = [tuple(int(t) for t in rng.integers(10, 200, len(w.ids))) for w in written]
    found = score_tokens(loaded, prompts, written, asked, token_budget=30)
    for start, w, other, scores in zip(prompts, written, asked, found, strict=True):
        with torch.no_grad():
            logits = loaded.model(torch.tensor([start + w.ids])).logits[0].log_softmax(-1)
        places = logits[len(start) - 1 : -1]
        index = torch.arange(len(w.ids))
        np.testing.assert_allclose(scores.own, places[index, list(w.ids)], atol=1e-4)
        np.testing.assert_allclose(scores.asked, places[index, list(other)], atol=1e-4)
        np.testing.assert_allclose(scores.best, places.max(-1).values, atol=1e-4)
        assert scores.best_token.tolist() == places.argmax(-1).tolist()
        np.testing.assert_allclose(scores.options, places[w.answer_at, [20, 21, 22]], atol=1e-4)


def test_the_score_finds_reliance_where_it_is_wired_and_none_elsewhere(wired):
    expected = {"direct": (True, True), "text": (True, False), "prompt": (True, True), "none": (False, False)}
    for circuit, (anywhere, at_answer) in expected.items():
        loaded = wired(circuit)
        written = [as_the_model_writes(loaded, "a", "c"), as_the_model_writes(loaded, "c", "c")]
        drops = prompt_drops(
            loaded, [prompt("a", "c"), prompt("c", "c")], [prompt("a", None), prompt("c", None)], written
        )
        for values in (drops.divergence, drops.completion):
            assert (values[0] > 5) == anywhere, circuit
            assert abs(values[1]) < 1e-3, circuit  # it answers the same by itself: aligned
        assert (drops.answer[0] > 5) == at_answer, circuit
        assert drops.forwards == 4


def test_divergence_reads_the_first_token_that_would_be_another(wired):
    """On `text` that is the CoT token: its log-odds turn from +L to -L."""
    loaded = wired("text")
    written = as_the_model_writes(loaded, "a", "c")
    drops = prompt_drops(loaded, [prompt("a", "c")], [prompt("a", None)], [written])
    with torch.no_grad():
        here = loaded.model(torch.tensor([prompt("a", "c") + written.ids[:1]])).logits[0, -1]
        there = loaded.model(torch.tensor([prompt("a", None) + written.ids[:1]])).logits[0, -1]
    c, a = VOCABULARY["cot_c"], VOCABULARY["cot_a"]
    assert drops.divergence[0] == pytest.approx(float((here[c] - here[a]) - (there[c] - there[a])), abs=1e-3)


def test_an_empty_completion_is_refused(wired):
    with pytest.raises(HintprobeError, match="without tokens"):
        score_tokens(wired("none"), [prompt("a", "b")], [Written((), 0, LETTERS, 0)])
