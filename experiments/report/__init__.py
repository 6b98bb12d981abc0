"""The result, for the terminal and as one self-contained page."""

from experiments.report.page import PAGE, write_report
from experiments.report.runs import Run, read_run
from experiments.report.terminal import forwards_of_this_run, print_summary

__all__ = ["PAGE", "Run", "forwards_of_this_run", "print_summary", "read_run", "write_report"]
