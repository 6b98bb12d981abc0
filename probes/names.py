"""Names that records and configurations know. They need no library, so that reading a record loads none."""

from typing import Literal, get_args

Path = Literal["everything", "prompt", "text", "answer"]
"""Part of the sequence whose queries lose keys (:mod:`probes.knockout`)."""
Keys = Literal["span", "placebo"]
"""Keys that are taken away."""
Control = Literal["random_positions", "other_states", "random_directions"]
"""Placebo of a patch (:mod:`probes.patching.placebos`)."""

PATHS: tuple[Path, ...] = get_args(Path)
KEYS: tuple[Keys, ...] = get_args(Keys)
CONTROLS: tuple[Control, ...] = get_args(Control)
