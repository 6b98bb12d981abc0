"""Names that configurations and commands know. They need no library, so that reading a configuration loads none."""

from typing import Any, Literal

from activations.registry import Registry

Component = Literal["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "head_z"]
"""What of a decoder block is read or edited; :class:`activations.sites.Site` says what each is."""

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
