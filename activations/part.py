"""One of several processes that share the rows of a request and write into one store."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from activations.errors import HintprobeError


@dataclass(frozen=True)
class Part:
    """Part ``index`` of ``count``, from 0."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Read ``i/n``.

        Raises:
            HintprobeError: it is not i/n with 0 ≤ i < n < a million.
        """
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if not match or int(match[1]) >= int(match[2]):
            raise HintprobeError(
                f"{text[:40]!r} is not a valid part. Give i/n with i from 0 to n - 1, n below a million, such as 0/4."
            )
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Part | None":
        """What torchrun says (RANK and WORLD_SIZE), or None outside it.

        Raises:
            HintprobeError: one of the two is missing or no number that fits.
        """
        rank, world = environment.get("RANK"), environment.get("WORLD_SIZE")
        if rank is None and world is None:
            return None
        return cls.parse(f"{rank}/{world}")
