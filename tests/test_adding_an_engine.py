"""The page on adding an engine, followed to the letter: one file, one line, and a run asks it."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from activations.errors import HintprobeError
from experiments.config import Config
from experiments.engines.registry import ENGINES
from experiments.pipeline import check_names, run_pipeline
from experiments.run.progress import Reporter

PAGE = (Path(__file__).parents[1] / "docs" / "adding_an_engine.md").read_text(encoding="utf-8")


def test_the_page_adds_an_engine_that_a_run_asks(tiny_folder, tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    name, path = re.search(r'"(\w+)": "([\w.:]+)",', PAGE).groups()
    file = tmp_path / "echo.py"
    file.write_text(code)
    module = path.partition(":")[0]
    spec = importlib.util.spec_from_file_location(module, file)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    monkeypatch.setitem(sys.modules, module, loaded)
    monkeypatch.setitem(ENGINES._entries, name, path)
    config = Config.model_validate({
        "name": "echo", "models": [str(tiny_folder("llama"))], "cache": tmp_path / "cache", "questions": {"limit": 4},
        "generate": {"engine": name},
    })  # fmt: skip
    run_pipeline(config, Reporter(None), until="generate")
    (table,) = config.run_dir.glob("*/generate-*/rollouts.jsonl")
    rollouts = [json.loads(line) for line in table.read_text().splitlines()]
    assert rollouts
    assert all(r["completion_ids"] == r["prompt_ids"][-4:] for r in rollouts)
    (marker,) = config.run_dir.glob("*/generate-*/done.json")
    assert json.loads(marker.read_text())["account"]["engine"] == {"engine": "echo"}


def test_an_unknown_engine_is_refused_by_name():
    config = Config.model_validate({"name": "n", "models": ["m"], "generate": {"engine": "ech"}})
    with pytest.raises(HintprobeError, match="There is no engine 'ech'"):
        check_names(config)
