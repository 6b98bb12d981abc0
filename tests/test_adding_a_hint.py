"""The page on adding a kind of hint, followed to the letter: one file, one line, and a run asks the new kind."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
from test_chat_styles import tokenizer_of

from activations.errors import HintprobeError
from experiments.config import Config
from experiments.hints import HINTS
from experiments.pipeline import check_names
from experiments.prompts.items import choose_targets, plan_items
from experiments.prompts.writing import PromptWriter
from experiments.records import Question

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


def test_the_page_adds_a_kind_that_a_run_asks(note):
    config = Config.model_validate({"name": "n", "models": ["m"], "hints": {"kinds": [note]}})
    check_names(config)
    asked = [
        Question(
            id=str(k), stem=f"Which is number {k}?", options=("x", "y", "z"), gold="A", subject="s", source="mine",
            group=str(k),
        )
        for k in range(6)
    ]  # fmt: skip
    items = [choose_targets(item, ["B"], None, 0) for item in plan_items(asked, config.hints, 0)]
    writer = PromptWriter(tokenizer_of("byte-level", "llama3"), {}, "", "")
    for item in items:
        chosen, prompts = writer.hinted_set(item, ["B"])
        assert chosen.kind == note
        assert prompts.keys() >= {"hinted", "swapped", "neutral"}
        prompt = prompts["hinted"].prompt
        span = prompt.spans["hint"]
        said = prompt.messages[span.message].content[span.start : span.end]
        assert said == f"The {item.source} left a note: ({item.target})."
        assert f"({item.target})" in prompts["hinted"].rendered.encoded.text
        assert HINTS[note].cite.format(source=item.source) == f"the {item.source}"


def test_without_its_line_the_kind_is_refused_by_name():
    config = Config.model_validate({"name": "n", "models": ["m"], "hints": {"kinds": ["note"]}})
    with pytest.raises(HintprobeError, match="There is no kind of hint 'note'"):
        check_names(config)
