"""Finished or unfinished runs as a report reads them: a folder with a summary."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from activations.errors import HintprobeError

SUMMARY = "summary.json"
SUMMARY_FORMAT = "hintprobe-summary"
SUMMARY_VERSION = 1


@dataclass(frozen=True)
class Run:
    """A run's folder and what its ``summary.json`` holds."""

    folder: Path
    summary: dict[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        """The configuration that the run was made with."""
        config: dict[str, Any] = self.summary["provenance"]["config"]
        return config

    @property
    def config_yaml(self) -> str:
        """The same, to save and run again."""
        return yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True, width=100)


def read_run(folder: Path) -> Run:
    """Read a run's folder (or the path of its summary).

    Raises:
        HintprobeError: there is no such run, it is damaged, or a newer hintprobe wrote it.
    """
    path = folder if folder.name == SUMMARY else folder / SUMMARY
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HintprobeError(
            f"There is no run in {str(folder)!r}: {path.name} cannot be read ({error.strerror}). Give the folder that "
            "`hintprobe run` wrote, such as cache/runs/demo, or a configuration to run."
        ) from error
    except ValueError as error:
        raise HintprobeError(
            f"The summary {path} is not complete JSON ({error}). Run the stages again: what is finished is found, and "
            "the summary is written anew."
        ) from error
    if not isinstance(summary, dict) or summary.get("format") != SUMMARY_FORMAT:
        raise HintprobeError(f"{path} is not a summary of hintprobe: its format is not {SUMMARY_FORMAT!r}.")
    if summary["version"] > SUMMARY_VERSION:
        raise HintprobeError(
            f"The summary {path} has version {summary['version']}, and this hintprobe reads up to {SUMMARY_VERSION}. "
            "Upgrade hintprobe."
        )
    return Run(path.parent, summary)
