"""Names that configurations and commands know. They need no library, so that reading a configuration loads none."""

from typing import Literal

Component = Literal["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "head_z"]
"""What of a decoder block is read or edited; :class:`activations.sites.Site` says what each is."""

BackendName = Literal["native", "transformer_lens", "nnsight"]
"""What runs the model."""
