"""Where a model's weights go, and in how many bits."""

import importlib.util
from typing import Any, Literal

from activations.errors import HintprobeError

Quantized = Literal["8bit", "4bit"]
DeviceMap = Literal["auto"]


def usable_device(device: str) -> str:
    """A device that works here; ``auto`` is CUDA where there is one.

    Raises:
        HintprobeError: no such device.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise HintprobeError(f"The device {device!r} cannot be used: {reason}. Give cpu, cuda or auto.") from error
    return device


def placement_options(
    device: str, dtype: Any, quantized: Quantized | None, device_map: DeviceMap | None
) -> dict[str, Any]:
    """Arguments of ``from_pretrained`` that put the weights where they belong; empty where ``.to(device)`` does.

    Args:
        device: as given by :func:`usable_device`.
        dtype: torch dtype of what is not quantised, and of the products.
        quantized: bits of bitsandbytes' weights.
        device_map: ``auto`` spreads the blocks over all devices (accelerate).

    Raises:
        HintprobeError: a library is missing, or an unknown choice.
    """
    if quantized is None and device_map is None:
        return {}
    if quantized not in (None, "8bit", "4bit") or device_map not in (None, "auto"):
        raise HintprobeError(
            f"A model cannot be loaded with quantized={quantized!r} and device_map={device_map!r}. Quantised weights "
            "have 8bit or 4bit; the device map is auto, or left out."
        )
    lacking = [
        name
        for name in ("accelerate", *(("bitsandbytes",) if quantized else ()))
        if importlib.util.find_spec(name) is None
    ]
    if lacking:
        raise HintprobeError(
            f"Loading a model {'quantised' if quantized else 'over several devices'} needs {' and '.join(lacking)}. "
            "Install with `pip install 'hintprobe[quantized]'`."
        )
    options: dict[str, Any] = {"device_map": device_map or {"": device}}
    if quantized:
        from transformers import BitsAndBytesConfig

        bits = {"load_in_8bit": True} if quantized == "8bit" else {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
        options["quantization_config"] = BitsAndBytesConfig(**bits, bnb_4bit_compute_dtype=dtype)
    return options
