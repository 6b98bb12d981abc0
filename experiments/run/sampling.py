"""How a model's completions are sampled: what the configuration states, and what the model's own authors ask for."""

from typing import TYPE_CHECKING, Any

from activations.sources import generation_settings
from experiments.config import GenerateConfig
from experiments.run.model_run import ModelRun

if TYPE_CHECKING:
    from activations import Decoding

_OFF: dict[str, float] = {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}


def sampling_of(config: GenerateConfig, source: str) -> dict[str, float]:
    """Every sampling setting with its value.

    What the configuration states holds. Of the rest, ``sampling: model`` takes what the model's
    ``generation_config.json`` states, and what neither states is off.

    Args:
        source: the model's folder, hub id or file.
    """
    stated = config.stated_sampling
    own = generation_settings(source) if config.sampling == "model" and len(stated) < len(_OFF) else {}
    return {**_OFF, **own, **stated}


def decoding_of(run: ModelRun, temperature: float | None = None) -> "Decoding":
    """How a run samples.

    Args:
        temperature: in place of the run's own.
    """
    from activations import Decoding

    config = run.config.generate
    settings: dict[str, Any] = sampling_of(config, run.source)
    if temperature is not None:
        settings["temperature"] = temperature
    return Decoding(max_new_tokens=config.max_new_tokens, token_budget=config.token_budget, **settings)


def truncations(decoding: "Decoding") -> dict[str, float]:
    """What shapes the distribution besides the temperature, where it is on."""
    return {
        name: value
        for name, off in _OFF.items()
        if name != "temperature" and (value := getattr(decoding, name)) not in (None, off)
    }
