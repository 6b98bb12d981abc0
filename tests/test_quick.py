"""What only reads records starts at once: no library of models or statistics is loaded, and no page drawn twice."""

import json
import subprocess
import sys

import pytest
from report_run import make_run
from small_run import SMALL

from experiments.config import Config
from experiments.pipeline import run_pipeline
from experiments.records.files import read_json, signed, write_json
from experiments.report import PAGE, current, page
from experiments.report.runs import read_run

HEAVY = ("torch", "transformers", "sklearn", "scipy", "pandas", "matplotlib")
_CODE = f"""
import contextlib, json, os, sys
import hintprobe
for command in json.loads(sys.argv.pop()):
    sys.argv[1:] = command
    with contextlib.redirect_stdout(open(os.devnull, "w")):
        try:
            hintprobe.main()
        except SystemExit as stop:
            assert not stop.code, (command, stop.code)
    print(*command[:1], *(name for name in {HEAVY} if name in sys.modules))
"""


def loaded_by(*commands):
    """Per command, in one process: the heavy libraries that are loaded once it has ended."""
    given = json.dumps([list(map(str, command)) for command in commands])
    done = subprocess.run([sys.executable, "-c", _CODE, given], check=True, capture_output=True, text=True)
    return {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run without probes that has finished, and what it was made with."""
    cache = tmp_path_factory.mktemp("cache")
    config = Config.model_validate(
        {**SMALL, "name": "quick", "cache": cache, "questions": {"source": "organism-world", "limit": 6},
         "skip": ["patch", "mediate", "directions"]}
    )  # fmt: skip
    run_pipeline(config)
    path = cache / "quick.yaml"
    path.write_text(json.dumps(config.model_dump(mode="json")))
    return config, path


def test_commands_that_read_records_load_no_heavy_library(tmp_path):
    make_run(tmp_path / "run", 4)
    found = loaded_by(
        ["--help"], ["ls", tmp_path], ["show", tmp_path / "run"], ["report", tmp_path / "run", "--format", "md"]
    )
    assert found == {"--help": [], "ls": [], "show": [], "report": []}


def test_a_finished_run_loads_no_heavy_library_and_one_with_work_left_does(finished):
    config, path = finished
    assert loaded_by(["run", path]) == {"run": []}
    other = ["generate", path, "--set", "questions.limit=2", "--set", f"cache={config.cache}/other"]
    assert "torch" in loaded_by(other)["generate"]


@pytest.fixture
def drawn(monkeypatch):
    """How often the page was drawn."""
    calls, inner = [], page.render
    monkeypatch.setattr(page, "render", lambda *given: calls.append(1) or inner(*given))
    return calls


def test_the_page_of_a_finished_run_is_not_drawn_again(finished, drawn):
    config, _ = finished
    before = (config.run_dir / PAGE).read_bytes()
    run_pipeline(config)
    assert not drawn
    assert (config.run_dir / PAGE).read_bytes() == before


def test_a_page_that_was_changed_or_is_gone_is_drawn_again(finished, drawn):
    config, _ = finished
    whole = (config.run_dir / PAGE).read_bytes()
    for harm in (lambda path: path.write_bytes(whole[:-1]), lambda path: path.unlink()):
        harm(config.run_dir / PAGE)
        run_pipeline(config)
        assert drawn == [1]
        drawn.clear()
        assert (config.run_dir / PAGE).read_bytes() == whole


def test_the_page_is_drawn_again_where_anything_differs_that_it_shows(finished, drawn, monkeypatch, tmp_path):
    config, _ = finished
    run = read_run(config.run_dir)
    contents = {model.folder: {"judge": "as it was"} for model in run.summary.models}

    def refreshed():
        current.refresh_report(read_run(config.run_dir), contents)
        return bool(drawn and drawn.pop())

    refreshed()
    assert not refreshed()
    contents[next(iter(contents))]["judge"] = "a table with another row"
    assert [refreshed(), refreshed()] == [True, False]
    summary = read_json(config.run_dir / "summary.json")
    summary["models"][0]["stages"]["judge"]["fresh"] ^= True  # of the command, not of the result
    write_json(config.run_dir / "summary.json", signed(summary))
    assert not refreshed()
    summary["models"][0]["stages"]["judge"]["seconds"] += 1
    write_json(config.run_dir / "summary.json", signed(summary))
    assert [refreshed(), refreshed()] == [True, False]
    monkeypatch.setattr(current, "_HERE", tmp_path)
    (tmp_path / "page.html").write_text("another template")
    assert [refreshed(), refreshed()] == [True, False]


def test_a_table_that_was_made_again_with_another_row_is_seen(finished, drawn):
    """Through the whole run: other rules for labels give another table, and so another page."""
    config, _ = finished
    run_pipeline(config)
    drawn.clear()
    run_pipeline(config.model_copy(update={"labels": config.labels.model_copy(update={"epsilon": 0.25})}))
    assert drawn
