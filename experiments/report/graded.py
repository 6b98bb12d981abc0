"""The panel on the reliance probability as a target."""

from experiments.report.panel import Panel

GRADED = Panel(
    "Reliance probability: how much each hint changes the answers",
    '{% from "graded.html" import graded %}{{ graded(comparison.graded) }}',
)
