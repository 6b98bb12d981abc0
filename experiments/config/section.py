"""What every section of a configuration is."""

from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator


class Section(BaseModel):
    """A frozen section that refuses unknown keys, and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_character_of_code_0(cls, value: Any) -> Any:
        """No file or name can hold one, and the operating system's own words for it say nothing."""
        if isinstance(value, str | Path) and "\0" in str(value):
            raise ValueError("holds a character of code 0, which no name and no path can hold")
        return value

    @field_validator("*")
    @classmethod
    def _nothing_twice(cls, value: Any) -> Any:
        """A kind of hint that is named twice would make two items of one id, and every list here is such a choice."""
        if isinstance(value, tuple):
            plain = [entry for entry in value if isinstance(entry, str | int | float | Path)]
            for entry, n in Counter(plain).items():
                if n > 1:
                    raise ValueError(f"names {str(entry)!r} {n} times; name each entry once")
        return value
