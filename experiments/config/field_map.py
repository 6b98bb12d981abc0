"""Which fields of a row of somebody's data set hold a question's parts."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class FieldMap(BaseModel):
    """Which fields of a row hold what. Where several names are given, the first that a row has is taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: tuple[str, ...] = Field(("id",), description="id of the question; where there is none, its place in the source")
    stem: tuple[str, ...] = Field(("stem", "question"), description="the question without its options")
    options: tuple[str, ...] = Field(
        ("options", "choices"), description="all options: a list, or an object of `text` and `label` lists"
    )
    option_fields: tuple[str, ...] = Field(
        (),
        description="one field per option, instead of `options`; if empty and a row has no `options`: the "
        "fields A, B, C and so on",
    )
    gold: tuple[str, ...] = Field(("gold", "answer"), description="the right option")
    gold_is: Literal["auto", "letter", "index", "label", "text", "first"] = Field(
        "auto",
        description="how `gold` names the right option: by `letter`; by `index` from 0; by `label`, one of "
        "the options' own labels; by `text`; or `first`: the first option is right. `auto` reads a number as "
        "an index and a letter as a letter",
    )
    subject: tuple[str, ...] = Field(("subject",), description="subject or topic")
    group: tuple[str, ...] = Field(
        ("group",), description="group; where there is none, the hash of the normalised stem"
    )
    lettered: bool = Field(False, description="options begin with their letter, which is removed")
    shuffle: bool = Field(False, description="put the options into an order drawn by seed and question")

    @field_validator("id", "stem", "options", "option_fields", "gold", "subject", "group", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value
