"""All stages of a run, model by model, and the summary that the report is made from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from activations import Part
from activations.errors import HintprobeError
from activations.models import count_layers
from experiments.config import Config
from experiments.engines.registry import ENGINES
from experiments.hints import HINTS
from experiments.interventions.pairs import PROMPT_POSITIONS, READOUT_POSITIONS
from experiments.judges import check_judges
from experiments.prompts.positions import check_position
from experiments.records.files import signed, unwritable, write_json
from experiments.records.summary import SUMMARY, ModelSummary, StageSummary, Summary
from experiments.report import PAGE, Run, write_report
from experiments.run.lock import LOCK, holding
from experiments.run.model_run import ModelRun, provenance
from experiments.run.progress import Reporter
from experiments.run.stage import Stage
from experiments.stages import STAGES, VERBS
from experiments.stages.capture import captured_sites
from experiments.stages.probe import too_few_rows


def run_pipeline(
    config: Config,
    reporter: Reporter | None = None,
    until: str = "report",
    part: Part | None = None,
    wait: bool = False,
    strict: bool = False,
) -> Summary | None:
    """Run the stages up to and including ``until`` for every model; what is there already is not run again.

    Args:
        part: with ``until="capture"``, the share of the rows that this process captures.
        wait: where another process is working on this run, wait for it, then go on from what it left.
        strict: too few rows for probes are an error, not a result.

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
        return _run_models(config, reporter, until, part, strict)


def _run_models(config: Config, reporter: Reporter, until: str, part: Part | None, strict: bool) -> Summary | None:
    wanted = VERBS[: VERBS.index(until) + 1]
    runs: list[ModelRun] = []
    try:
        for name in config.models:
            run = ModelRun(config, name, reporter, part=part)
            runs.append(run)
            reporter.say(name, style="bold")
            run_stages(run, runs[0], wanted)
            run.__dict__.pop("loaded", None)  # one model in memory at a time
        if said := too_few_rows(runs[0]):
            if strict:
                raise HintprobeError(said)
            reporter.warn(said)
    finally:
        # Whatever stopped the run, what was finished is told.
        summary = write_summary(config, runs) if any(run.results for run in runs) else None
        if summary is not None:
            write_report([Run(config.run_dir, summary)], config.run_dir / PAGE)
    return summary if until == "report" else None


def check_names(config: Config) -> None:
    """Refuse names that no stage knows before any model runs.

    Raises:
        HintprobeError: an unknown engine, kind of hint, judge or position.
    """
    check_judges(config.judge.judges, config.judge.models, config.judge.trained)
    ENGINES.check(config.generate.engine)
    for kind in config.hints.kinds:
        HINTS.check(kind)
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
    for name in STAGES:
        stage = STAGES[name]
        if stage.verb in wanted:
            stage.run(run, first)


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


def write_summary(config: Config, runs: Sequence[ModelRun]) -> Summary:
    """Write ``summary.json`` of what is finished; a missing stage is named, not left out."""
    summary = Summary(
        name=config.name, models=tuple(_model_summary(run) for run in runs), provenance=provenance(config)
    )
    write_json(config.run_dir / SUMMARY, signed(summary.model_dump(mode="json")))
    return summary


def _model_summary(run: ModelRun) -> ModelSummary:
    finished = [STAGES[name] for name in STAGES if name in run.results]
    sections: dict[str, Any] = {
        stage.section: stage.report(run) for stage in finished if stage.section and stage.report
    }
    return ModelSummary(
        model=run.model_name,
        folder=run.key,
        fingerprint=run.fingerprint,
        missing_stages=tuple(name for name in STAGES if name not in run.results),
        stages={stage.name: _stage_summary(run, stage) for stage in finished},
        **sections,
    )


def _stage_summary(run: ModelRun, stage: Stage) -> StageSummary:
    result = run.results[stage.name]
    return StageSummary(
        seconds=round(result.seconds, 3),
        forwards=result.forwards,
        fresh=result.fresh,
        folder=result.folder.name,
        account=run.account(stage.account),
    )
