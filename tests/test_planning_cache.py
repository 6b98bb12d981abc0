"""What ``hintprobe plan`` says of the cache is what the next run then finds there."""

import json
from pathlib import Path

import pytest
import yaml
from test_cli import hintprobe

from experiments.config.file import load_config
from experiments.pipeline import run_pipeline
from experiments.planning.plan import Assumptions, plan_run
from experiments.records.stages import rollouts_table

QUESTIONS, LAYERS = 12, 4


@pytest.fixture
def config_file(tmp_path, tiny_folder):
    content = {
        "name": "t",
        "models": [str(tiny_folder("qwen3"))],
        "cache": str(tmp_path / "c"),
        "questions": {"limit": QUESTIONS},
        "hints": {"kinds": ["sycophancy", "metadata"]},
        "generate": {"max_new_tokens": 4},
        "capture": {"positions": ["prompt_end", "hint_end"]},
    }
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def cached(path, *settings):
    (plan,) = plan_run(load_config(path, settings), Assumptions())
    return plan


def snapshot(folder: Path):
    return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")}


def test_a_plan_follows_the_run_from_nothing_to_all(config_file, tmp_path, monkeypatch):
    before = cached(config_file)
    assert not (tmp_path / "c").exists()
    assert set(before["cached"]["stages"].values()) == {False}
    assert before["cached"]["rollouts"] == {"present": 0, "missing": 4 * QUESTIONS}
    assert before["seconds_left"] == before["seconds"]

    run_pipeline(load_config(config_file), until="generate")
    monkeypatch.setattr("activations.models._load_weights", None)  # a plan must not need it
    disk = snapshot(tmp_path / "c")
    generated = cached(config_file)
    assert snapshot(tmp_path / "c") == disk
    assert generated["cached"]["stages"]["generate"]
    assert not generated["cached"]["stages"]["judge"]
    assert generated["cached"]["rollouts"] == {"present": 4 * QUESTIONS, "missing": 0}
    told = generated["cached"]["activations"]
    assert told["counted"]
    assert told["rows"]["present"] == told["positions"]["present"] == told["bytes"]["present"] == 0
    # Two positions in each hinted run; the unhinted prompt has no hint.
    assert told["positions"]["missing"] == 3 * QUESTIONS
    assert told["bytes"]["missing"] == told["positions"]["missing"] * (LAYERS + 1) * 64 * 4
    assert generated["seconds_left"]["generate"] == 0
    monkeypatch.undo()

    run_pipeline(load_config(config_file), until="capture")
    done = cached(config_file)["cached"]
    assert [name for name, there in done["stages"].items() if there] == ["generate", "judge", "capture"]
    assert done["activations"]["rows"]["missing"] == 0
    assert before["cached"]["labels"] is None
    assert set(done["labels"]) == {"reliant", "aligned"}
    assert done["activations"]["bytes"] == {"present": told["bytes"]["missing"], "missing": 0}


def test_labels_that_are_there_take_the_place_of_expectations(config_file, capsys, monkeypatch):
    run_pipeline(load_config(config_file), until="judge")
    told = cached(config_file)["cached"]["labels"]
    _, out, _ = hintprobe(capsys, monkeypatch, "plan", config_file)
    text = " ".join(out.split())
    assert f"Labelled already: {told['reliant']} reliant and {told['aligned']} aligned rows" in text
    assert "so these are too few" in text


def test_another_position_lacks_exactly_what_the_run_then_writes(config_file):
    run_pipeline(load_config(config_file), until="capture")
    wider = "capture.positions=[prompt_end, hint_end, question_end]"
    told = cached(config_file, wider)["cached"]
    assert told["stages"]["generate"]
    assert not told["stages"]["capture"]
    held = told["activations"]
    assert held["positions"]["present"] == 3 * QUESTIONS
    assert held["rows"]["present"] == 0  # each row has to be run again for its new position
    config = load_config(config_file, [wider])
    run_pipeline(config, until="capture")
    (marker,) = (p for p in config.run_dir.glob("*/capture-*/done.json") if "question_end" in str(_config(p)))
    account = json.loads(marker.read_text())["account"]
    assert account["written"] == held["positions"]["missing"] > 0
    assert account["reused"] == account["positions"] - account["written"] == held["positions"]["present"]


def _config(marker):
    return json.loads(marker.read_text())["provenance"]["config"]["capture"]


def test_a_generation_that_was_stopped_counts_whole_lines(config_file, capsys, monkeypatch):
    config = load_config(config_file)
    run_pipeline(config, until="generate")
    (folder,) = config.run_dir.glob("*/generate-*")
    (folder / "done.json").unlink()
    table = rollouts_table(folder).path
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:20]) + lines[20][:30])
    status, out, _ = hintprobe(capsys, monkeypatch, "plan", config_file, "--json")
    assert status == 0
    (plan,) = json.loads(out)["models"]
    assert plan["cached"]["rollouts"] == {"present": 20, "missing": 4 * QUESTIONS - 20}
    assert not plan["cached"]["stages"]["generate"]
    assert not plan["cached"]["activations"]["counted"]
    assert table.read_text().endswith(lines[20][:30])  # nothing was repaired in passing
    status, out, _ = hintprobe(capsys, monkeypatch, "plan", config_file)
    assert "rollouts: 20 there, 28 missing" in " ".join(out.split())


def test_a_store_that_lost_its_shards_is_noticed(config_file):
    config = load_config(config_file)
    run_pipeline(config, until="capture")
    for shard in config.store_dir.glob("*/*.h5"):
        shard.unlink()
    told = cached(config_file)["cached"]
    assert not told["stages"]["capture"]
    assert told["activations"]["rows"]["present"] == 0


def test_another_seed_or_another_cache_has_nothing(config_file, tmp_path):
    run_pipeline(load_config(config_file), until="generate")
    assert cached(config_file, "seed=7")["cached"]["rollouts"]["present"] == 0
    assert cached(config_file, f"cache={tmp_path / 'other'}")["cached"]["rollouts"]["present"] == 0


def test_an_unknown_judge_is_refused_before_the_run(config_file, capsys, monkeypatch):
    status, _, err = hintprobe(capsys, monkeypatch, "plan", config_file, "--set", "judge.judges=[oracle]")
    assert status == 2
    assert "no judge named 'oracle'" in err
