"""Every command shown in README, docs and the help of the command line is one that exists, and runs."""

import importlib.util
import io
import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import click
import pytest
import typer
import yaml
from small_run import SMALL, newcomers_model, newcomers_quiz
from test_cli import COMMANDS, hintprobe
from test_judging_cli import ITEM, MAP, OTHERS, PLAIN, ROW, inspect_log, lines
from test_planning import _unreachable

from experiments.cli import app
from experiments.config import Config
from experiments.planning import plan as planning
from experiments.questions.pool import load_questions
from experiments.records.comparison import Comparison
from experiments.records.detector_tables import DetectorEntry
from experiments.training.config import TrainingConfig

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "experiments" / "gpu" / "README.md"]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}

LANGUAGES = {
    "python": "tests/test_readme.py runs each block",
    "sh": "here",
    "yaml": "here",
    "text": "trees of folders",
    "": "trees of folders",
    "{code-cell}": "`make docs` executes the tutorials and fails where a cell does",
    "{include}": "`make docs`",
    "{toctree}": "`make docs`",
    "{eval-rst}": "`make docs`",
}
"""Kinds of block, and what holds them."""

NOT_RUN = {
    "pip install": "tests/test_wheel.py builds the distribution and installs it",
    "make": "the targets are looked up in the Makefile; `.ci/run` runs all but the demo, tests/test_demo.py the demo",
    "torchrun": "starts processes of its own; tests/test_capture_parts.py runs the parts",
    "python -m experiments.benchmarks.real_model": "needs weights: `make real`; tests/test_old_run.py",
    "python -m experiments.benchmarks.training_page": "writes a page; tests/test_training_page.py",
    "python -m experiments.benchmarks.judges": "reads transcripts that are not shipped; tests/test_lexical_judge.py",
    "hintprobe --install-completion": "writes into the shell's start-up file",
    "hintprobe check Qwen/Qwen3-8B": "needs the weights",
    "hintprobe run qwen3-8b.yaml": "needs the weights; tests/test_wheel.py goes the same way with a small model",
    "hintprobe import all_responses": "reads a file that is not shipped; tests/test_judging_cli.py on one of its form",
    "hintprobe judge w.jsonl": "follows from the import of that file",
    "hintprobe faithfulness w.jsonl": "follows from the import of that file",
    "hintprobe cache push s3://": "needs a bucket; tests/test_sharing.py sends to a folder and to memory",
    "hintprobe cache pull s3://": "the same",
    "hintprobe reproduce s3://": "needs a bucket; tests/test_reproduce.py takes a folder",
    "hintprobe organism": "minutes to hours; tests/test_training.py takes a few steps, tests/test_cli.py the refusals",
}
NOT_RUN |= {
    "hintprobe run demo --model organism:unfaithful --ray": "starts Ray; tests/test_cluster.py",
    "hintprobe run CONFIG --ray": "needs a cluster; tests/test_cluster.py",
    "hintprobe import reasoning-models-lie": "reads a folder that is not shipped; tests/test_importing.py",
    "hintprobe judge transcripts.jsonl --judge mine.json": "follows from a training that one label does not allow",
    "hintprobe score MODEL PROBE": "needs a probe of a run; tests/test_streaming.py",
    "hintprobe train rl": "trains; tests/test_train_rl.py takes a few steps",
    "hintprobe trajectory quick": "follows from the training; tests/test_trajectory.py on planted checkpoints",
    "hintprobe trajectory hacks": "likewise",
}
STATUS = {"hintprobe judges train transcripts.jsonl labels.jsonl -o mine.json": 2}
"""The one label here is too few to train on, which is said with this status."""
STAND_INS = {"CONFIG": "demo", "PART": "0123456789abcdef", "OUT": "exported"}


def commands_of(block):
    """Without comments and redirections."""
    return [re.split(r"\s+(?:#|>) ?", line)[0].strip() for line in block.splitlines() if line.strip()]


SHOWN = [
    (where, command)
    for where, text in TEXTS.items()
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    for command in commands_of(block)
]
SHOWN += [
    (where, code) for where, text in TEXTS.items() for code in re.findall(r"^\| `(hintprobe [^`]*)` \|", text, re.M)
]
EXAMPLES = [(f"{name} --help", command.help.split("Example:")[1].strip()) for name, command in COMMANDS.items()]
ALL = list(dict.fromkeys([*SHOWN, *EXAMPLES]))


def reason_not_to_run(command):
    return next((why for start, why in NOT_RUN.items() if command.startswith(start)), None)


def test_every_kind_of_block_is_held_by_something():
    found = {
        kind for text in TEXTS.values() for kind in re.findall(r"^```(\S*)[^\n]*\n.*?^```$", text, re.M | re.DOTALL)
    }
    assert found <= set(LANGUAGES)


def test_every_exception_is_one():
    for start in NOT_RUN:
        assert any(command.startswith(start) for _, command in ALL), start


def parse(words):
    """Parse as the command line does, down to the options' values; nothing is run."""
    command, context = typer.main.get_command(app), None
    name, arguments = "hintprobe", list(words)
    while hasattr(command, "commands"):
        context = click.Context(command, parent=context, info_name=name)
        name, command, arguments = command.resolve_command(context, arguments)
    command.make_context(name, list(arguments), parent=context)


@pytest.mark.parametrize(("where", "command"), ALL)
def test_the_command_is_understood(where, command):
    words = shlex.split(command)
    if words[:2] == ["hintprobe", "--install-completion"] or words[:2] == ["hintprobe", "--show-completion"]:
        return
    if "hintprobe" in words:
        parse(words[words.index("hintprobe") + 1 :])
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M)
    elif words[0] != "pip":
        assert words[:2] == ["python", "-m"], command
        assert importlib.util.find_spec(words[2])


