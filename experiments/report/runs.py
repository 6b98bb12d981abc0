"""Finished or unfinished runs as a report reads them: a folder with a summary."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from activations.errors import HintprobeError
from experiments.records.files import is_sound
from experiments.records.run_records import RunRecords
from experiments.records.summary import SUMMARY, SUMMARY_FORMAT, SUMMARY_VERSION, ModelSummary, Summary

COMPARISON_KEYS = ("counts", "reference", "faithfulness", "hint_effect", "frozen", "detectors", "hidden_detectors")
"""What every comparison has, whatever could be trained."""


@dataclass(frozen=True)
class Run:
    """A run's folder and what its ``summary.json`` holds."""

    folder: Path
    summary: Summary

    @property
    def config(self) -> dict[str, Any]:
        """The configuration that the run was made with."""
        return self.summary.provenance.config

    def records(self, model: ModelSummary) -> RunRecords:
        """The records of one model of the summary."""
        home = self.folder / model.folder
        return RunRecords.of_folders({name: home / stage.folder for name, stage in model.stages.items()})

    @property
    def config_yaml(self) -> str:
        """The same, to save and run again."""
        return yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True, width=100)


def read_run(folder: Path) -> Run:
    """Read a run's folder (or the path of its summary).

    Raises:
        HintprobeError: there is no such run, it is damaged or empty, or a newer hintprobe wrote it.
    """
    path = folder if folder.name == SUMMARY else folder / SUMMARY
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HintprobeError(
            f"There is no run in {str(folder)!r}: {path.name} cannot be read ({error.strerror}). Give the folder that "
            "`hintprobe run` wrote, such as cache/runs/demo, or a configuration to run."
        ) from error
    except (ValueError, RecursionError) as error:
        raise HintprobeError(
            f"The summary {path} is not complete JSON ({str(error) or 'nested too deeply'}). Run the stages again: "
            "finished stages are reused, and the summary is rewritten."
        ) from error
    if not isinstance(summary, dict) or summary.get("format") != SUMMARY_FORMAT:
        raise HintprobeError(f"{path} is not a summary of hintprobe: its format is not {SUMMARY_FORMAT!r}.")
    if not isinstance(summary.get("version"), int):
        raise HintprobeError(f"The summary {path} has no version. Run the stages again to rewrite it.")
    if summary["version"] > SUMMARY_VERSION:
        raise HintprobeError(
            f"The summary {path} has version {summary['version']}, and this hintprobe reads up to {SUMMARY_VERSION}. "
            "Upgrade hintprobe."
        )
    if not is_sound(summary):
        raise HintprobeError(
            f"The summary {path} was changed since it was written: its checksum does not match. Run the stages again "
            "(`hintprobe run CONFIG`): finished stages are reused, and the summary is rewritten."
        )
    _refuse_empty(path, summary)
    try:
        return Run(path.parent, Summary.model_validate(summary))
    except ValidationError as error:
        first = error.errors()[0]
        raise HintprobeError(
            f"The summary {path} is damaged: {'.'.join(map(str, first['loc']))}: {first['msg']}. Run the stages again: "
            "finished stages are reused, and the summary is rewritten."
        ) from error


def _refuse_empty(path: Path, summary: dict[str, Any]) -> None:
    """Refuse a summary without models, and a comparison that is there but says nothing.

    Raises:
        HintprobeError: there is nothing to report on.
    """
    if not summary.get("models"):
        raise HintprobeError(
            f"The summary {path} holds no model, so there is nothing to report. Run `hintprobe run` on its "
            "configuration."
        )
    for model in summary["models"]:
        comparison = model.get("comparison")
        lacking = [] if comparison is None else [key for key in COMPARISON_KEYS if key not in comparison]
        if lacking:
            raise HintprobeError(
                f"The comparison of {model.get('model')} in {path} is {'cut short' if comparison else 'empty'}: it "
                f"lacks {', '.join(lacking)}. Delete the model's folder compare-… and run `hintprobe compare` again; "
                "the other stages are reused from the cache."
            )
