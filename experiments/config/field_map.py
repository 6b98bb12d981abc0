"""Which fields of a row of somebody's data set hold a question's parts."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class FieldMap(BaseModel):
    """Which fields of a row hold what. Where several names are given, the first that a row has is taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: tuple[str, ...] = Field(
        ("id",), description="name of the question; its place in the source where there is none"
    )
    stem: tuple[str, ...] = Field(("stem", "question"), description="the question without its options")
    options: tuple[str, ...] = Field(
        ("options", "choices"), description="all options: a list, or an object of `text` and `label` lists"
    )
    option_fields: tuple[str, ...] = Field(
        (), description="in place of `options`, one field per option; none named and no `options`: A, B, C and so on"
    )
    gold: tuple[str, ...] = Field(("gold", "answer"), description="the right option")
    gold_is: Literal["auto", "letter", "index", "label", "text", "first"] = Field(
        "auto",
        description="how it is named: `letter`; `index` from 0; `label`, one of the options' own labels; `text`; or "
        "`first`, the first option is right. `auto` takes a number for an index, a letter for a letter",
    )
    subject: tuple[str, ...] = Field(("subject",), description="subject or topic")
    group: tuple[str, ...] = Field(("group",), description="group; the normalised stem's hash where there is none")
    lettered: bool = Field(False, description="options begin with their letter, which is taken off")
    shuffle: bool = Field(False, description="options are put in an order drawn by seed and question")

    @field_validator("id", "stem", "options", "option_fields", "gold", "subject", "group", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value
