"""A trajectory's checkpoints, wherever they came from, in order and of one architecture and tokenizer."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from itertools import pairwise
from pathlib import Path

from activations import fingerprint, load_tokenizer
from activations.errors import HintprobeError
from activations.models import tokenizer_hash
from experiments.records.seeds import stable_int
from experiments.run.known_models import resolve_model
from experiments.training.config import CheckpointConfig, CheckpointsConfig, TrainingConfig
from experiments.training.libraries import kept_random_states, quiet
from experiments.training.workplace import Workplace

_SHAPE = ("model_type", "architectures", "hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
_UNMERGED = (
    "It holds shards of a training framework and no model in the Hugging Face format. For verl, run `python -m "
    "verl.model_merger merge --backend fsdp --local_dir FOLDER --target_dir FOLDER/huggingface` first."
)


@dataclass(frozen=True)
class Located:
    """A checkpoint that can be loaded.

    Attributes:
        source: folder or hub id of a whole model.
        name: what the configuration calls it.
    """

    step: int
    source: str
    name: str


def locate_checkpoints(config: TrainingConfig) -> list[Located]:
    """All checkpoints of a configuration, step 0 first, adapters merged.

    Raises:
        HintprobeError: none is there, steps are out of order or repeated, a folder is missing, or architectures or
            tokenizers differ.
    """
    wanted = _wanted(config)
    steps = [one.step for one in wanted]
    if wrong := [(a, b) for a, b in pairwise(steps) if b <= a]:
        a, b = wrong[0]
        raise HintprobeError(
            f"Checkpoints must be in the order of their steps, but step {b} follows step {a}. Put `checkpoints.listed` "
            "in order, each step once."
        )
    if len(wanted) < 2:
        raise HintprobeError(
            f"The trajectory {config.name} has {len(wanted)} checkpoint{'s' * (len(wanted) != 1)}, but a comparison "
            "needs at least two. Run `hintprobe train rl` first, or list checkpoints in `checkpoints`."
        )
    located = [Located(one.step, _source(config, one), _name(one)) for one in wanted]
    _refuse_missing(located)
    _refuse_mixed(located)
    return located


def _wanted(config: TrainingConfig) -> list[CheckpointConfig]:
    given = config.checkpoints
    base = given.base or config.model
    if given.listed:
        start = [] if given.listed[0].step == 0 else [CheckpointConfig(step=0, model=base)]
        return [*start, *given.listed]
    if given.pattern:
        found = _by_pattern(given)
    else:
        found = Workplace(config.training_dir).found()
        if not found:
            raise HintprobeError(
                f"There are no checkpoints in {config.training_dir}. Run `hintprobe train rl` on this configuration "
                "first, or name others' checkpoints in `checkpoints`."
            )
    kept = [step for k, step in enumerate(found, 1) if k % given.every == 0 or k == len(found)]
    start = [] if 0 in found else [CheckpointConfig(step=0, model=base)]
    return [*start, *(_of_folder(step, found[step]) for step in kept)]


def _by_pattern(given: CheckpointsConfig) -> dict[int, Path]:
    """Folders by step; the step is the last number in the path that differs from folder to folder."""
    pattern = str(given.pattern)
    paths = [Path(path) for path in sorted(glob(pattern)) if Path(path).is_dir()]
    numbers = [[int(n) for n in re.findall(r"\d+", str(path))] for path in paths]
    if not paths or len({len(row) for row in numbers}) != 1:
        raise HintprobeError(
            f"The pattern {pattern!r} finds {len(paths)} folders{' whose names differ in form' if paths else ''}. "
            "Expected folders that differ in one number, the step, such as out/checkpoint-*."
        )
    places = [k for k in range(len(numbers[0])) if len({row[k] for row in numbers}) > 1]
    at = places[-1] if places else len(numbers[0]) - 1
    found = {row[at]: path for row, path in zip(numbers, paths, strict=True)}
    if len(found) < len(paths):
        raise HintprobeError(f"The pattern {pattern!r} finds several folders of one step. Make it match one per step.")
    return dict(sorted(found.items()))


def _of_folder(step: int, folder: Path) -> CheckpointConfig:
    if (folder / "adapter_config.json").exists():
        return CheckpointConfig(step=step, adapter=str(folder))
    if not (folder / "config.json").exists() and any(folder.glob("*world_size_*")):
        raise HintprobeError(f"The checkpoint {folder} (step {step}) cannot be read. {_UNMERGED}")
    return CheckpointConfig(step=step, model=str(folder))


def _name(one: CheckpointConfig) -> str:
    return f"{one.model or one.adapter}{f'@{one.revision}' if one.revision else ''}"


def _source(config: TrainingConfig, one: CheckpointConfig) -> str:
    if one.adapter is not None:
        return _merged(config, one)
    source = resolve_model(str(one.model))
    return source if one.revision is None else _snapshot(source, one.revision)


def _snapshot(source: str, revision: str) -> str:
    """The files of a hub id at a revision."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return str(snapshot_download(source, revision=revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise HintprobeError(
            f"The checkpoint {source} at revision {revision!r} could not be fetched: "
            f"{str(error).splitlines()[0]}. Check id and revision, or download it and give the folder."
        ) from error


