"""Load a causal language model and give it an identity that a cache can rely on."""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from activations.errors import HintprobeError
from activations.placement import DeviceMap, Quantized, placement_options, usable_device

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

Dtype = Literal["auto", "float32", "bfloat16", "float16"]

_WHOLE_FILE_LIMIT = 2**30
_SAMPLE = 2**20


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run, its tokenizer, and who they are.

    Attributes:
        name: the folder's name or hub id it was asked for by.
        fingerprint: hash of configuration and weights; two models of one name differ in it.
        tokenizer_hash: hash of the tokenizer and its chat template.
        variant: what else sets this model's numbers apart, such as the backend that runs it.
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerFast"
    name: str
    fingerprint: str
    tokenizer_hash: str
    variant: dict[str, str] = field(default_factory=dict)

    @property
    def device(self) -> "torch.device":
        """Where the inputs go."""
        return self.model.device

    @property
    def identity(self) -> dict[str, str]:
        """Everything that decides what numbers a capture gives, for the store's key."""
        config = self.model.config
        return {
            "model": self.fingerprint,
            "tokenizer": self.tokenizer_hash,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "attention": str(config._attn_implementation),
            **self.variant,
        }


def _sha(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _file_digest(path: Path) -> bytes:
    """Whole file up to 1 GiB; beyond that its size, its head and samples spread over it."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= _WHOLE_FILE_LIMIT:
            while block := file.read(_SAMPLE):
                digest.update(block)
        else:
            for k in range(64):
                file.seek(k * (size - _SAMPLE) // 63)
                digest.update(file.read(_SAMPLE))
    return digest.digest()


def _weight_files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")])


def _local_files(source: str) -> Path:
    """The folder that holds the model's files: itself, or the hub's cached snapshot of its current revision."""
    if Path(source).is_dir():
        return Path(source)
    from transformers.utils.hub import cached_file

    try:
        found = cached_file(source, "config.json")
    except (OSError, ValueError) as error:
        raise _unreachable(source, error) from error
    if found is None:
        raise HintprobeError(f"The hub id {source!r} has no config.json, so it is not a model this package can load.")
    return Path(found).parent


def fingerprint(source: str) -> str:
    """Identity of a model without loading it: its configuration, and its weights or its hub revision.

    Raises:
        HintprobeError: no such folder or id, or a folder without weights.
    """
    source = os.path.expanduser(source)
    _check_folder(source)
    folder = _local_files(source)
    config = _read_config(folder / "config.json")
    for volatile in ("_name_or_path", "transformers_version", "dtype", "torch_dtype"):
        config.pop(volatile, None)
    head = json.dumps(config, sort_keys=True).encode()
    if Path(source).is_dir():
        return _sha(head, *(_file_digest(path) for path in _weight_files(folder)))
    return _sha(head, source.encode(), folder.name.encode())


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HintprobeError(f"{path} could not be read: {error}. Copy the model folder again.") from error
    if not isinstance(config, dict):
        raise HintprobeError(f"{path} holds {type(config).__name__}, and a JSON object was expected.")
    return config


def _unreachable(source: str, error: Exception) -> HintprobeError:
    lines = str(error).strip().splitlines()
    reason = lines[0].rstrip(".") if lines else type(error).__name__
    return HintprobeError(
        f"The model {source!r} could not be loaded: {reason}. Give a folder in the Hugging Face format or a hub id "
        "that this machine can reach."
    )


def _check_folder(source: str) -> None:
    folder = Path(source)
    looks_local = source.startswith((".", "/", "~")) or folder.exists() or source.count("/") > 1
    if not looks_local:
        return
    if not folder.is_dir():
        raise HintprobeError(
            f"The model {source!r} was taken for a folder, and there is none. Give an existing folder in the Hugging "
            "Face format, or a hub id such as Qwen/Qwen3-8B."
        )
    if not (folder / "config.json").exists():
        raise HintprobeError(f"The folder {source!r} has no config.json, so it is not a Hugging Face model folder.")
    if not _weight_files(folder):
        raise HintprobeError(
            f"The folder {source!r} has a config.json and no weights (*.safetensors or pytorch_model*.bin). "
            "Download or copy the weights into it."
        )


def count_layers(source: str) -> int:
    """How many decoder blocks a model has, by its configuration alone.

    Raises:
        HintprobeError: the configuration cannot be loaded.
    """
    from transformers import AutoConfig

    source = os.path.expanduser(source)
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreachable(source, error) from error
    return int(config.get_text_config().num_hidden_layers)


def load_tokenizer(source: str) -> Any:
    """Load a model's tokenizer alone.

    Raises:
        HintprobeError: it cannot be loaded, or gives no offsets.
    """
    from transformers import AutoTokenizer

    source = os.path.expanduser(source)
    try:
        # Left open, the question of custom code would be put to whoever sits at the terminal.
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreachable(source, error) from error
    if not getattr(tokenizer, "is_fast", False):
        raise HintprobeError(
            f"The tokenizer of {source!r} gives no character offsets, which positions are found by. Use a model with "
            "a fast tokenizer (tokenizer.json)."
        )
    if tokenizer.pad_token_id is None:
        # Padding is masked wherever it stands, so any token will do.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def tokenizer_hash(tokenizer: Any) -> str:
    """Hash of a fast tokenizer and its chat template."""
    return _sha(tokenizer.backend_tokenizer.to_str().encode(), str(tokenizer.chat_template).encode())


def resolved_dtype(dtype: Dtype, device: str) -> str:
    """Name of the dtype that the weights get on a device that is there."""
    return ("bfloat16" if device.startswith("cuda") else "float32") if dtype == "auto" else dtype


def _load_weights(source: str, dtype: "torch.dtype", placement: dict[str, Any]) -> "PreTrainedModel":
    """The model with every one of its weights; transformers alone would fill in missing ones at random.

    Raises:
        HintprobeError: weights are missing.
    """
    from transformers import AutoModelForCausalLM

    load: Any = AutoModelForCausalLM.from_pretrained  # its type leaves out the loading report
    with _bars_on_terminals_only():
        model, report = load(source, dtype=dtype, trust_remote_code=False, output_loading_info=True, **placement)
    missing = sorted(report["missing_keys"])
    if missing:
        raise HintprobeError(
            f"The weights of {source!r} lack {len(missing)} of the model's tensors, {missing[0]} among them. The files "
            "are incomplete or belong to another architecture. Download or copy them again."
        )
    return cast("PreTrainedModel", model)


@contextmanager
def _bars_on_terminals_only() -> Iterator[None]:
    """Keep the library's loading bar out of logs and pipes."""
    from transformers.utils import logging

    if sys.stderr.isatty() or not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def load_model(
    source: str,
    dtype: Dtype = "auto",
    device: str = "auto",
    quantized: Quantized | None = None,
    device_map: DeviceMap | None = None,
) -> LoadedModel:
    """Load any causal LM from a folder or the hub.

    Args:
        source: folder in the Hugging Face format, or hub id.
        dtype: ``auto`` is bfloat16 on CUDA and float32 elsewhere.
        device: ``auto`` is CUDA where there is one.
        quantized: weights in ``8bit`` or ``4bit`` by bitsandbytes; their numbers have an identity of their own.
        device_map: ``auto`` spreads the model over all devices, for one that no single device holds.

    Raises:
        HintprobeError: no such folder, id or device, weights that are missing or damaged, a tokenizer without
            offsets, or a library that is missing.
    """
    source = os.path.expanduser(source)
    identity = fingerprint(source)
    import torch
    from safetensors import SafetensorError

    device = usable_device(device)
    torch_dtype = getattr(torch, resolved_dtype(dtype, device))
    placement = placement_options(device, torch_dtype, quantized, device_map)
    try:
        tokenizer = load_tokenizer(source)
        model = _load_weights(source, torch_dtype, placement)
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise _unreachable(source, error) from error
    if not placement:
        model.to(torch.device(device))  # type: ignore[arg-type]  # the decorated method is mistyped
    model.eval().requires_grad_(False)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        name=Path(source).resolve().name if Path(source).is_dir() else source,
        fingerprint=identity,
        tokenizer_hash=tokenizer_hash(tokenizer),
        variant={"quantized": quantized} if quantized else {},
    )
