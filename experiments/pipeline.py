"""All stages of a run, model by model, and the summary that the report is made from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from activations import Part
from activations.errors import HintprobeError
from activations.models import count_layers
from experiments.config import Config
from experiments.interventions.pairs import PROMPT_POSITIONS, READOUT_POSITIONS
from experiments.judges import check_judges
from experiments.prompts.positions import check_position
from experiments.records.files import read_json, signed, unwritable, write_json
from experiments.records.stages import cells_table
from experiments.report import PAGE, Run, write_report
from experiments.report.runs import SUMMARY, SUMMARY_FORMAT, SUMMARY_VERSION
from experiments.run.lock import LOCK, holding
from experiments.run.model_run import ModelRun, StageResult, provenance
from experiments.run.progress import Reporter
from experiments.stages.capture import captured_sites, run_capture
from experiments.stages.compare import COMPARISON, run_compare
from experiments.stages.directions import directions_summary, run_directions
from experiments.stages.generate import run_generate
from experiments.stages.judge import run_judge
from experiments.stages.mediate import mediation_summary, run_mediate
from experiments.stages.patch import run_patch
from experiments.stages.probe import refuse_untrained, run_probe

STAGES = ("generate", "judge", "capture", "probe", "patch", "compare", "report")


def run_pipeline(
    config: Config,
    reporter: Reporter | None = None,
    until: str = "report",
    part: Part | None = None,
    wait: bool = False,
) -> dict[str, Any] | None:
    """Run the stages up to and including ``until`` for every model; what is there already is not run again.

    Args:
        part: with ``until="capture"``, the share of the rows that this process captures.
        wait: where another process is working on this run, wait for it, then go on from what it left.

    Returns:
        The summary, if the report stage was reached.

    Raises:
        HeldError: another process is working on this run, and ``wait`` is off.
        HintprobeError: bad input. A summary of what was finished is written first.
    """
    check_names(config)
    try:
        config.run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(config.run_dir, error) from error
    reporter = reporter or Reporter()
    name = LOCK if part is None else f"part-{part.index}-of-{part.count}.lock"
    with holding(config.run_dir, name, wait, reporter.say), limited_threads(config.threads):
        return _run_models(config, reporter, until, part)


def _run_models(config: Config, reporter: Reporter, until: str, part: Part | None) -> dict[str, Any] | None:
    wanted = STAGES[: STAGES.index(until) + 1]
    runs: list[ModelRun] = []
    try:
        for name in config.models:
            run = ModelRun(config, name, reporter, part=part)
            runs.append(run)
            reporter.say(name, style="bold")
            run_stages(run, runs[0], wanted)
            run.__dict__.pop("loaded", None)  # one model in memory at a time
        refuse_untrained(runs[0])
    finally:
        # Whatever stopped the run, what was finished is told.
        summary = write_summary(config, runs) if any(run.results for run in runs) else None
        if summary is not None:
            write_report([Run(config.run_dir, summary)], config.run_dir / PAGE)
    return summary if until == "report" else None


def check_names(config: Config) -> None:
    """Refuse names that no stage knows before any model runs.

    Raises:
        HintprobeError: an unknown judge or position.
    """
    check_judges(config.judge.judges, config.judge.models, config.judge.trained)
    for position in config.capture.positions:
        check_position(position)
    unknown = [name for name in config.patch.positions if name not in (*PROMPT_POSITIONS, *READOUT_POSITIONS)]
    if unknown:
        raise HintprobeError(
            f"There is no patch position named {unknown[0]!r}. Known: "
            f"{', '.join((*PROMPT_POSITIONS, *READOUT_POSITIONS))}."
        )


def run_stages(run: ModelRun, first: ModelRun, wanted: Sequence[str]) -> None:
    """Run the stages ``wanted`` of a model, in order; ``first`` is the model whose probes are frozen."""
    if run.config.capture.layers is not None and "capture" in wanted:
        captured_sites(run.config.capture, count_layers(run.source))  # a block that is not there is refused now
    for stage in wanted:
        if stage == "generate":
            run_generate(run)
        elif stage == "judge":
            run_judge(run)
        elif stage == "capture":
            run_capture(run)
        elif stage == "probe":
            run_probe(run)
        elif stage == "patch":
            run_patch(run)
            run_mediate(run)
            run_directions(run)
        elif stage == "compare":
            run_compare(run, first)


@contextmanager
def limited_threads(n: int | None) -> Iterator[None]:
    """Limit torch's threads while a run lasts."""
    if n is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def write_summary(config: Config, runs: Sequence[ModelRun]) -> dict[str, Any]:
    """Write ``summary.json`` of what is finished; a missing stage is named, not left out."""
    summary = signed(
        {
            "format": SUMMARY_FORMAT,
            "version": SUMMARY_VERSION,
            "name": config.name,
            "models": [_model_summary(run) for run in runs],
            "provenance": provenance(config),
        }
    )
    write_json(config.run_dir / SUMMARY, summary)
    return summary


def _model_summary(run: ModelRun) -> dict[str, Any]:
    results = run.results
    return {
        "model": run.model_name,
        "folder": run.key,
        "fingerprint": run.fingerprint,
        "missing_stages": [stage for stage in STAGES[:-1] if stage not in results],
        "stages": {name: _stage_summary(result) for name, result in results.items()},
        "comparison": read_json(results["compare"].folder / COMPARISON) if "compare" in results else None,
        "patch": _patch_summary(results["patch"]) if "patch" in results else None,
        "directions": directions_summary(results["directions"]) if "directions" in results else None,
        "mediation": mediation_summary(results["mediate"]) if "mediate" in results else None,
    }


def _stage_summary(result: StageResult) -> dict[str, Any]:
    return {
        "seconds": round(result.seconds, 3),
        "forwards": result.forwards,
        "fresh": result.fresh,
        "folder": result.folder.name,
        "account": result.account,
    }


def _patch_summary(result: StageResult) -> dict[str, Any]:
    """The first comparison's grid, each placebo at its largest per site; every cell is in the stage's own table."""
    cells = [cell.model_dump() for cell in cells_table(result.folder).read() if cell.recovery is not None]
    first = cells[0] if cells else {}
    shown = [c for c in cells if all(c[key] == first[key] for key in ("comparison", "direction", "head"))]
    named = [c for c in shown if c["control"] is None]
    largest: dict[tuple[str, str], dict[str, Any]] = {}
    for cell in sorted((c for c in shown if c["control"] is not None), key=lambda c: abs(c["recovery"])):
        largest[cell["site"], cell["control"]] = {**cell, "position": cell["control"]}
    placebos = sorted(largest.values(), key=lambda cell: abs(cell["recovery"]))
    return {
        "pairs": result.account["pairs"],
        "dropped": result.account["dropped"],
        "best": max(named, key=lambda cell: cell["recovery"], default=None),
        "placebo": placebos[-1] if placebos else None,
        "cells": named + placebos,
    }
