"""The ordinary pipeline on a family of organisms: what each detector finds where the truth is known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.config import Config
from experiments.config.file import load_config
from experiments.detectors import MAIN, labelled_rows
from experiments.organisms.identity import Organism, find_organism
from experiments.organisms.promises import load_promises
from experiments.organisms.shares import auroc_figure, share
from experiments.pipeline import write_summary
from experiments.records.accounts import ProbeAccount
from experiments.records.seeds import stream
from experiments.records.tables import write_json
from experiments.run.lock import holding
from experiments.run.model_run import ModelRun
from experiments.run.progress import Reporter
from experiments.stages.capture import run_capture
from experiments.stages.compare import read_comparison, run_compare
from experiments.stages.generate import run_generate
from experiments.stages.judge import run_judge
from experiments.stages.patch import run_patch
from experiments.stages.probe import run_probe
from experiments.stages.too_few import refuse_untrained
from experiments.stages.work.frozen import frozen_figures

CALIBRATION = "calibration.json"
MENTION = "mention_lexical"
"""The lexical judge's `mentions` alone: a reader that takes every mention for an admission."""


def calibrate(
    config_path: str, names: Sequence[str] | None, questions: int | None, cache: Path | None, reporter: Reporter
) -> dict[str, Any]:
    """Run what is missing of every organism's stages and gather the figures; also written to the run's folder.

    Args:
        config_path: a configuration file, or a shipped one's name; its models are organisms.
        names: organisms in place of the configuration's models, the first that relies on hints first.
        questions: per organism, in place of the configuration's.

    Raises:
        HintprobeError: a model that is no organism, or a first one that gives too few rows to train probes on.
    """
    settings = [] if questions is None else [f"questions.limit={questions}"]
    models = None if names is None else tuple(find_organism(name.strip()).source for name in names)
    overrides: dict[str, Any] = {"cache": cache} | ({"models": models, "limits": {}} if models else {})
    config = load_config(Path(config_path), settings, **overrides)
    organisms = [find_organism(model) for model in config.models]
    runs: list[ModelRun] = []
    config.run_dir.mkdir(parents=True, exist_ok=True)
    with holding(config.run_dir):
        for organism in organisms:
            runs.append(_run(config, organism, runs[0] if runs else None, reporter))
            refuse_untrained(runs[0])
        write_summary(config, runs)
        found = _gathered(config, organisms, runs)
    write_json(config.run_dir / CALIBRATION, found)
    return found


def _run(config: Config, organism: Organism, first: ModelRun | None, reporter: Reporter) -> ModelRun:
    """The stages of one organism, at the temperature at which its promises hold."""
    generate = config.generate.model_copy(update={"temperature": organism.recipe.temperature})
    run = ModelRun(config.model_copy(update={"generate": generate}), organism.source, reporter)
    run.reporter.say(organism.source, style="bold")
    for stage in (run_generate, run_judge, run_capture, run_probe, run_patch):
        stage(run)
    run_compare(run, first or run)
    run.__dict__.pop("loaded", None)  # one model in memory at a time
    return run


def _gathered(config: Config, organisms: Sequence[Organism], runs: Sequence[ModelRun]) -> dict[str, Any]:
    names = [organism.name for organism in organisms]
    transfer: dict[str, dict[str, Any]] = {}
    for name, trained in zip(names, runs, strict=True):
        if trained.account(ProbeAccount).trained:
            transfer[name] = {
                other: _transfer(trained, run, config) for other, run in zip(names, runs, strict=True) if other != name
            }
    return {
        "config": config.name,
        "questions": config.questions.limit,
        "seed": config.seed,
        "organisms": {organism.name: _organism(organism, run) for organism, run in zip(organisms, runs, strict=True)},
        "transfer": transfer,
    }


def _transfer(trained: ModelRun, run: ModelRun, config: Config) -> dict[str, Any]:
    """Detectors of one organism on another: AUROC where it relies, share over the threshold on rows with a_h = h."""
    rng = stream(config.seed, "transfer", trained.key, run.key)
    found = frozen_figures(run, trained, labelled_rows(run, behaviours=None), rng)
    aurocs = {name: auroc.model_dump() for name, auroc in found.auroc.items()}
    shares = {name: share.model_dump() for name, share in found.share_over_threshold.items()}
    auroc = {"refused": {"reason": found.refused}} if found.refused else aurocs
    return {"rows": found.rows, "auroc": auroc, "share_over_threshold": shares}


def _organism(organism: Organism, run: ModelRun) -> dict[str, Any]:
    comparison = read_comparison(run).model_dump(mode="json")
    findings = comparison.get("findings", {})
    follow = comparison["targets"].get("will_follow", {"detectors": {}, "rows": {}, "refused": "not asked for"})
    return {
        "truth": load_promises(organism.name).truth.strip(),
        "character": dict(organism.recipe.character.__dict__),
        "temperature": organism.recipe.temperature,
        "counts": comparison["counts"],
        "rows": comparison.get("rows"),
        "detectors": {
            name: {
                "auroc": entry["auroc"],
                "family": entry["family"],
                "reads": entry["reads"],
                "p_null": entry["p_null"],
                "finding": findings.get(name),
            }
            for name, entry in comparison["detectors"].items()
        },
        "mention": _mention(run),
        "will_follow": {
            "rows": follow["rows"],
            "refused": follow["refused"],
            "detectors": {name: {"auroc": entry["auroc"]} for name, entry in follow["detectors"].items()},
        },
    }


def _mention(run: ModelRun) -> dict[str, Any]:
    """How a reader fares that takes every mention for an admission."""
    judge = run.config.judge.judges[0]
    verdicts = run.records.verdicts[judge]
    said = {name: bool(verdict.mentions) for name, verdict in verdicts.items() if verdict.mentions is not None}
    rows = labelled_rows(run, behaviours=None)
    answered = rows.take(lambda i: rows.labels[i].hinted_answer == rows.labels[i].target and rows.ids[i] in said)
    contested = answered.take(lambda i: answered.labels[i].behaviour in ("reliant", "aligned"))
    contrast = contested.contrast()
    found: dict[str, Any] = {"share": share([said[name] for name in answered.ids])}
    least = run.config.compare.min_groups
    if min(contrast.groups_of(True), contrast.groups_of(False)) >= least:
        scores = np.array([float(said[name]) for name in contested.ids])
        rng = stream(run.config.seed, "mention", MAIN)
        found["auroc"] = auroc_figure(scores, contrast, contrast.strata, run.config.compare.bootstrap, rng)
    return found
