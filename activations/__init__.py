"""MODEL → NUMBERS. Load a model, run it, record and edit its activations, keep them. Knows no hints and no labels."""

from activations.capture import capture, capture_batch
from activations.edits import Add, Edit, Knockout, Mean, ProjectOut, Replace, SiteEdit, Zero, editing
from activations.errors import HintprobeError
from activations.generate import Completion, Decoding, generate
from activations.hooks import counting_forwards, head_shape, visiting
from activations.models import LoadedModel, fingerprint, load_model, load_tokenizer
from activations.positions import onwards
from activations.sites import Site, residual_sites
from activations.store import ActivationStore, CaptureAccount, ModelStore, fill, row_hash

__all__ = [
    "ActivationStore",
    "Add",
    "CaptureAccount",
    "Completion",
    "Decoding",
    "Edit",
    "HintprobeError",
    "Knockout",
    "LoadedModel",
    "Mean",
    "ModelStore",
    "ProjectOut",
    "Replace",
    "Site",
    "SiteEdit",
    "Zero",
    "capture",
    "capture_batch",
    "counting_forwards",
    "editing",
    "fill",
    "fingerprint",
    "generate",
    "head_shape",
    "load_model",
    "load_tokenizer",
    "onwards",
    "residual_sites",
    "row_hash",
    "visiting",
]
