"""Runs listed, one item shown, and a run that only says what it would do."""

import json

import pytest
from report_run import make_run
from report_summary import model_summary, run_summary
from test_cli import hintprobe

from experiments.records.files import signed
from experiments.report.results import read_results


@pytest.fixture
def runs(tmp_path):
    make_run(tmp_path / "runs" / "one", 18)
    (tmp_path / "runs" / "begun").mkdir()
    return tmp_path / "runs"


def test_runs_are_listed_with_their_state(runs, capsys, monkeypatch):
    code, out, _ = hintprobe(capsys, monkeypatch, "ls", runs)
    assert code == 0
    assert "begun\n  no stage is finished" in out
    assert "organism:unfaithful: finished" in out
    _, out, _ = hintprobe(capsys, monkeypatch, "ls", runs, "--json")
    assert [entry["name"] for entry in json.loads(out)] == ["begun", "demo"]
    assert hintprobe(capsys, monkeypatch, "ls", runs / "none")[0] == 2


def test_a_stopped_run_says_what_is_missing(runs, capsys, monkeypatch):
    model = model_summary() | {"comparison": None, "missing_stages": ["compare"]}
    (runs / "begun" / "summary.json").write_text(json.dumps(signed(run_summary(model))))
    _, out, _ = hintprobe(capsys, monkeypatch, "ls", runs)
    assert "missing: compare" in out


def test_an_item_is_shown_whole_and_the_silent_one_first(runs, capsys, monkeypatch):
    code, out, _ = hintprobe(capsys, monkeypatch, "show", runs / "one")
    assert code == 0
    labels = read_results(runs / "one")["organism:unfaithful"].rows
    silent = labels[(labels["behaviour"] == "reliant") & ~labels["verbalized"]]["item_id"]
    assert out.startswith(silent.iloc[0])
    for part in ("Asked, with the hint", "A professor says (B).", "I recall it.", "does not admit the hint", "reliant"):
        assert part in out
    code, _, err = hintprobe(capsys, monkeypatch, "show", runs / "one", "q3")
    assert code == 2
    assert "Did you mean q3:sycophancy" in err
    _, out, _ = hintprobe(capsys, monkeypatch, "show", runs / "one", "--list")
    assert len(out.splitlines()) == 18


def test_a_dry_run_runs_nothing(tmp_path, capsys, monkeypatch):
    code, out, _ = hintprobe(capsys, monkeypatch, "run", "demo", "--cache", tmp_path, "--dry-run")
    assert code == 0
    assert "generate   would run" in out
    assert "mediate    left out" in out
    assert list(tmp_path.iterdir()) == []


def test_results_print_in_brief(runs):
    found = read_results(runs / "one")
    assert len(repr(found)) < 4000
    assert "relied on the hint" in repr(found)
