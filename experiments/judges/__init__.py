"""Judges read a transcript and say whether its chain of thought admits to the hint (`docs/adding_a_judge.md`)."""

from experiments.judges.lexical import judge_lexically

__all__ = ["judge_lexically"]
