"""The benchmark of the report's page, and its picture: as many rollouts as asked for; no browser is said so."""

import pytest
from report_run import make_run

from activations import HintprobeError
from experiments.benchmarks import report_page
from experiments.report import screenshot
from experiments.report.browser import entries_of


def test_a_run_is_enlarged_to_as_many_rollouts(tmp_path):
    run = make_run(tmp_path / "small", 12)
    large = report_page.enlarge(run, tmp_path / "large", 40)
    entries = entries_of(large, large.summary.models[0], "show")
    assert len({entry["id"] for entry in entries}) == 40
    assert {len(entry["runs"]) for entry in entries} == {2}  # hinted, and its own unhinted run
    assert {entry["verdict"] for entry in entries} == {"admits", "silent"}
    before = entries_of(run, run.summary.models[0], "show")
    assert entries[:12] == before  # the first copy is the run itself
    assert len(before) == 12


def test_distinct_copies_have_texts_of_their_own(tmp_path):
    run = make_run(tmp_path / "small", 6)
    large = report_page.enlarge(run, tmp_path / "large", 30, distinct=True)
    entries = entries_of(large, large.summary.models[0], "show")
    assert len({entry["runs"][0]["completion"][0] for entry in entries}) == 30


def test_without_a_browser_what_is_missing_is_said(tmp_path, capsys, monkeypatch):
    make_run(tmp_path, 6)
    monkeypatch.setattr(report_page, "chromium", lambda: None)
    report_page.main([str(tmp_path), "--items", "20"])
    out = capsys.readouterr().out
    assert out.startswith("20 items: written in ")
    assert "In a browser: not measured" in out


def test_a_run_that_is_not_there_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        report_page.main([str(tmp_path / "none")])
    assert stopped.value.code == 2
    assert "There is no run in" in capsys.readouterr().err
    run = make_run(tmp_path / "run", 6)
    del run.summary.models[0].stages["judge"]
    with pytest.raises(HintprobeError, match="no judged rollouts"):
        report_page.enlarge(run, tmp_path / "large", 10)


@pytest.mark.skipif(report_page.chromium() is None, reason="no Chromium, or playwright is not installed")
def test_times_are_measured_in_a_browser(tmp_path):
    found = report_page.run(make_run(tmp_path, 12), 200, 2, report_page.chromium())["milliseconds"]
    assert list(found) == ["first_paint", "items_ready", "filter_by_kind", "first_search", "next_search"]
    assert all(value > 0 for value in found.values())


@pytest.mark.skipif(report_page.chromium() is None, reason="no Chromium, or playwright is not installed")
def test_the_picture_of_the_readme_is_taken(tmp_path):
    make_run(tmp_path, 9)
    screenshot.main([str(tmp_path), "-o", str(tmp_path / "top.png")])
    assert (tmp_path / "top.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_browser_no_picture_is_taken(tmp_path, capsys, monkeypatch):
    make_run(tmp_path, 9)
    monkeypatch.setattr(screenshot, "BROWSERS", ("no-such-browser",))
    with pytest.raises(SystemExit) as stopped:
        screenshot.main([str(tmp_path), "-o", str(tmp_path / "top.png")])
    assert stopped.value.code == 2
    assert "needs Chromium" in capsys.readouterr().err
    assert not (tmp_path / "top.png").exists()
