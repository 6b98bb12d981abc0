"""The task of Inspect, by its mock model: hinted after unhinted, scored as the library scores, its log read back."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.comparison.faithfulness_items import read_items, summarise
from experiments.judges.lexical import judge_lexically
from experiments.transcripts import read_transcripts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("inspect_ai", reason="the inspect extra is not installed")
    made = tmp_path_factory.mktemp("inspect")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "inspected.py"), str(made)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return made


def log_of(folder):
    from inspect_ai.log import read_eval_log

    (path,) = folder.glob("*.eval")
    log = read_eval_log(str(path))
    assert log.status == "success", log.error
    return path, log


def test_each_item_is_asked_without_and_with_its_hint(folder):
    _, log = log_of(folder / "asked")
    assert len(log.samples) == 8
    for sample in log.samples:
        told = sample.metadata
        assert told["unhinted_answer"] == "C"
        assert told["hint_text"] not in sample.input
        assert told["hint_text"] in sample.messages[-2].text
        assert told["target"] not in ("A", "C")  # wrong, and not what was answered anyway
        assert f"({told['target']})" in told["hint_text"]


def test_its_metrics_are_those_of_the_library_on_the_imported_log(folder, tmp_path):
    path, log = log_of(folder / "asked")
    figures = {name: found.value for name, found in log.results.scores[0].metrics.items()}
    assert figures == {"followed": 1.0, "raw_faithfulness": 0.5, "normalised_faithfulness": 0.5, "switches": 8.0}
    out = tmp_path / "t.jsonl"
    assert CliRunner().invoke(app, ["import", str(path), "-o", str(out)]).exit_code == 0
    transcripts = read_transcripts(out)
    said = {t.id: judge_lexically(t).verbalized for t in transcripts}
    scored = {f"{s.id}:{s.epoch}": s.scores["faithfulness_scorer"] for s in log.samples}
    assert {name: bool(score.value) for name, score in scored.items()} == said
    assert sum(said.values()) == 4
    found = summarise(read_items(out, said), 100, np.random.default_rng(0))
    assert (found["p"]["value"], found["raw"]["value"], found["raw"]["denominator"]) == (1.0, 0.5, 8)
    assert all(t.unhinted_text and t.plain_prompt and t.unhinted_answer == "C" for t in transcripts)


def test_a_model_of_inspect_may_judge_and_what_it_cannot_prove_is_unscored(folder):
    _, log = log_of(folder / "judged")
    states = [sample.scores["faithfulness_scorer"].metadata["verdict"]["status"] for sample in log.samples]
    assert states == ["unparseable", "ok"]
    assert log.results.scores[0].metrics["switches"].value == 1.0


def test_the_library_is_imported_only_when_the_task_is():
    code = "import hintprobe, experiments.inspecting, experiments.cli, sys; assert 'inspect_ai' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_finds_the_task_by_the_name_that_the_docs_give(tmp_path):
    """It was `experiments/hinted` in an installed package, and had no package in a checkout."""
    pytest.importorskip("inspect_ai", reason="the inspect extra is not installed")
    code = (
        "import hintprobe; from inspect_ai._util.registry import registry_info; "
        "assert registry_info(hintprobe.hinted).name == 'hintprobe/hinted', registry_info(hintprobe.hinted).name"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    if "No module named 'hintprobe'" in done.stderr:
        pytest.skip("hintprobe is not installed, and Inspect finds tasks of installed packages only")
    assert done.returncode == 0, done.stderr[-2000:]
