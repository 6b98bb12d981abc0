"""The page on adding a judge, followed to the letter: its file and its line make a judge that the command knows."""

import json
import re
import sys
from pathlib import Path

import pytest
from test_cli import hintprobe

from activations.errors import HintprobeError
from experiments.judges import registry
from experiments.records import Verdict

PAGE = Path(__file__).parent.parent / "docs" / "adding_a_judge.md"


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: hintprobe(capsys, monkeypatch, *arguments)


ROW = {"kind": "metadata", "target": "B", "prompt": "Which?", "answer_text": "The answer is (B)."}


def test_the_pages_file_and_line_add_a_judge(tmp_path, monkeypatch, cli):
    file, line = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "letter_judge.py").write_text(file)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry.BUILT_IN, "_entries", dict(registry.BUILT_IN._entries))
    exec(line, {})
    rows = [{**ROW, "id": "1", "cot": "The block names (B)."}, {**ROW, "id": "2", "cot": "Moons."}, {**ROW, "id": "3"}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    code, _, _ = cli("judge", tmp_path / "t.jsonl", "--judge", "letter", "-o", tmp_path / "v.jsonl")
    sys.modules.pop("letter_judge", None)
    assert code == 0
    text = (tmp_path / "v.jsonl").read_text()
    found = {v.rollout_id: v for v in map(Verdict.model_validate_json, text.splitlines())}
    assert [found[name].mentions for name in "123"] == [True, False, None]
    assert found["3"].status == "nothing_to_judge"


def test_a_judge_that_no_line_names_is_refused():
    with pytest.raises(HintprobeError, match="lexical"):
        registry.check_judges(["letter"], {})
