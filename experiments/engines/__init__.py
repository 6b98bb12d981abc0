"""Engines complete prompts: the model in this process, or a server (`docs/engines.md`). All keep to one protocol."""

from experiments.engines.base import Answered, Ask, Engine, IdsSource, Keep
from experiments.engines.in_process import InProcess
from experiments.engines.server import ServerEngine

__all__ = ["Answered", "Ask", "Engine", "IdsSource", "InProcess", "Keep", "ServerEngine"]
