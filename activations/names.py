"""Names that configurations and commands know. They need no library, so that reading a configuration loads none."""

from typing import Any, Literal

from activations.registry import Registry

Component = Literal["resid_pre", "head_z", "attn_out", "resid_mid", "mlp_out", "resid_post"]
"""What of a decoder block is read or edited, in the order of a forward; :class:`activations.sites.Site` says what each
is, and `activations/components.py` where it is found."""

BACKENDS: Registry[Any] = Registry(
    "backend",
    {
        "native": "activations.backends.native:NativeBackend",
        "transformer_lens": "activations.backends.transformer_lens:TransformerLensBackend",
        "nnsight": "activations.backends.nnsight:NnsightBackend",
        "vllm": "activations.backends.vllm:VllmBackend",
    },
)
"""What runs the model: a class that is called with a loaded model and :class:`activations.backends.base.Options`."""
