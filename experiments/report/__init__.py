"""The result, for the terminal and as one self-contained page."""

from experiments.report.page import write_report
from experiments.report.terminal import forwards_of_this_run, print_summary

__all__ = ["forwards_of_this_run", "print_summary", "write_report"]
