"""What models, questions and paths say reaches the terminal as text, never as a command."""

import ast
import io
import shutil
from pathlib import Path

from rich.table import Table
from test_cli import hintprobe

import experiments
from experiments.run.console import PlainConsole, visible
from experiments.run.progress import Reporter


def printed(*things):
    out = io.StringIO()
    console = PlainConsole(file=out, force_terminal=True, width=200, color_system=None)
    for thing in things:
        console.print(thing)
    return out.getvalue()


def test_markup_is_text():
    table = Table("x[/bold]")
    table.add_row("[red]cell[/red] [/nonsense] :smile:")
    said = printed("path x[/bold]", table)
    assert "path x[/bold]" in said
    assert "[red]cell[/red] [/nonsense] :smile:" in said


def test_control_characters_are_shown_and_not_sent():
    said = printed("a\x1b[2Jb\x07c\x00d\u202ee\ud800f\x9bg")
    assert "\\x1b[2Jb\\x07c\\x00d\\u202ee\\ud800f\\x9bg" in said
    assert not any(character in said for character in "\x1b\x07\x00\u202e\x9b")
    assert visible("ordinary text, 中文 ✓\n\tnext") == "ordinary text, 中文 ✓\n\tnext"


def test_stages_and_bars_say_names_as_they_are():
    out = io.StringIO()
    reporter = Reporter(PlainConsole(file=out, force_terminal=True, width=200, color_system=None))
    reporter.say("  loading x[/bold]", style="bold")
    with reporter.bar("judge j[/bold]\x1b[2J", 2) as tick:
        tick(1)
    with reporter.busy("loading m[/bold]\x1b[2J"):
        pass
    assert "loading x[/bold]" in out.getvalue()
    assert "judge j[/bold]\\x1b[2J" in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()


def test_every_console_is_a_plain_one():
    """Rich's own console takes square brackets for markup: "loading x[/bold]" was a traceback."""
    rooms = Path(experiments.__file__).parent
    for path in rooms.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "rich.console":
                names = {alias.name for alias in node.names}
                made = path != rooms / "run" / "console.py" and "Console" in names and _makes_one(path)
                assert not made, f"{path} makes a console of its own; take experiments.run.console.PlainConsole"


def _makes_one(path):
    calls = (node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    return any(isinstance(called, ast.Name) and called.id == "Console" for called in calls)


def test_check_says_a_models_name_as_it_is(tmp_path, tiny_folder, capsys, monkeypatch):
    model = tmp_path / "x[/bold]"
    shutil.copytree(tiny_folder("qwen3"), model)
    status, out, err = hintprobe(capsys, monkeypatch, "check", model, "--cache", tmp_path / "cache")
    assert status == 0, err
    assert "x[/bold]" in "".join(out.split())
