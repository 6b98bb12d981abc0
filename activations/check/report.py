"""What a check found."""

import dataclasses
import json
import os
import uuid
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        error: largest relative error found, ``‖difference‖ / ‖expected‖`` of a token's vector; None where the check
            is no comparison.
        limit: what the error is held against.
        where: the worst site, or what was found.
    """

    name: str
    passed: bool
    error: float | None = None
    limit: float | None = None
    where: str = ""


@dataclass(frozen=True)
class Noise:
    """How far the same numbers lie apart for reasons that are nobody's fault, after each block.

    Attributes:
        shape: between a row in a padded batch and the row alone, by transformers itself; relative, per layer.
        kernel: between the attention implementation in use and eager attention; None where there is no other.
    """

    dtype: str
    attention: str
    shape: tuple[float, ...]
    kernel: tuple[float, ...] | None

    @property
    def floor(self) -> float:
        """The larger of the two, over all layers."""
        return max(*self.shape, *(self.kernel or ()), 0.0)

    def save(self, folder: Path) -> Path:
        """Write ``noise.json`` into a folder, such as the model's part of a store."""
        path = folder / "noise.json"
        temporary = folder / f".{uuid.uuid4().hex}.tmp"
        temporary.write_text(json.dumps(dataclasses.asdict(self) | {"floor": self.floor}, indent=2) + "\n")
        os.replace(temporary, path)
        return path


@dataclass(frozen=True)
class CheckReport:
    """All findings on one model under one backend.

    Attributes:
        refused: components that the model does not have, and why.
    """

    model: str
    backend: str
    findings: tuple[Finding, ...]
    noise: Noise
    refused: dict[str, str]
    seconds: float

    @property
    def passed(self) -> bool:
        """Did every check pass?"""
        return all(finding.passed for finding in self.findings)

    @property
    def failed(self) -> list[str]:
        """Names of the checks that did not pass."""
        return [finding.name for finding in self.findings if not finding.passed]

    def to_frame(self) -> "pd.DataFrame":
        """A line per check, with its error and what that is held against."""
        import pandas as pd

        return pd.DataFrame([dataclasses.asdict(finding) for finding in self.findings])

    def _repr_html_(self) -> str:
        head = f"{self.model} under {self.backend}: {'passed' if self.passed else 'FAILED'}"
        return f"<p>{escape(head)}</p>{self.to_frame().to_html(index=False, float_format='{:.1e}'.format)}"

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        noise = dataclasses.asdict(self.noise) | {"floor": self.noise.floor}
        return dataclasses.asdict(self) | {"passed": self.passed, "failed": self.failed, "noise": noise}
