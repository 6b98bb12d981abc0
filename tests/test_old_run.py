"""A run that was written by the version of 25 November 2026 (commit ad1abf4) is listed, shown, read and reported.

The archive holds its folder: 60 questions of the organism ``unfaithful``, all stages, made small.
"""

import json
import tarfile
from pathlib import Path

import pytest
from test_cli import hintprobe

from experiments import read_results
from experiments.benchmarks.real_model import page_text
from experiments.report.runs import read_run

ARCHIVE = Path(__file__).parent / "data" / "run_of_2026_11_25.tar.xz"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The run's folder, as it was written."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "runs", filter="data")
    return tmp_path / "runs" / "old"


def test_its_figures_are_what_was_written(folder: Path):
    written = json.loads((folder / "summary.json").read_text())["models"][0]
    (model,) = read_run(folder / "summary.json").summary.models
    assert model.comparison is not None
    counts = model.comparison.counts
    assert (counts.reliant, counts.aligned, counts.hidden) == (22, 11, 7)
    assert counts.by_kind == written["comparison"]["counts"]["by_kind"]
    assert model.comparison.faithfulness.all.p == written["comparison"]["faithfulness"]["all"]["p"]
    before, now = written["comparison"]["detectors"], model.comparison.detectors
    assert {name: entry.auroc.value for name, entry in now.items()} == {
        name: entry["auroc"]["value"] for name, entry in before.items()
    }


def test_its_tables_open_as_data_frames(folder: Path):
    (model,) = read_results(folder).models.values()
    rows = model.rows
    assert (rows["behaviour"] == "reliant").sum() == 22
    assert len(model.table("rollouts")) == 240
    assert len(model.table("cells")) > 0


def test_a_page_is_made_of_it(folder: Path):
    text = page_text(folder)
    (line,) = (line for line in text.splitlines() if line.startswith("| unhinted |"))
    assert line.startswith("| unhinted | 60 | 100% | 0% | 100% |")
    run = read_run(folder / "summary.json")
    records = run.records(run.summary.models[0])
    asked = {item.id: item.question.gold for item in records.items.values()}
    plain = [rollout for rollout in records.rollouts.values() if rollout.condition == "unhinted"]
    assert line.endswith(f"| {sum(r.answer == asked[r.item_id] for r in plain) / 60:.0%} |")
    assert "| all kinds | incorrect | 30 |" in text
    assert "| sycophancy | correct |" in text
    assert "Why 0 of 60 rows have no clear label" in text


def test_commands_list_show_and_report_it(folder: Path, capsys, monkeypatch):
    status, out, _ = hintprobe(capsys, monkeypatch, "ls", folder.parent)
    assert status == 0
    assert "old" in out
    status, out, _ = hintprobe(capsys, monkeypatch, "show", folder, "hana-knox-around:sycophancy:incorrect:1")
    assert status == 0
    assert "I asked a close friend" in out
    status, out, _ = hintprobe(capsys, monkeypatch, "report", folder, "--format", "md")
    assert status == 0
    assert "of 60 hinted rollouts, 22 relied on the hint" in out
    status, _, _ = hintprobe(capsys, monkeypatch, "report", folder)
    assert status == 0
    assert (folder / "report.html").stat().st_size > 100_000