def _merged(config: TrainingConfig, one: CheckpointConfig) -> str:
    """The adapter added to its base, written once as a whole model; found by the adapter's own weights."""
    base = resolve_model(config.checkpoints.base or config.model)
    adapter = Path(str(one.adapter))
    weights = adapter / "adapter_model.safetensors"
    if not weights.exists():
        raise HintprobeError(
            f"The adapter {adapter} (step {one.step}) has no adapter_model.safetensors. Give the folder that the "
            "training wrote, or remove the step from the list."
        )
    key = stable_int(fingerprint(base), weights.stat().st_size, _sha(weights), config.dtype)
    folder = config.cache / "merged" / f"{key:016x}"
    if not (folder / "config.json").exists():
        _merge(base, adapter, folder, config)
    return str(folder)


def _sha(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _merge(base: str, adapter: Path, folder: Path, config: TrainingConfig) -> None:
    from activations import load_model

    try:
        from peft import PeftModel
    except ImportError as error:
        raise HintprobeError(
            f"Checkpoints that are adapters need peft ({error}); install it with `pip install 'hintprobe[train]'`."
        ) from error
    loaded = load_model(base, config.dtype, config.device)
    try:
        with kept_random_states(), quiet():
            whole = PeftModel.from_pretrained(loaded.model, str(adapter)).merge_and_unload(safe_merge=True)
    except (RuntimeError, ValueError, KeyError) as error:
        raise HintprobeError(
            f"The adapter {adapter} does not fit the model {base}: {str(error).splitlines()[0]} Give the model that "
            "it was trained on as `checkpoints.base`."
        ) from error
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    whole.save_pretrained(unfinished)
    loaded.tokenizer.save_pretrained(unfinished)
    unfinished.rename(folder)


def _refuse_missing(located: Sequence[Located]) -> None:
    """Every checkpoint is looked for before the first is measured."""
    for one in located:
        try:
            fingerprint(one.source)
        except HintprobeError as error:
            raise HintprobeError(
                f"The checkpoint of step {one.step} cannot be read, so nothing was measured now: {error} Earlier "
                "measurements are kept."
            ) from error


def _refuse_mixed(located: Sequence[Located]) -> None:
    first = located[0]
    shape, words = _shape(first.source), _words(first.source)
    for one in located[1:]:
        own = _shape(one.source)
        if differs := [key for key in shape if own[key] != shape[key]]:
            key = differs[0]
            raise HintprobeError(
                f"The checkpoint of step {one.step} has {key} {own[key]}, and that of step {first.step} has "
                f"{shape[key]}: they are not checkpoints of one training. Remove {one.source}, or start another run."
            )
        if _words(one.source) != words:
            raise HintprobeError(
                f"The tokenizer or chat template of step {one.step} ({one.source}) differs from that of step "
                f"{first.step}, so the same items would have different prompts. Copy tokenizer.json, "
                "tokenizer_config.json and chat_template.jinja of the first step into its folder, if the training did "
                "not change them."
            )


def _shape(source: str) -> dict[str, object]:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source, trust_remote_code=False).to_dict()
    return {key: config.get(key) for key in _SHAPE}


def _words(source: str) -> str:
    return tokenizer_hash(load_tokenizer(source))
