"""A commented configuration for a model: what must be chosen is set, every other key stands by with its default."""

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from experiments.config import Config

_WIDTH = 116
Chosen = Mapping[str, Any]


def config_text(chosen: Chosen, heading: str) -> str:
    """A configuration as YAML.

    Args:
        chosen: values to set, as nested mappings; every other key is written as a comment, with its default.
        heading: lines to stand at the top, as comments.
    """
    parts = [textwrap.indent(heading, "# "), *_lines(Config, chosen, "")]
    return "\n".join(parts) + "\n"


def _lines(section: type[BaseModel], chosen: Chosen, indent: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            set_here = chosen.get(name, {})
            yield ""
            yield from _comment(inner.__doc__ or "", indent)
            yield f"{indent}{name}:" if set_here else f"{indent}# {name}:"
            yield from _lines(inner, set_here, indent + "  ")
        elif name in chosen:
            yield f"{indent}{name}: {_yaml(chosen[name])}"
        else:
            yield from _comment(f"{name}: {_yaml(_default(field))}  # {field.description}", indent)


def _comment(text: str, indent: str) -> Iterator[str]:
    for k, line in enumerate(textwrap.wrap(text, _WIDTH - len(indent), break_on_hyphens=False)):
        yield f"{indent}# {'  ' if k else ''}{line}"


def _default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, int | float | str | bool | dict | None) else str(value)


def _yaml(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000).strip()
    return text.removesuffix("...").strip()


def run_name(model: str) -> str:
    """``Qwen/Qwen3-8B`` → ``qwen3-8b``: a name that a run's folder may have."""
    last = model.rstrip("/").rsplit("/", 1)[-1].removeprefix("organism:")
    return re.sub(r"[^a-z0-9_.-]+", "-", last.lower()).strip("-.") or "run"
