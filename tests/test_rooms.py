"""Rooms inside `experiments/`: imports go to rooms further up this list only, lazy imports and registry lines too."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = (
    "records",  # what flows between stages
    "config",
    "run",  # one model within a run, and what a stage is
    "questions",
    "hints",
    "answers",  # what a completion says
    "prompts",  # items, chat templates, named places
    "engines",  # who completes a prompt
    "transcripts",
    "judges",
    "interventions",  # reruns with something changed
    "detectors",
    "comparison",
    "inspecting",  # a task of Inspect
    "report",
    "stages",
    "beside",  # models of one run in processes of their own
    "pipeline",
    "cluster",  # a run over many workers
    "scripting",  # the short way in Python
    "planning",
    "training",
    "organisms",
    "benchmarks",
    "schema",
    "gpu",
    "commands",
    "cli",
)
"""The order, written here and nowhere else. A room may import those above it."""
RANK = {room: rank for rank, room in enumerate(ROOMS)}
_REGISTERED = re.compile(r"experiments(\.\w+)+:\w+")


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imported(tree: ast.AST, is_module) -> Iterator[tuple[int, str]]:
    """Modules of experiments that a file imports anywhere, or names in a registry, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.startswith("experiments."))
        elif isinstance(node, ast.ImportFrom) and node.module == "experiments":
            yield from ((node.lineno, f"experiments.{a.name}") for a in node.names if is_module(a.name))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("experiments."):
            yield node.lineno, str(node.module)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _REGISTERED.fullmatch(node.value):
            yield node.lineno, node.value.partition(":")[0]


def upward_imports(root: Path) -> list[str]:
    """Imports of a room that stands below the importing one, or of a room that the order does not know."""
    package = root / "experiments"
    found = []
    for path in sorted(package.rglob("*.py")):
        own = path.relative_to(package).with_suffix("").parts[0]
        if own == "__init__":  # the package itself stands above all rooms
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for line, module in imported(tree, lambda name: (package / name).exists() or (package / f"{name}.py").exists()):
            room = room_of(module)
            if room != own and RANK.get(room, len(ROOMS)) >= RANK.get(own, -1):
                found.append(f"{path.relative_to(root)}:{line} {own} imports {room}")
    return found


def test_imports_go_to_rooms_above_only():
    assert upward_imports(ROOT) == []


def test_every_room_has_its_place():
    folders = {path.name for path in (ROOT / "experiments").iterdir() if path.is_dir() and any(path.glob("*.py"))}
    files = {path.stem for path in (ROOT / "experiments").glob("*.py")} - {"__init__"}
    assert folders | files <= set(ROOMS)


def test_planted_upward_imports_are_seen(tmp_path):
    files = {
        "records/rows.py": "import experiments.config\n",
        "config/sections.py": "from experiments.records import rows\n",
        "hints/late.py": "def f():\n    from experiments.stages.generate import run_generate\n",
        "judges/lazy.py": "import importlib\nJUDGES = {'x': 'experiments.organisms.grammar:admits'}\n",
        "report/page.py": "from experiments import pipeline\n",
        "report/words.py": "from experiments.comparison.table import table\n",
        "pipeline.py": "from experiments.report.page import render\n",
        "attic/old.py": "from experiments.records import rows\n",
    }
    for name, text in files.items():
        path = tmp_path / "experiments" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert upward_imports(tmp_path) == [
        "experiments/attic/old.py:1 attic imports records",
        "experiments/hints/late.py:2 hints imports stages",
        "experiments/judges/lazy.py:2 judges imports organisms",
        "experiments/records/rows.py:1 records imports config",
        "experiments/report/page.py:1 report imports pipeline",
    ]
