"""The capture benchmark compares like with like and prints one object."""

import json
import sys

import pytest
import torch

from experiments.benchmarks import capture as benchmark

TINY = benchmark.Shape(layers=2, width=64, vocabulary=300, batch=2, length=12, rounds=2)


def test_one_object_with_every_ratio(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    for library in ("nnsight", "transformer_lens"):
        pytest.importorskip(library, reason=f"the extra for {library} is not installed")
    monkeypatch.setattr(benchmark, "QUICK", TINY)
    monkeypatch.setattr(benchmark.memory_growth, "__defaults__", (3, 2))
    monkeypatch.setattr(sys, "argv", ["capture", "--quick", "--json"])
    benchmark.main()
    report = json.loads(capsys.readouterr().out)
    for other in ("plain_forward", "output_hidden_states", "nnsight", "nnsight_stop", "bridge"):
        assert report[f"time_ratio_{other}"] == report["seconds"]["ours"] / report["seconds"][other]
    assert report["largest_difference"] < 1e-5
    assert report["memory_captured_bytes"] == 3 * 5 * 4 * 4 * 256 * 4


def test_the_agreement_would_notice_a_contender_that_reads_something_else():
    race = benchmark.Race(benchmark.random_llama(TINY, torch.float32), TINY)
    assert benchmark.agreement(race) < 1e-5
    race.where = race.where.roll(1, 1)
    assert benchmark.agreement(race) > 1e-2
