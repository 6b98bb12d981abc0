"""Real questions under every kind and direction through three chat templates; by default on a sample of them."""

import os

import pytest

from experiments.benchmarks import rendering

needs_data = pytest.mark.skipif(
    not os.environ.get("HINTPROBE_SHARED_DATA"), reason="HINTPROBE_SHARED_DATA is not set: no real questions to render"
)


def check(found, n_questions, swapped_of_other_length):
    assert found["questions"] == n_questions
    assert found["items"] == n_questions * 12
    assert len(found["templates"]) == 3
    for result in found["templates"].values():
        assert result["prompts"] == found["items"], "none failed"
        assert max(result["swapped_of_other_length"].values()) <= swapped_of_other_length
    assert {result["tokenizer"] for result in found["templates"].values()} == {"byte-level", "sentencepiece"}


@needs_data
def test_a_sample_of_mmlu_is_rendered():
    questions = rendering.load(None, 12)
    check(rendering.run(questions), len(questions), 0.34)  # tokenizers of so few texts merge letters oddly


@needs_data
@pytest.mark.slow
def test_all_of_mmlu_is_rendered():
    questions = rendering.load(None, 20_000)
    assert len(questions) == 14_042
    check(rendering.run(questions), len(questions), 0.01)


def test_without_questions_the_benchmark_says_what_it_needs(monkeypatch):
    monkeypatch.delenv("HINTPROBE_SHARED_DATA", raising=False)
    with pytest.raises(rendering.HintprobeError, match="--questions"):
        rendering.load(None, 5)
