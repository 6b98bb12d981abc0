"""Prove a model before it is trusted: do captures and edits mean what they say, on this model, dtype and backend?"""

from activations.check.report import CheckReport, Finding, Noise
from activations.check.run import check_model

__all__ = ["CheckReport", "Finding", "Noise", "check_model"]
