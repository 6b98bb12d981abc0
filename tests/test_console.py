"""What models, questions and paths say reaches the terminal as text, never as a command."""

import io

from rich.table import Table

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
    with reporter.bar("judge j[/bold]", 2) as tick:
        tick(1)
    assert "loading x[/bold]" in out.getvalue()
