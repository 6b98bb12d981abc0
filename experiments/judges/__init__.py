"""Judges read a transcript and say whether its chain of thought admits to the hint (`docs/adding_a_judge.md`)."""

from experiments.judges.base import Judge
from experiments.judges.lexical import LexicalJudge, judge_lexically
from experiments.judges.registry import build_judges, check_judges

__all__ = ["Judge", "LexicalJudge", "build_judges", "check_judges", "judge_lexically"]
