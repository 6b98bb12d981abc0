"""Several processes share the rows of a capture; together they make what one would have made."""

import json
from pathlib import Path

import pytest
import torch
from conftest import TinyFolder
from typer.testing import CliRunner

from activations import ActivationStore, HintprobeError, Part
from experiments.cli import app
from experiments.config import Config
from experiments.pipeline import run_pipeline
from experiments.records import Rollout
from experiments.records.stages import positions_table
from experiments.run.model_run import ModelRun
from experiments.run.progress import Reporter
from experiments.stages.capture import Placed, place

SILENT = Reporter(None)


def config(folder: Path, cache: Path) -> Config:
    small = {
        "questions": {"limit": 36},
        "generate": {"max_new_tokens": 1},
        "capture": {"positions": ["hint_end", "prompt_end", "cot_0.5"], "token_budget": 400},
    }
    return Config.model_validate({"name": "t", "models": [str(folder)], "cache": cache, "dtype": "float32", **small})


def captured(run: Config) -> dict[str, torch.Tensor]:
    """Every site at every position, by name."""
    (folder,) = run.run_dir.glob("*/capture-*")
    account = json.loads((folder / "done.json").read_text())["account"]
    store = ActivationStore(run.store_dir).named(account["store"])
    rows = positions_table(folder).read()
    return {
        f"{site}@{name}": store.read(
            site, [(bytes.fromhex(r.row_hash), r.tokens[name]) for r in rows if name in r.tokens]
        )
        for site in store.sites
        for name in ("hint_end", "prompt_end")
    }


def done(run: Config) -> list[Path]:
    return list(run.run_dir.glob("*/capture-*/done.json"))


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several units of very few rows."""
    monkeypatch.setattr("experiments.run.parts._FINE", 3.0)


@pytest.fixture
def folder(tiny_folder: TinyFolder) -> Path:
    return tiny_folder("llama")


def test_the_last_part_finishes_the_stage_and_all_is_as_if_done_at_once(folder: Path, tmp_path: Path):
    whole, parts = config(folder, tmp_path / "whole"), config(folder, tmp_path / "parts")
    run_pipeline(whole, SILENT, "capture")
    run_pipeline(parts, SILENT, "judge")
    for index in (2, 0):
        run_pipeline(parts, SILENT, "capture", Part(index, 3))
        assert not done(parts)
    run_pipeline(parts, SILENT, "capture", Part(1, 3))
    assert len(done(parts)) == 1
    expected, found = captured(whole), captured(parts)
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        assert torch.equal(found[name], values), "units share forwards as they do in one process"
    assert not list(parts.run_dir.glob("*/parts/*")), "what is joined is kept once"


def test_a_part_looks_for_the_positions_of_its_own_rows_only(folder: Path, tmp_path: Path, monkeypatch):
    """Each of 256 parts of a large run used to look for those of all rows."""
    run = config(folder, tmp_path)
    run_pipeline(run, SILENT, "judge")
    placed: list[str] = []

    def counting(of: ModelRun, rollout: Rollout) -> Placed:
        placed.append(rollout.id)
        return place(of, rollout)

    monkeypatch.setattr("experiments.stages.work.capture.place", counting)
    counts = []
    for index in range(3):
        run_pipeline(run, SILENT, "capture", Part(index, 3))
        counts.append(len(placed))
    (kept,) = run.run_dir.glob("*/capture-*")
    assert 0 < counts[0] < counts[1] < counts[2]
    assert sorted(placed) == sorted(row.rollout_id for row in positions_table(kept).read())


def test_parts_of_an_earlier_version_that_kept_no_positions_are_joined(folder: Path, tmp_path: Path, monkeypatch):
    whole, parts = config(folder, tmp_path / "whole"), config(folder, tmp_path / "parts")
    run_pipeline(whole, SILENT, "capture")
    run_pipeline(parts, SILENT, "judge")
    with monkeypatch.context() as earlier:
        (tmp_path / "elsewhere").mkdir()
        elsewhere = positions_table(tmp_path / "elsewhere")
        earlier.setattr("experiments.stages.work.capture.positions_table", lambda folder: elsewhere)
        run_pipeline(parts, SILENT, "capture", Part(0, 2))
    run_pipeline(parts, SILENT, "capture", Part(1, 2))
    tables = [positions_table(next(run.run_dir.glob("*/capture-*"))).path.read_bytes() for run in (whole, parts)]
    assert tables[0] == tables[1]


def test_a_part_does_not_run_the_stages_before(folder: Path, tmp_path: Path):
    with pytest.raises(HintprobeError, match=r"stage generate of .* is not finished.*hintprobe generate CONFIG"):
        run_pipeline(config(folder, tmp_path), SILENT, "capture", Part(0, 2))


def test_shards_that_were_moved_aside_are_captured_again(folder: Path, tmp_path: Path):
    run = config(folder, tmp_path)
    run_pipeline(run, SILENT, "capture")
    before = captured(run)
    shard = min(run.store_dir.glob("*/*.h5"))
    shard.write_bytes(shard.read_bytes()[:-50])
    with pytest.raises(HintprobeError, match=rf"{shard.name} is damaged.*hintprobe cache repair"):
        run_pipeline(run, SILENT, "capture")
    assert CliRunner().invoke(app, ["cache", "repair", str(run.store_dir)]).exit_code == 0
    run_pipeline(run, SILENT, "capture")
    assert all(torch.equal(values, before[name]) for name, values in captured(run).items())


def test_parts_are_read_from_words_and_from_torchrun():
    assert Part.parse("1/4") == Part(1, 4)
    assert str(Part(1, 4)) == "1/4"
    assert Part.from_environment({}) is None
    assert Part.from_environment({"RANK": "3", "WORLD_SIZE": "4"}) == Part(3, 4)
    for text in ("4/4", "1", "-1/4", "a/b", "1/4/2", "", "0/1000000", f"0/{9:05000}", "٣/٤"):
        with pytest.raises(HintprobeError, match="is not a valid part"):
            Part.parse(text)
    with pytest.raises(HintprobeError, match="is not a valid part"):
        Part.from_environment({"RANK": "1"})


def test_the_command_takes_a_part(folder: Path, tmp_path: Path):
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(config(folder, tmp_path / "cache").model_dump(mode="json")))
    refused = CliRunner().invoke(app, ["capture", str(path), "--shard", "2/2"])
    assert "'2/2' is not a valid part" in str(refused.exception)
    early = CliRunner().invoke(app, ["capture", str(path)], env={"RANK": "0", "WORLD_SIZE": "2"})
    assert "a part of another stage (0/2) does not run it" in str(early.exception)