@pytest.mark.parametrize(
    ("where", "code"), [(w, c) for w, t in TEXTS.items() for c in re.findall(r"`(hintprobe [^`\n]+)`", t)]
)
def test_commands_within_sentences_exist(where, code):
    command = typer.main.get_command(app)
    words = code.split()[1:]
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    if hasattr(command, "commands"):
        assert words in (["--help"], ["COMMAND", "--help"]), code
        return
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("-")} <= known


@pytest.mark.parametrize(
    ("where", "code"), [(w, c) for w, t in TEXTS.items() for c in re.findall(r"`python -m ([\w.]+)", t)]
)
def test_modules_within_sentences_exist(where, code):
    assert importlib.util.find_spec(code), code


@pytest.mark.parametrize(
    ("where", "block"), [(w, b) for w, t in TEXTS.items() for b in re.findall(r"```yaml\n(.*?)```", t, re.DOTALL)]
)
def test_every_yaml_block_is_of_a_configuration(where, block):
    data = yaml.safe_load(block)
    if "checkpoints" in data:
        TrainingConfig.model_validate(data)
    else:
        Config.model_validate({"name": "x", "models": ["m"], **data})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with every file that a shown command reads; the run is there already."""
    from experiments.config.file import load_config
    from experiments.pipeline import run_pipeline

    home = tmp_path_factory.mktemp("shown")
    (home / "demo").write_text(yaml.safe_dump({"name": "demo", "cache": str(home / "cache"), **SMALL}))
    config = load_config(home / "demo")
    run_pipeline(config)
    (run,) = (path for path in config.run_dir.iterdir() if path.is_dir())
    (probe,) = run.glob("probe-*")
    shutil.copytree(probe / "probes", home / "probes")
    rollouts = next(run.glob("generate-*")) / "rollouts.jsonl"
    (home / "rollouts.jsonl").write_text("".join(rollouts.read_text().splitlines(keepends=True)[:4]))
    transcripts = [{**ROW, "id": str(k), "unhinted_answer": "C", "group": str(k), **FACTS} for k in range(3)]
    lines(home / "transcripts.jsonl", transcripts)
    lines(home / "rows.jsonl", [PLAIN, OTHERS])
    (home / "map.yaml").write_text(yaml.safe_dump(MAP))
    lines(home / "items.jsonl", [ITEM])
    (home / "experiments").mkdir()
    (home / "experiments" / "training").symlink_to(ROOT / "experiments" / "training")
    newcomers_model(home / "my-qwen3")
    newcomers_quiz(home / "quiz.csv")
    return home


FACTS = {"direction": "incorrect", "n_options": 4, "hinted_answer": "B"}
TOLD = {"kind": "sycophancy", "target": "B", "unhinted_answer": "C", "group": "g", "direction": "incorrect"}


def prepare(folder, command):
    """What stands before a command in the reader's own work."""
    if "log.eval" in command:
        pytest.importorskip("inspect_ai", reason="the inspect extra is not installed")
        inspect_log(folder / "log.eval", [(TOLD, "<think>The professor says (B).</think>The answer is (B).")])
    if command.startswith("hintprobe init"):
        (folder / shlex.split(command)[-1]).unlink(missing_ok=True)
    if "cache export" in command:
        pytest.importorskip("pyarrow", reason="the datasets extra is not installed")
        shutil.rmtree(folder / "exported", ignore_errors=True)
    transcripts = [json.loads(line) for line in (folder / "transcripts.jsonl").read_text().splitlines()]
    if "calibrate" in command or "faithfulness transcripts" in command:
        told = {"judge": "lexical", "rejects": False, "only_verifies": False, "status": "ok", "quote": None}
        rows = [{"rollout_id": t["id"], "mentions": True, "relies": True, **told} for t in transcripts]
        (folder / "verdicts.jsonl.sums").unlink(missing_ok=True)  # checksums of what stood there before
        lines(folder / "verdicts.jsonl", rows)
        labels = [{"id": t["id"], "mentions": True, "relies": k == 0} for k, t in enumerate(transcripts)]
        lines(folder / "labels.jsonl", labels)


@pytest.mark.parametrize(("where", "command"), [pair for pair in ALL if not reason_not_to_run(pair[1])])
def test_the_command_runs(where, command, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "stdin", io.StringIO("q\n"))
    monkeypatch.setattr("shellingham.detect_shell", lambda *_: ("bash", "/bin/bash"))
    monkeypatch.setattr(planning, "load_questions", _unreachable(load_questions, {"quiz.csv"}))
    prepare(folder, command)
    notes = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("cache/store/*/identity.json")}
    (part,) = (name for name, note in notes.items() if note["name"] == "unfaithful")
    words = [STAND_INS.get(word, word) for word in shlex.split(command)]
    status, _, err = hintprobe(capsys, monkeypatch, *[part if w == "0123456789abcdef" else w for w in words[1:]])
    assert status == STATUS.get(command, 0), err


def test_comparison_json_holds_the_keys_that_are_documented(folder):
    (path,) = folder.glob("cache/runs/demo/*/compare-*/comparison.json")
    comparison = json.loads(path.read_text())
    assert set(comparison) - {"checksum"} == set(Comparison.model_fields)
    for detector in (*comparison["detectors"].values(), *comparison["hidden_detectors"].values()):
        assert set(detector) == set(DetectorEntry.model_fields)
