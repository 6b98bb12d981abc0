"""A run over many workers: Ray gives each a part of a stage, and what it made is joined as parts of any run are."""

from experiments.cluster.driver import run_on_ray

__all__ = ["run_on_ray"]
