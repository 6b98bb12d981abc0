"""The benchmark of a card runs whole without one, and its proofs can fail."""

import dataclasses
import json
import sys

import pytest
import torch

from experiments.benchmarks import gpu, gpu_proofs

CPU = torch.device("cpu")
SMALL = dataclasses.replace(gpu.TOY, rows=2, prompt=12, new=4, ragged=(12, 5, 60), patched=(8, 1), probe=(60, 8))


def test_one_object_with_every_key(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(gpu, "TOY", SMALL)
    monkeypatch.setattr(gpu, "ROUNDS", 1)
    monkeypatch.setattr(sys, "argv", ["gpu", "--toy", "--json", "--seconds", "600"])
    gpu.main()
    report = json.loads(capsys.readouterr().out)
    speed = report["generate_tokens_per_second"]
    assert report["generate_ratio_hf_greedy"] == pytest.approx(speed["ours_greedy"] / speed["hf_greedy"])
    assert report["generate_ratio_hf_sampled"] == pytest.approx(speed["ours_sampled"] / speed["hf_sampled"])
    captured = report["capture_tokens_per_second"] / report["plain_tokens_per_second"]
    assert report["capture_ratio_plain_ragged"] == pytest.approx(captured)
    assert 0 < report["noise_share_of_step"] < 1
    assert 0 <= report["padding_waste"] < 1
    assert report["patching_ratio_hooks"] > 0
    assert report["probes_ratio_scikit_learn"] > 0
    assert report["proved"]
    assert report["toy"]
    assert report["not_run"] == []
    assert set(report["seconds"]) == {"proofs", *(section.__name__ for section in gpu.SECTIONS)}
    assert "holds" in gpu.table(report)


def test_a_section_that_has_no_time_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpu, "proofs", lambda device: [{"proof": "none", "error": 1.0, "limit": 0.0, "holds": False}])
    report = gpu.run(CPU, SMALL, 0)
    assert report["not_run"] == [section.__name__ for section in gpu.SECTIONS]
    assert not report["proved"]
    assert "FAILS" in gpu.table(report)
    assert "not run" in gpu.table(report)


def test_a_card_that_computes_something_else_is_found_out(monkeypatch: pytest.MonkeyPatch):
    honest = gpu_proofs.moved

    def wrong(loaded, device, dtype=torch.float32):
        card = honest(loaded, device, dtype)
        with torch.no_grad():
            card.model.model.layers[1].mlp.down_proj.weight.mul_(2.0)
        return card

    monkeypatch.setattr(gpu_proofs, "moved", wrong)
    failed = {line["proof"] for line in gpu_proofs.proofs(CPU) if not line["holds"]}
    assert {"capture", "patched logits", "knockout", "capture in bfloat16"} <= failed
    assert "noise" not in failed
