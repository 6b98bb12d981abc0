"""Several trainings side by side, from the trajectory that ships."""

import shutil
from pathlib import Path

from experiments.benchmarks.training_page import draw, finished, table

SHIPPED = Path("experiments/training/examples/sycophancy")


def test_finished_runs_stand_in_a_table_and_a_figure(tmp_path):
    shutil.copytree(SHIPPED, tmp_path / "runs" / "hacks-sycophancy")
    found = finished(Path("hacks"), tmp_path)
    assert list(found) == ["sycophancy"]
    lines = table(found).splitlines()
    assert len(lines) == 3
    last = found["sycophancy"].checkpoints[-1]
    assert f"→ {last.hack_rate:.2f} [" in lines[2]
    draw(found, tmp_path / "figure.svg")
    assert "sycophancy" in (tmp_path / "figure.svg").read_text()
