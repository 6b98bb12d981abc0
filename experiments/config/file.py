"""A configuration from its file: YAML, with settings of the command line on top, and errors that name the key."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from activations.errors import HintprobeError
from experiments.config import Config
from experiments.config.other_names import OTHER_NAMES
from experiments.records.files import NOT_YAML, why

_MOST_NAMED = 3
"""Keys of other sections that a message names at most."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
        return super().construct_mapping(node, deep)


def explain(
    path: Path, error: ValidationError, listed: str = "docs/configuration.md", model: type[BaseModel] = Config
) -> str:
    """What is wrong with a file, key by key.

    Args:
        listed: where its keys are described.
        model: what the file was read as; a misspelt key is answered with the nearest of its keys.
    """
    problems = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "(top level)"
        if item["type"] == "extra_forbidden":
            problems.append(f"unknown key `{where}`{_meant(model, item['loc'])}")
        else:
            problems.append(f"`{where}`: {item['msg']} (given: {item['input']!r})")
    return (
        f"The config {path} is not valid: {'; '.join(problems)}. {listed} lists every key; correct the "
        "file and run again."
    )


def _meant(model: type[BaseModel], place: tuple[int | str, ...]) -> str:
    """Our key where another tool's word, or a key of another section, was given; otherwise the nearest one."""
    word, known = str(place[-1]), dict(_keys(model))
    ours = [key for key in OTHER_NAMES.get(word, ()) if key in known]
    ours = ours or [key for key in known if key.rpartition(".")[2] == word][:_MOST_NAMED]
    if ours:
        return f" (hintprobe calls it {'; or '.join(f'`{key}`: {known[key]}' for key in ours)})"
    return _nearest(model, place)


def _keys(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, str]]:
    """Every key of a file from the top, with what it is."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _keys(inner, f"{above}{name}.")
        else:
            yield f"{above}{name}", field.description or ""


def _nearest(model: type[BaseModel], place: tuple[int | str, ...]) -> str:
    """``; did you mean …?``, or nothing where no key of that section is near."""
    for part in place[:-1]:
        found = model.model_fields.get(str(part))
        if found is None or not (isinstance(found.annotation, type) and issubclass(found.annotation, BaseModel)):
            return ""
        model = found.annotation
    near = get_close_matches(str(place[-1]), model.model_fields, 1)
    return f" (did you mean `{'.'.join(map(str, (*place[:-1], near[0])))}`?)" if near else ""


def _set(data: dict[str, Any], setting: str) -> None:
    """Put ``a.b=value`` (the value in YAML) into nested mappings.

    Raises:
        HintprobeError: it is not of that form.
    """
    key, equals, text = setting.partition("=")
    *sections, last = key.strip().split(".")
    try:
        value = yaml.safe_load(text)
    except NOT_YAML as error:
        raise HintprobeError(f"The value of {setting[:200]!r} is not YAML: {why(error)}") from error
    for section in sections:
        inner = data.get(section)
        data[section] = dict(inner) if isinstance(inner, dict) else {}
        data = data[section]
    if not equals or not last:
        raise HintprobeError(f"{setting!r} sets nothing. Expected KEY=VALUE, such as questions.limit=100.")
    data[last] = value


SHIPPED = Path(__file__).parent.parent / "configs"


def shipped_config(name: Path, shipped: Path = SHIPPED) -> Path | None:
    """The configuration that is shipped under a bare name such as ``demo``, unless there is such a file here."""
    if name.suffix in (".yaml", ".yml") or name.exists() or len(name.parts) != 1:
        return None
    return next(iter(shipped.rglob(f"{name}.yaml")), None)


def read_config(path: Path, settings: Sequence[str] = (), shipped: Path = SHIPPED) -> dict[str, Any]:
    """Read a file of sections, unchecked.

    Args:
        settings: ``KEY=VALUE`` each, a dotted key and a value in YAML, in place of the file's.
        shipped: where the shipped files lie, whose names are told if there is no such file.

    Raises:
        HintprobeError: no such file, not YAML, or no mapping.
    """
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        names = ", ".join(sorted(file.stem for file in shipped.rglob("*.yaml")))
        raise HintprobeError(
            f"The config {path} could not be read: {error.strerror}. Give the path of a YAML file, or the name of a "
            f"shipped configuration: {names}."
        ) from error
    except NOT_YAML as error:
        raise HintprobeError(f"The config {path} is not YAML: {why(error)}") from error
    if not isinstance(data, dict):
        raise HintprobeError(f"The config {path} holds {type(data).__name__}, and a mapping of sections was expected.")
    for setting in settings:
        _set(data, setting)
    return data


def load_config(path: Path | str, settings: Sequence[str] = (), **overrides: Any) -> Config:
    """Read and check a config.

    Args:
        path: a YAML file, or the bare name of a shipped configuration.
        settings: ``KEY=VALUE`` each, a dotted key and a value in YAML, in place of the file's.
        overrides: top-level keys with values, in place of the file's; None leaves the file's.

    Raises:
        HintprobeError: no such file, not YAML, an unknown key or an ill-typed value.
    """
    path = shipped_config(Path(path)) or Path(path)
    data = read_config(path, settings)
    try:
        return Config.model_validate({**data, **{k: v for k, v in overrides.items() if v is not None}})
    except ValidationError as error:
        raise HintprobeError(explain(path, error)) from error
