"""MODEL → NUMBERS. Load a model, run it, record and edit its activations, keep them. Knows no hints and no labels.

Names are loaded when first asked for: most of what asks for an error or a record needs no torch.
"""

from typing import TYPE_CHECKING, Any

from activations.lazy import load_name

if TYPE_CHECKING:
    from activations.backends import Backend, open_backend
    from activations.capturing import capture, capture_batch
    from activations.check import CheckReport, check_model
    from activations.choosing import Decoding
    from activations.columns import onwards
    from activations.edits import Add, Edit, Knockout, Mean, ProjectOut, Replace, SiteEdit, Zero, editing
    from activations.entries import row_hash
    from activations.errors import HintprobeError
    from activations.generating import generate
    from activations.hooks import counting_forwards, head_shape, visiting
    from activations.model_store import ModelStore
    from activations.models import LoadedModel, fingerprint, load_model, load_tokenizer
    from activations.part import Part
    from activations.planner import CaptureAccount, CapturePlan, fill, plan_capture
    from activations.row_state import Completion
    from activations.site_rows import SiteRows
    from activations.sites import Site, residual_sites
    from activations.store import ActivationStore
    from activations.view import ActivationView

__all__ = [
    "ActivationStore",
    "ActivationView",
    "Add",
    "Backend",
    "CaptureAccount",
    "CapturePlan",
    "CheckReport",
    "Completion",
    "Decoding",
    "Edit",
    "HintprobeError",
    "Knockout",
    "LoadedModel",
    "Mean",
    "ModelStore",
    "Part",
    "ProjectOut",
    "Replace",
    "Site",
    "SiteEdit",
    "SiteRows",
    "Zero",
    "capture",
    "capture_batch",
    "check_model",
    "counting_forwards",
    "editing",
    "fill",
    "fingerprint",
    "generate",
    "head_shape",
    "load_model",
    "load_tokenizer",
    "onwards",
    "open_backend",
    "plan_capture",
    "residual_sites",
    "row_hash",
    "visiting",
]


def __getattr__(name: str) -> Any:
    return load_name(__name__, __all__, name)
