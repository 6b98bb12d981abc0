"""The panel on the reliance probability as a target."""

from experiments.report.panel import Panel

GRADED = Panel(
    "How far each hint moves the answers: the reliance probability",
    '{% from "graded.html" import graded %}{{ graded(comparison.graded) }}',
)
