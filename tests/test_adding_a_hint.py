"""The page on adding a kind of hint, followed to the letter: one file, one line, and a run asks the new kind."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from activations.errors import HintprobeError
from experiments.config import Config
from experiments.hints import HINTS
from experiments.pipeline import check_names, run_pipeline
from experiments.run.progress import Reporter

PAGE = (Path(__file__).parents[1] / "docs" / "adding_a_hint.md").read_text(encoding="utf-8")


@pytest.fixture
def note(tmp_path, monkeypatch):
    """The page's file as a module of its name, and the page's line in the registry, for one test."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (name, path) = re.search(r'"(\w+)": "([\w.:]+)",', PAGE).groups()
    module = path.partition(":")[0]
    file = tmp_path / "note.py"
    file.write_text(code)
    spec = importlib.util.spec_from_file_location(module, file)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    monkeypatch.setitem(sys.modules, module, loaded)
    monkeypatch.setitem(HINTS._entries, name, path)
    return name


def test_the_page_adds_a_kind_that_a_run_asks(note, tiny_folder, tmp_path):
    questions = tmp_path / "q.jsonl"
    rows = [
        {"id": str(k), "stem": f"Which one is number {k}?", "options": ["x", "y", "z"], "gold": "A"} for k in range(4)
    ]
    questions.write_text("\n".join(map(json.dumps, rows)))
    config = Config.model_validate({
        "name": "note", "models": [str(tiny_folder("llama"))], "cache": tmp_path / "cache",
        "questions": {"source": str(questions)}, "hints": {"kinds": [note]}, "generate": {"max_new_tokens": 8},
    })  # fmt: skip
    run_pipeline(config, Reporter(None), until="judge")
    (table,) = config.run_dir.glob("*/generate-*/rollouts.jsonl")
    hinted = [row for row in map(json.loads, table.read_text().splitlines()) if row["condition"] == "hinted"]
    assert hinted
    for row in hinted:
        span = row["prompt"]["spans"]["hint"]
        said = row["prompt"]["messages"][span["message"]]["content"][span["start"] : span["end"]]
        assert re.fullmatch(r"The (librarian|neighbour) left a note: \([A-C]\)\.", said)
    (labels,) = config.run_dir.glob("*/judge-*/labels.jsonl")
    assert {json.loads(line)["kind"] for line in labels.read_text().splitlines()} == {note}


def test_without_its_line_the_kind_is_refused_by_name():
    config = Config.model_validate({"name": "n", "models": ["m"], "hints": {"kinds": ["note"]}})
    with pytest.raises(HintprobeError, match="There is no kind of hint 'note'"):
        check_names(config)
