"""The tables of fields in ``docs/``, made from the models themselves: ``python -m experiments.schema`` rewrites them.

A page holds ``<!-- fields:NAME -->`` and ``<!-- end -->``; what stands between them is generated, the rest is prose.
"""

import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from activations.errors import HintprobeError
from experiments.config import Config
from experiments.records import (
    CellFigure,
    Certainty,
    Choice,
    CotScore,
    DetectorSummary,
    GradedScore,
    GradedSummary,
    Item,
    KindScores,
    Label,
    Message,
    PositionRow,
    Prompt,
    Question,
    Reliance,
    Rollout,
    ScoreRow,
    Span,
    TargetRow,
    TransferCell,
    Verdict,
    accounts,
    behaviour_figures,
    comparison,
    detector_tables,
    judging,
    monitoring,
    parts,
    summary,
)
from experiments.records.causal import CAUSAL_RECORDS, PatchCell
from experiments.records.tables import write_atomically
from experiments.records.trajectory import (
    Checkpoint,
    Estimate,
    Flagging,
    Followed,
    JudgeAtStep,
    Level,
    Reading,
    StepRow,
    Trajectory,
)
from experiments.training.config import CheckpointConfig, CheckpointsConfig, MeasureConfig, RLConfig, TrainingConfig


def _models_of(module: types.ModuleType) -> list[type[BaseModel]]:
    """The models that a module defines and that have fields, in its order."""
    found = (value for value in vars(module).values() if isinstance(value, type) and issubclass(value, BaseModel))
    return [model for model in found if model.__module__ == module.__name__ and model.model_fields]


DOCS = Path(__file__).parent.parent / "docs"
RECORDS: tuple[type[BaseModel], ...] = (
    Question, Message, Span, Prompt, Item, Rollout, Verdict, Label, Reliance, PositionRow, Certainty, TargetRow,
    ScoreRow, Choice, CellFigure, DetectorSummary, TransferCell, KindScores, GradedScore, GradedSummary,
    CotScore, PatchCell,
    *CAUSAL_RECORDS,
)  # fmt: skip

RESULTS: tuple[type[BaseModel], ...] = (
    *(
        model
        for module in (accounts, summary, parts, judging, monitoring, behaviour_figures, detector_tables, comparison)
        for model in _models_of(module)
    ),
)
"""What accounts, ``summary.json`` and ``comparison.json`` are made of."""

TRAJECTORY_RECORDS: tuple[type[BaseModel], ...] = (
    Trajectory, Checkpoint, Reading, Flagging, JudgeAtStep, Level, Followed, StepRow, Estimate,
)  # fmt: skip

_BLOCK = re.compile(r"(<!-- fields:(\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_PLAIN = {
    Any: "any JSON value",
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    Path: "string (path)",
    type(None): "null",
}


def type_name(annotation: Any) -> str:
    """A Python annotation in JSON's words: ``array of integer``, ``"stop" or "length"``, ``string or null``."""
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(argument) for argument in arguments)
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return f"array of {type_name(arguments[0])}"
    if origin is tuple and len(set(arguments)) == 1:
        return f"array of {len(arguments)} {type_name(arguments[0])}s"
    if origin is dict:
        return f"object: string to {type_name(arguments[1])}"
    if get_origin(annotation) is Annotated:
        own = [
            item for given in arguments[1:] for item in (given.metadata if isinstance(given, FieldInfo) else (given,))
        ]
        return " ".join([type_name(arguments[0]), ", ".join(_limits(own))]).rstrip()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.__name__
    raise HintprobeError(
        f"The documentation has no word for the type {annotation!r}; add one to experiments/schema.py."
    )


def _meaning(field: FieldInfo) -> str:
    """A field's description, with JSON's word for Python's None."""
    return re.sub(r"\bNone\b", "null", field.description or "")


