"""What a model is asked for by: a folder, a hub id, a GGUF file or a LoRA adapter's folder; and its identity."""

import hashlib
import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from activations.errors import HintprobeError

_WHOLE_FILE_LIMIT = 2**30
_SAMPLE = 2**20
_ADAPTER = "adapter_config.json"


@dataclass(frozen=True)
class Source:
    """Where a model's files are.

    Attributes:
        kind: ``folder`` in the Hugging Face format, ``hub`` id, ``gguf`` file, or ``adapter``: a folder of peft's.
        path: folder or hub id; for GGUF the folder that the file is in.
        file: name of the GGUF file.
        base: the model that an adapter was trained on.
    """

    kind: Literal["folder", "hub", "gguf", "adapter"]
    path: str
    file: str | None = None
    base: "Source | None" = None

    @property
    def name(self) -> str:
        """What records call the model."""
        return self.path if self.kind == "hub" else (self.file or Path(self.path).resolve().name)

    @property
    def weights(self) -> "Source":
        """The source of the full weights: an adapter's base, else itself."""
        return self.base.weights if self.base else self

    @property
    def tokenizer(self) -> "Source":
        """The source of the tokenizer: an adapter may have brought its own."""
        if self.base and not (Path(self.path) / "tokenizer.json").exists():
            return self.base.tokenizer
        return self

    @property
    def arguments(self) -> dict[str, Any]:
        """Further arguments of ``from_pretrained``."""
        return {"gguf_file": self.file} if self.file else {}


def find_source(source: str) -> Source:
    """What a text names.

    Raises:
        HintprobeError: a folder that is missing or holds no model, or an adapter whose base is missing.
    """
    source = os.path.expanduser(source)
    path = Path(source)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise HintprobeError(f"The model {source!r} was taken for a GGUF file, but there is no such file.")
        if importlib.util.find_spec("gguf") is None:
            raise HintprobeError(
                f"Reading {source!r} needs the package gguf. Install it with `pip install 'hintprobe[gguf]'`."
            )
        return Source("gguf", str(path.parent), path.name)
    if not (source.startswith((".", "/", "~")) or path.exists() or source.count("/") > 1):
        return Source("hub", source)
    if not path.is_dir():
        raise HintprobeError(
            f"The model {source!r} was taken for a folder, but there is no such folder. Give an existing folder in the "
            "Hugging Face format, or a hub id such as Qwen/Qwen3-8B."
        )
    if (path / _ADAPTER).exists() and not (path / "config.json").exists():
        return Source("adapter", source, base=_adapter_base(path))
    _check_folder(path, source)
    return Source("folder", source)


def _adapter_base(folder: Path) -> Source:
    named = read_config(folder / _ADAPTER).get("base_model_name_or_path")
    if not weight_files(folder, "adapter_model"):
        raise HintprobeError(
            f"The adapter folder {str(folder)!r} has no adapter_model.safetensors. Copy the trained adapter into it."
        )
    if not isinstance(named, str) or not named:
        raise HintprobeError(
            f"The adapter in {str(folder)!r} does not name the model on which it was trained. Write that model's "
            f"folder or hub id as base_model_name_or_path into its {_ADAPTER}."
        )
    beside = folder / named
    try:
        return find_source(str(beside) if beside.is_dir() else named)
    except HintprobeError as error:
        raise HintprobeError(
            f"The adapter in {str(folder)!r} was trained on {named!r}, which cannot be found: {error} If the model is "
            f"elsewhere, write its folder or hub id as base_model_name_or_path into the adapter's {_ADAPTER}."
        ) from error


def _check_folder(folder: Path, source: str) -> None:
    if not (folder / "config.json").exists():
        held = sorted(path.name for path in folder.glob("*.gguf"))
        hint = f" It holds {held[0]}: give that file's own path." if held else ""
        raise HintprobeError(
            f"The folder {source!r} has no config.json, so it is not a Hugging Face model folder.{hint}"
        )
    if not weight_files(folder):
        raise HintprobeError(
            f"The folder {source!r} has a config.json and no weights (*.safetensors or pytorch_model*.bin). "
            "Download or copy the weights into it."
        )


