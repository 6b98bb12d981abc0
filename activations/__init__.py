"""MODEL → NUMBERS. Load a model, run it, record and edit its activations, keep them. Knows no hints and no labels."""

from activations.capture import capture, capture_batch
from activations.edits import replacing
from activations.errors import HintprobeError
from activations.generate import Completion, Decoding, generate
from activations.hooks import counting_forwards, head_shape, visiting
from activations.models import LoadedModel, fingerprint, load_model
from activations.sites import Site, residual_sites
from activations.store import ActivationStore, CaptureAccount, ModelStore, fill, row_hash

__all__ = [
    "ActivationStore",
    "CaptureAccount",
    "Completion",
    "Decoding",
    "HintprobeError",
    "LoadedModel",
    "ModelStore",
    "Site",
    "capture",
    "capture_batch",
    "counting_forwards",
    "fill",
    "fingerprint",
    "generate",
    "head_shape",
    "load_model",
    "replacing",
    "residual_sites",
    "row_hash",
    "visiting",
]
