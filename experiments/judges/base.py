"""What a judge is."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from experiments.records import Verdict
from experiments.transcripts import Transcript


class Judge(Protocol):
    """Reads transcripts and says of each whether it admits to the hint.

    Attributes:
        name: how verdicts, tables and detectors call it.
    """

    name: str

    def verdicts(self, transcripts: Iterable[Transcript]) -> Iterator[Verdict]:
        """One verdict per transcript, as they come and in any order, so that a stop loses nothing that was given."""
        ...

    def spent(self) -> dict[str, float]:
        """What reading has cost so far (requests, tokens, cost); empty where nothing was asked of anybody."""
        ...
