"""Load a causal language model and give it an identity that a cache can rely on."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from activations.errors import HintprobeError
from activations.placement import DeviceMap, Quantized, placement_options, usable_device
from activations.sources import Source, find_source, fingerprint, sha, unreachable

__all__ = ["Dtype", "LoadedModel", "count_layers", "fingerprint", "load_model", "load_tokenizer", "resolved_dtype"]

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


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
    def pad_id(self) -> int:
        """What padding is filled with: the tokenizer's pad token where the model has a row for it.

        Padding is masked or stands behind every real token, so any token of the model will do.
        """
        pad = self.tokenizer.pad_token_id
        return int(pad) if pad is not None and 0 <= pad < self.vocabulary else 0

    @property
    def vocabulary(self) -> int:
        """Tokens that the model has an embedding for; its tokenizer may know more or fewer."""
        embeddings: Any = self.model.get_input_embeddings()
        return int(embeddings.weight.shape[0])

    @property
    def context(self) -> int | None:
        """Tokens that the configuration admits in a row, prompt and completion together; None where it names none."""
        return _context(self.model.config.get_text_config())

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


def count_layers(source: str) -> int:
    """How many decoder blocks a model has, by its configuration alone.

    Raises:
        HintprobeError: the configuration cannot be loaded.
    """
    return int(_text_config(source).num_hidden_layers)


def context_of(source: str) -> int | None:
    """Tokens that a model admits in a row, by its configuration alone; None where it names none.

    Raises:
        HintprobeError: the configuration cannot be loaded.
    """
    return _context(_text_config(source))


def _text_config(source: str) -> Any:
    from transformers import AutoConfig

    found = find_source(source).weights
    try:
        config = AutoConfig.from_pretrained(found.path, trust_remote_code=False, **found.arguments)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        raise unreachable(source, error) from error
    return config.get_text_config()


def _context(text_config: Any) -> int | None:
    found = getattr(text_config, "max_position_embeddings", None)
    return int(found) if isinstance(found, int) and found > 0 else None


def load_tokenizer(source: str | Source) -> Any:
    """Load a model's tokenizer alone.

    Raises:
        HintprobeError: it cannot be loaded, or gives no offsets.
    """
    from transformers import AutoTokenizer

    found = (find_source(source) if isinstance(source, str) else source).tokenizer
    try:
        # Left open, the question of custom code would be put to whoever sits at the terminal.
        tokenizer = AutoTokenizer.from_pretrained(found.path, trust_remote_code=False, **found.arguments)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        raise unreachable(found.name, error) from error
    if not getattr(tokenizer, "is_fast", False):
        raise HintprobeError(
            f"The tokenizer of {found.name!r} gives no character offsets, which are needed to find positions. Use a "
            "model with a fast tokenizer (tokenizer.json)."
        )
    if tokenizer.pad_token_id is None:
        # Padding is masked wherever it stands, so any token will do.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def tokenizer_hash(tokenizer: Any) -> str:
    """Hash of a fast tokenizer and its chat template."""
    return sha(tokenizer.backend_tokenizer.to_str().encode(), str(tokenizer.chat_template).encode())


def resolved_dtype(dtype: Dtype, device: str) -> str:
    """Name of the dtype that the weights get on a device that is there."""
    return ("bfloat16" if device.startswith("cuda") else "float32") if dtype == "auto" else dtype


def _load_weights(source: Source, dtype: "torch.dtype", placement: dict[str, Any]) -> "PreTrainedModel":
    """The model with every one of its weights; transformers alone would fill in missing ones at random.

    Raises:
        HintprobeError: weights are missing.
    """
    arguments = {**source.arguments, **placement}
    if source.kind == "gguf":
        from transformers import GgufConfig

        # Left packed, the weights are of no use to hooks on linear layers.
        arguments["quantization_config"] = GgufConfig(dequantize=True)
    load: Any = _auto_class(source).from_pretrained  # its type leaves out the loading report
    with _bars_on_terminals_only():
        model, report = load(source.path, dtype=dtype, trust_remote_code=False, output_loading_info=True, **arguments)
    missing = sorted(report["missing_keys"])
    if missing:
        raise HintprobeError(
            f"The weights of {source.path!r} lack {len(missing)} of the model's tensors, {missing[0]} among them. The "
            "files are incomplete or belong to another architecture. Download or copy them again."
        )
    return cast("PreTrainedModel", model)


def _auto_class(source: Source) -> Any:
    """The class that loads a model: a multimodal one is loaded whole, and its text part is what is run."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(source.path, trust_remote_code=False, **source.arguments)
    plain, wrapped = AutoModelForCausalLM._model_mapping, AutoModelForImageTextToText._model_mapping
    whole = type(config) not in plain and type(config) in wrapped
    return AutoModelForImageTextToText if whole else AutoModelForCausalLM


def _with_adapter(model: "PreTrainedModel", source: Source, quantized: Quantized | None) -> "PreTrainedModel":
    """The model with an adapter's changes in its weights; quantised weights cannot take them, and keep it beside."""
    if source.base is None:
        return model
    model = _with_adapter(model, source.base, quantized)
    try:
        from peft import PeftModel
    except ImportError as error:
        raise HintprobeError(
            f"The adapter in {source.path!r} needs peft ({error}). Install it with `pip install 'hintprobe[lora]'`."
        ) from error
    if quantized:
        model.load_adapter(source.path)
        return model
    adapted: Any = PeftModel.from_pretrained(model, source.path)
    return cast("PreTrainedModel", adapted.merge_and_unload())


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
    """Load any causal LM, or the text part of a multimodal model.

    Args:
        source: folder in the Hugging Face format, hub id, GGUF file (its weights are unpacked), or folder of a LoRA
            adapter (merged into its base, which ``adapter_config.json`` names).
        dtype: ``auto`` is bfloat16 on CUDA and float32 elsewhere.
        device: ``auto`` is CUDA where there is one.
        quantized: weights in ``8bit`` or ``4bit`` by bitsandbytes; their numbers have an identity of their own.
        device_map: ``auto`` spreads the model over all devices, for one that no single device holds.

    Raises:
        HintprobeError: no such folder, id or device, weights that are missing or damaged, a tokenizer without
            offsets, an adapter without its base, an architecture that is not known, or a library that is missing.
    """
    found = find_source(source)
    identity = fingerprint(found)
    import torch
    from safetensors import SafetensorError

    device = usable_device(device)
    torch_dtype = getattr(torch, resolved_dtype(dtype, device))
    placement = placement_options(device, torch_dtype, quantized, device_map)
    try:
        tokenizer = load_tokenizer(found)
        model = _with_adapter(_load_weights(found.weights, torch_dtype, placement), found, quantized)
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, SafetensorError) as error:
        raise unreachable(source, error) from error
    if not placement:
        model.to(torch.device(device))  # type: ignore[arg-type]  # the decorated method is mistyped
    model.eval().requires_grad_(False)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        name=found.name,
        fingerprint=identity,
        tokenizer_hash=tokenizer_hash(tokenizer),
        variant={"quantized": quantized} if quantized else {},
    )