def _limits(constraints: Iterable[object]) -> list[str]:
    """What a value must satisfy besides its type."""
    words: dict[type, Callable[[Any], str]] = {
        annotated_types.Gt: lambda m: f"> {m.gt}",
        annotated_types.Ge: lambda m: f"≥ {m.ge}",
        annotated_types.Lt: lambda m: f"< {m.lt}",
        annotated_types.Le: lambda m: f"≤ {m.le}",
        annotated_types.MinLen: lambda m: f"at least {m.min_length}",
        annotated_types.MaxLen: lambda m: f"at most {m.max_length}",
    }
    return [words[type(item)](item) for item in constraints if type(item) in words]


def _typed(field: FieldInfo) -> str:
    """Type and limits of a field."""
    return ", ".join([type_name(field.annotation), *_limits(field.metadata)])


def _plain_value(value: Any) -> str:
    """A default as YAML would have it."""
    if value is None:
        return "`null`"
    if isinstance(value, tuple | list):
        return "`[" + ", ".join(str(item) for item in value) + "]`"
    return f"`{value}`"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    return _plain_value(field.get_default(call_default_factory=True))


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def record_table(record: type[BaseModel]) -> str:
    """Every field of a record, with its type and meaning."""
    rows = ((f"`{name}`", _typed(field), _meaning(field)) for name, field in record.model_fields.items())
    return _table(("field", "type", "meaning"), rows)


def config_table(section: type[BaseModel], prefix: str = "") -> str:
    """Every key of a section of the config, its type, default and meaning; the top level's sections are left out."""
    return _table(("key", "type", "default", "meaning"), _config_rows(section, prefix))


def _config_rows(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, ...]]:
    for name, field in section.model_fields.items():
        inner = _inner_section(field)
        if not _is_section(field):
            yield f"`{prefix}{name}`", _typed(field), _default(field), _meaning(field)
        elif prefix:
            yield f"`{prefix}{name}`", "object", "`{}`", _meaning(field)
        if inner is not None and prefix:
            yield from _config_rows(inner, f"{prefix}{name}.")


def _inner_section(field: FieldInfo) -> type[BaseModel] | None:
    """The section that a key holds, or may hold."""
    for candidate in (field.annotation, *get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def config_sections() -> dict[str, type[BaseModel]]:
    """Sections of the config by name, in order."""
    fields = Config.model_fields.items()
    return {name: cast("type[BaseModel]", field.annotation) for name, field in fields if _is_section(field)}


def tables_of(page: str) -> dict[str, str]:
    """The generated tables of a page in ``docs/``, by name."""
    if page == "configuration.md":
        sections = {name: config_table(section, f"{name}.") for name, section in config_sections().items()}
        return {"top": config_table(Config), **sections}
    if page == "training.md":
        return {
            "training": config_table(TrainingConfig),
            "train": config_table(RLConfig, "train."),
            "checkpoints": config_table(CheckpointsConfig, "checkpoints."),
            "checkpoint": config_table(CheckpointConfig, "checkpoints.listed[]."),
            "measure": config_table(MeasureConfig),
            **{record.__name__: record_table(record) for record in TRAJECTORY_RECORDS},
        }
    return {record.__name__: record_table(record) for record in (*RECORDS, *RESULTS)}


PAGES = ("format.md", "configuration.md", "training.md")


def filled(text: str, tables: Mapping[str, str]) -> str:
    """A page with its tables made anew.

    Raises:
        HintprobeError: the page asks for a table that there is not, or lacks one that there is.
    """
    asked = [match[2] for match in _BLOCK.finditer(text)]
    if sorted(asked) != sorted(tables):
        wrong = sorted(set(asked) ^ set(tables)) or sorted(name for name in asked if asked.count(name) > 1)
        raise HintprobeError(
            f"The page and the models disagree about the tables {', '.join(wrong)}. Each needs one block from "
            f"`<!-- fields:NAME -->` to `<!-- end -->`."
        )
    return _BLOCK.sub(lambda match: f"{match[1]}{tables[match[2]]}{match[4]}", text)


def main() -> None:
    """Rewrite the tables of all pages."""
    for page in PAGES:
        path = DOCS / page
        write_atomically(path, filled(path.read_text(encoding="utf-8"), tables_of(page)))


if __name__ == "__main__":
    main()
