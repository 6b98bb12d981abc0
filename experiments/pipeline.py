"""All stages of a run, model by model, and the summary that the report is made from."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from activations import Part
from activations.errors import HintprobeError
from experiments.beside import others_beside
from experiments.config import Config
from experiments.engines.registry import ENGINES
from experiments.hints import HINTS
from experiments.interventions.pairs import PROMPT_POSITIONS, READOUT_POSITIONS
from experiments.judges import check_judges
from experiments.prompts.positions import check_position
from experiments.records.files import signed, unwritable, write_json
from experiments.records.summary import SUMMARY, ModelSummary, StageSummary, Summary
from experiments.report import Run, refresh_report
from experiments.run.folder import LOG, explain_folder
from experiments.run.lock import LOCK, holding
from experiments.run.model_run import ModelRun
from experiments.run.part_folders import NoPartsError
from experiments.run.parts import Share
from experiments.run.progress import Reporter
from experiments.run.provenance import provenance
from experiments.run.stage import Stage
from experiments.stages import STAGES, VERBS
from experiments.stages.running import run_stages
from experiments.stages.too_few import too_few_rows


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
        part: the share of the rows of the stages of the verb ``until`` that this process computes; the stages before
            have to be finished.
        wait: where another process is working on this run, wait for it, then go on from what it left.
        strict: too few rows for probes are an error, not a result.

    Returns:
        The summary, if the report stage was reached.

    Raises:
        HeldError: another process is working on this run, and ``wait`` is off.
        HintprobeError: bad input. A summary of what was finished is written first.
    """
    reporter = replace(reporter or Reporter(), log=config.run_dir / LOG)
    with prepared(config, LOCK if part is None else f"part-{part.index}-of-{part.count}.lock", wait, reporter):
        if part is None:
            return run_models(config, reporter, strict, until)
        run_part(config, reporter, until, part)
        return None


@contextmanager
def prepared(config: Config, lock: str, wait: bool, reporter: Reporter) -> Iterator[None]:
    """The folder of a run, its names known and its lock held.

    Raises:
        HeldError: another process holds it, and ``wait`` is off.
        HintprobeError: a name that no stage knows, or a folder that cannot be written.
    """
    check_names(config)
    try:
        config.run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(config.run_dir, error) from error
    explain_folder(config.run_dir)
    with holding(config.run_dir, lock, wait, reporter.say):
        yield


def run_models(
    config: Config,
    reporter: Reporter,
    strict: bool,
    until: str = "report",
    made: Mapping[str, Sequence[str]] | None = None,
) -> Summary | None:
    """All models, one after the other, in a folder that is prepared; otherwise as :func:`run_pipeline`.

    Args:
        made: by model, stages that other processes of this run have made, which this one then finds.
    """
    wanted = VERBS[: VERBS.index(until) + 1]
    runs: list[ModelRun] = []
    try:
        with others_beside(config, wanted) as others:
            for name in config.models:
                run = ModelRun(config, name, reporter)
                runs.append(run)
                reporter.say(name, style="bold")
                if name in others:
                    reporter.say("  running in a process of its own")
                    others[name].wait()
                run_stages(run, runs[0], wanted)
                for stage in (made or {}).get(name, ()):
                    run.results[stage] = replace(run.results[stage], fresh=True)
                run.__dict__.pop("loaded", None)  # one model in memory at a time
        _find_further(runs, VERBS[len(wanted) :])
        if said := too_few_rows(runs[0]):
            if strict:
                raise HintprobeError(said)
            reporter.warn(said)
    finally:
        # Whatever stopped the run, what was finished is told.
        summary = write_results(config, runs)
    return summary if until == "report" else None


def _find_further(runs: Sequence[ModelRun], verbs: Sequence[str]) -> None:
    """Find what is finished of the stages that were not asked for, so that the summary does not lose it."""
    with suppress(NoPartsError):  # the first that is not finished
        for run in runs if verbs else ():
            run.share, run.reporter = Share(()), Reporter()
            run_stages(run, runs[0], verbs)


def write_results(config: Config, runs: Sequence[ModelRun]) -> Summary | None:
    """Write the summary and the page of what is finished, if anything is."""
    if not any(run.results for run in runs):
        return None
    summary = write_summary(config, runs)
    contents = {run.key: {name: stage.content for name, stage in run.results.items()} for run in runs}
    refresh_report(Run(config.run_dir, summary), contents)
    return summary


def run_part(config: Config, reporter: Reporter, verb: str, part: Part) -> None:
    """Do a part of the stages of a verb, for every model.

    Raises:
        HintprobeError: a stage before is not finished, or the verb's stages cannot be done in parts.
    """
    shared = tuple(name for name in STAGES if STAGES[name].verb == verb and STAGES[name].parts)
    if not shared:
        divided = dict.fromkeys(STAGES[name].verb for name in STAGES if STAGES[name].parts)
        raise HintprobeError(f"`{verb}` cannot be run in parts. These stages can: {', '.join(divided)}.")
    first: ModelRun | None = None
    for name in config.models:
        run = ModelRun(config, name, reporter, share=Share(shared, part))
        first = first or run
        reporter.say(name, style="bold")
        run_stages(run, first, VERBS[: VERBS.index(verb) + 1])
        run.__dict__.pop("loaded", None)


def join_parts(config: Config, reporter: Reporter | None = None, wait: bool = False) -> dict[str, list[str]]:
    """Join what was done in parts, for every model, up to the first stage that is not finished and has none.

    Returns:
        Per model, the stages that are finished now.

    Raises:
        HintprobeError: a part that is missing or does not fit, or a model of which nothing is there.
    """
    reporter = reporter or Reporter()
    every = tuple(name for name in STAGES if STAGES[name].parts)
    runs: list[ModelRun] = []
    with prepared(config, LOCK, wait, reporter):
        try:
            for name in config.models:
                runs.append(ModelRun(config, name, reporter, share=Share(every)))
                reporter.say(name, style="bold")
                try:
                    run_stages(runs[-1], runs[0], VERBS)
                except NoPartsError:
                    if not runs[-1].results:
                        raise
        finally:
            write_results(config, runs)
    return {run.model_name: list(run.results) for run in runs}


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
        missing_stages=tuple(name for name in STAGES if name not in (*run.results, *run.config.skip)),
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
