"""The result, for the terminal and as one self-contained page."""

from typing import TYPE_CHECKING, Any

from activations.lazy import load_name

if TYPE_CHECKING:
    from experiments.report.current import PAGE, refresh_report
    from experiments.report.page import write_report
    from experiments.report.runs import Run, read_run
    from experiments.report.terminal import forwards_of_this_run, print_summary

__all__ = ["PAGE", "Run", "forwards_of_this_run", "print_summary", "read_run", "refresh_report", "write_report"]


def __getattr__(name: str) -> Any:
    return load_name(__name__, __all__, name)
