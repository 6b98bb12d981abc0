"""Detectors side by side, and what can be concluded: the table, findings, faithfulness, natural flips."""
