"""Results of an earlier version are read under the present names."""

import json
from pathlib import Path

import pytest
from report_summary import model_summary

import experiments.training
from experiments.records.comparison import Comparison
from experiments.records.trajectory import Trajectory

EXAMPLE = Path(experiments.training.__file__).parent / "examples" / "sycophancy" / "trajectory.json"


def test_a_trajectory_whose_hidden_share_was_called_silent():
    text = EXAMPLE.read_text(encoding="utf-8")
    now, before = (
        Trajectory.model_validate(json.loads(t)) for t in (text, text.replace("hidden_share", "silent_share"))
    )
    assert before == now
    assert now.checkpoints[0].hidden_share == pytest.approx(0.2125)
    assert "hidden_share" in now.checkpoints[0].intervals


def test_a_comparison_whose_negatives_were_called_silent():
    comparison = model_summary()["comparison"]
    comparison["hidden_rows"] = {"hidden": 13, "aligned_and_silent": 8}
    assert Comparison.model_validate(comparison).hidden_rows == {"hidden": 13, "aligned_not_admitting": 8}
