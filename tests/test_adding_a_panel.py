"""The page on adding a panel, followed to the letter: one file, one line, and the report shows it."""

import importlib.util
import re
import sys
from collections import Counter
from pathlib import Path

from report_run import make_run

from experiments.report.page import render
from experiments.report.panels import PANELS

PAGE = (Path(__file__).parents[1] / "docs" / "adding_a_panel.md").read_text(encoding="utf-8")


def test_the_page_adds_a_panel_to_the_report(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", 12)
    assert "Which letters were answered" not in render([run])
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    name, path = re.search(r'"(\w+)": "([\w.:]+)",', PAGE).groups()
    file = tmp_path / "letters.py"
    file.write_text(code)
    module = path.partition(":")[0]
    spec = importlib.util.spec_from_file_location(module, file)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    monkeypatch.setitem(sys.modules, module, loaded)
    monkeypatch.setitem(PANELS._entries, name, path)
    html = render([run])
    counts = Counter(label.hinted_answer for label in run.records(run.summary.models[0]).labels.values())
    assert counts
    for letter, n in counts.items():
        assert f"<li>{letter}: {n}</li>" in html
    assert html.count(f'id="model-1-{name}"') == html.count(f'href="#model-1-{name}"') == 1