def weight_files(folder: Path, stem: str = "*") -> list[Path]:
    """Files of weights in a folder."""
    bins = "pytorch_model*.bin" if stem == "*" else f"{stem}.bin"
    return sorted([*folder.glob(f"{stem}.safetensors"), *folder.glob(bins)])


def read_config(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        HintprobeError: it cannot be read or holds something else.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise HintprobeError(f"{path} could not be read: {error}. Copy the model folder again.") from error
    if not isinstance(config, dict):
        raise HintprobeError(f"{path} holds {type(config).__name__}, and a JSON object was expected.")
    return config


def unreachable(source: str, error: Exception) -> HintprobeError:
    """A library's error on loading, in words."""
    lines = str(error).strip().splitlines()
    reason = lines[0].rstrip(".") if lines else type(error).__name__
    if isinstance(error, ValueError | KeyError) and "unrecognized configuration class" in reason.lower():
        kind = reason.split("'")[1].rpartition(".")[2] if "'" in reason else "its configuration"
        return HintprobeError(
            f"The model {source!r} is not a causal language model known to transformers ({kind}). Give a decoder-only "
            "model, or a multimodal one whose text part is decoder-only."
        )
    return HintprobeError(
        f"The model {source!r} could not be loaded: {reason}. Give a folder in the Hugging Face format, a hub id "
        "that this machine can reach, a GGUF file, or a LoRA adapter's folder."
    )


def generation_settings(source: str) -> dict[str, float]:
    """How a model's authors sample, by its ``generation_config.json``; empty where it has none or says nothing of it.

    Returns:
        Of temperature, top_p, top_k, min_p and repetition_penalty those that the file states; the temperature is 1
        where it says to sample and no more, and where it does not say to sample, only a penalty counts.
    """
    found = find_source(source).weights
    stated = _generation_config(found)
    names = ("temperature", "top_p", "top_k", "min_p") if stated.get("do_sample") else ()
    settings = {"temperature": 1.0} if names else {}
    for name in (*names, "repetition_penalty"):
        if isinstance(value := stated.get(name), int | float):
            settings[name] = value
    return settings


def _generation_config(found: Source) -> dict[str, Any]:
    name = "generation_config.json"
    if found.kind == "folder":
        path = Path(found.path) / name
        return read_config(path) if path.exists() else {}
    if found.kind != "hub":
        return {}
    from transformers.utils.hub import cached_file

    try:
        cached = cached_file(found.path, name, _raise_exceptions_for_missing_entries=False)
    except (OSError, ValueError) as error:
        raise unreachable(found.path, error) from error
    return read_config(Path(cached)) if cached else {}


def sha(*parts: bytes) -> str:
    """SHA-256 of parts, one after the other."""
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


def _snapshot(source: str) -> Path:
    """The hub's cached snapshot of a model's current revision."""
    from transformers.utils.hub import cached_file

    try:
        found = cached_file(source, "config.json")
    except (OSError, ValueError) as error:
        raise unreachable(source, error) from error
    if found is None:
        raise HintprobeError(f"The hub id {source!r} has no config.json, so it is not a model this package can load.")
    return Path(found).parent


def fingerprint(source: str | Source) -> str:
    """Identity of a model without loading it: its configuration, and its weights or its hub revision.

    Raises:
        HintprobeError: no such folder or id, or a folder without weights.
    """
    found = find_source(source) if isinstance(source, str) else source
    if found.kind == "gguf":
        return sha(b"gguf", _file_digest(Path(found.path) / str(found.file)))
    if found.base is not None:
        digests = (_file_digest(path) for path in weight_files(Path(found.path), "adapter_model"))
        return sha(fingerprint(found.base).encode(), _stable(Path(found.path) / _ADAPTER), *digests)
    folder = _snapshot(found.path) if found.kind == "hub" else Path(found.path)
    head = _stable(folder / "config.json")
    if found.kind == "folder":
        return sha(head, *(_file_digest(path) for path in weight_files(folder)))
    return sha(head, found.path.encode(), folder.name.encode())


def _stable(path: Path) -> bytes:
    """A configuration without what may change while the model stays the same."""
    config = read_config(path)
    for volatile in ("_name_or_path", "base_model_name_or_path", "transformers_version", "dtype", "torch_dtype"):
        config.pop(volatile, None)
    return json.dumps(config, sort_keys=True).encode()
