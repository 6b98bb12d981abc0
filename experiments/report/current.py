"""Is the page of a run still what would be written? If so it is not drawn again, and no library of it is loaded."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from experiments.records.files import CHECKSUM, checksum, is_sound, read_json, signed, write_json
from experiments.report.runs import Run

PAGE = "report.html"
MADE_FROM = "report.made_from.json"
"""Beside the page: what it was made from, and its checksum."""
_HERE = Path(__file__).parent


def refresh_report(run: Run, contents: Mapping[str, Mapping[str, str]]) -> Path:
    """Write the page of a run into its folder, unless it is there and would be the same.

    Args:
        contents: per model and stage, a checksum of what the stage's tables hold.
    """
    page, note = run.folder / PAGE, run.folder / MADE_FROM
    made_from = _made_from(run, contents, _HERE)
    if _is_current(page, note, made_from):
        return page
    from experiments.report.page import write_report

    write_report([run], page)
    write_json(note, signed({"made_from": made_from, "page": checksum(page.read_bytes())}))
    return page


def _is_current(page: Path, note: Path, made_from: str) -> bool:
    try:
        known: Any = read_json(note) if note.exists() and page.exists() else {}
    except HintprobeError:
        return False
    if not is_sound(known) or known.get("made_from") != made_from:
        return False
    return bool(known.get("page") == checksum(page.read_bytes()))


def _made_from(run: Run, contents: Mapping[str, Mapping[str, str]], code: Path) -> str:
    """A checksum of everything that the page shows: the summary, the tables, and the code that draws them."""
    summary = run.summary.model_dump(mode="json", exclude={"models": {"__all__": {"stages": {"__all__": {"fresh"}}}}})
    parts = {"summary": summary, "contents": {m: dict(c) for m, c in contents.items()}, "code": _code(code)}
    return str(signed(parts)[CHECKSUM])


@cache
def _code(folder: Path) -> str:
    return checksum(b"".join(p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()))
