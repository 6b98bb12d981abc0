"""Progress tells the time left: as a bar on a terminal, as lines in a log, and not at all where nobody asked."""

import io

from rich.console import Console

from experiments.run import progress
from experiments.run.progress import Reporter


def shown(monkeypatch, terminal, rows, clock=lambda: 0.0):
    file = io.StringIO()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    with Reporter(Console(file=file, force_terminal=terminal, width=100)).bar("generate", 10) as tick:
        for n in rows:
            tick(n)
    return file.getvalue()


def test_a_terminal_gets_a_bar_with_the_time_left(monkeypatch):
    text = shown(monkeypatch, True, [4, 6])
    assert "10/10" in text


def test_a_log_gets_a_line_now_and_then(monkeypatch):
    times = iter([0.0, 10.0, 60.0, 70.0])
    lines = shown(monkeypatch, False, [1, 4, 1], lambda: next(times)).splitlines()
    assert lines == ["  generate 5/10, about 1.0 min left"]


def test_a_log_stays_empty_for_what_is_short(monkeypatch):
    assert shown(monkeypatch, False, [5, 5]) == ""


def test_without_a_console_nothing_is_said():
    with Reporter().bar("x", 3) as tick, Reporter().busy("y"):
        tick(3)
