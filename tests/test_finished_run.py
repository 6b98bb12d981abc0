"""A finished run: what reads it loads no library of models or statistics, no page is drawn twice, and it exports."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from report_run import make_run
from safetensors.torch import load_file
from small_run import SMALL
from test_cli import hintprobe

from activations.export import NAMES
from experiments.config import Config
from experiments.pipeline import run_pipeline
from experiments.records.files import read_json, signed, write_json
from experiments.report import PAGE, current, page
from experiments.report.results import read_results
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


COLUMNS = [
    "rollout_id", "position", "item_id", "question_id", "group", "condition", "index", "kind", "direction", "target",
    "answer", "behaviour", "reliance", "verbalized",
]  # fmt: skip


@pytest.fixture
def exported(finished, tmp_path, capsys, monkeypatch):
    """Exports the run's activations: ``exported(*options)`` gives the folder, and status and complaint."""
    config, _ = finished
    (part,) = (path.name for path in config.store_dir.iterdir())

    def export(*options):
        command = ["cache", "export", part, tmp_path / "out", "--store", config.store_dir]
        status, _, err = hintprobe(capsys, monkeypatch, *command, "--run", config.run_dir, *options)
        return tmp_path / "out", status, err

    return export


def told_as_the_records_have_it(finished, frame, values):
    """Every captured rollout and position once, each with its own activation and its item's label."""
    results = read_results(finished[0].run_dir)["organism:unfaithful"]
    records = results.run.records(results.summary)
    expected = {(name, position) for name, row in records.positions.items() for position in row.tokens}
    assert set(zip(frame["rollout_id"], frame["position"], strict=True)) == expected
    assert len(frame) == len(expected)
    for condition in ("hinted", "unhinted"):
        own, rows = results.activations("resid_post.1", "prompt_end", condition)
        here = ((frame["condition"] == condition) & (frame["position"] == "prompt_end")).to_numpy()
        ids = [name if condition == "hinted" else records.partner(name, condition).id for name in rows.index]
        place = {name: k for k, name in enumerate(frame[here]["rollout_id"])}
        order = [place[name] for name in ids]
        assert np.array_equal(values[here][order], own)
        assert list(frame[here].iloc[order]["behaviour"]) == list(rows["behaviour"])
        assert list(frame[here].iloc[order]["item_id"]) == list(rows["item_id"])


def test_an_export_to_safetensors_names_its_lines(finished, exported):
    out, status, _ = exported("--site", "resid_post.1")
    assert status == 0
    frame = pd.read_csv(out / NAMES)
    assert list(frame.columns) == ["file", "line", *COLUMNS]
    values = np.empty((len(frame), load_file(out / frame["file"][0])["resid_post.1"].shape[1]), dtype=np.float32)
    for name, rows in frame.groupby("file"):
        values[rows.index] = load_file(out / name)["resid_post.1"].float().numpy()[rows["line"]]
    told_as_the_records_have_it(finished, frame, values)


def test_an_export_to_parquet_has_names_and_labels_beside_the_values(finished, exported):
    out, status, _ = exported("--format", "parquet")
    assert status == 0
    frame = pd.read_parquet(out)
    assert list(frame.columns)[2 : 2 + len(COLUMNS)] == COLUMNS
    told_as_the_records_have_it(finished, frame, np.stack(frame["resid_post.1"]))


def test_an_export_of_another_model_s_run_is_refused(exported, tmp_path):
    _, status, err = exported("--model", "organism:blind")
    assert status == 2
    assert "captured nothing of organism:blind" in err
    assert not (tmp_path / "out").exists()


def test_an_earlier_stage_alone_loses_nothing_of_what_is_finished(finished):
    config, _ = finished
    run_pipeline(config)
    run_pipeline(config, until="judge")
    (model,) = read_run(config.run_dir).summary.models
    assert model.missing_stages == ()
    assert model.comparison is not None
    run_pipeline(config.model_copy(update={"seed": 5}), until="judge")
    (model,) = read_run(config.run_dir).summary.models
    assert "compare" in model.missing_stages
    run_pipeline(config)
