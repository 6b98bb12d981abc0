"""Stage 6: behaviour, faithfulness and every detector, side by side on the same rows."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.comparison.admission import calibration_text, faithfulness_summary, rows_of
from experiments.comparison.cascade import cascade
from experiments.comparison.effects import coincidences, hidden_share, hint_effect, reliance_summary
from experiments.comparison.findings import findings, strata_account
from experiments.comparison.graded import graded_table
from experiments.comparison.held import Held, Subset, align, subset
from experiments.comparison.judge_sensitivity import judge_sensitivity
from experiments.comparison.kind_transfer import kind_matrix
from experiments.comparison.monitorability import confirmed, monitored
from experiments.comparison.table import difference, table
from experiments.detectors import MAIN, TARGETS, Rows, labelled_rows
from experiments.detectors.belief import BELIEF
from experiments.detectors.training import SELECTED
from experiments.judges.reference import Reference, reference_of
from experiments.records import Label, TargetRow
from experiments.records.accounts import CompareAccount, ProbeAccount
from experiments.records.behaviour_figures import Counts
from experiments.records.comparison import Comparison
from experiments.records.detector_tables import DetectorEntry, GradedTable, TargetEntry
from experiments.records.judging import JudgeSensitivity
from experiments.records.monitoring import Cascade
from experiments.records.seeds import stream
from experiments.records.tables import read_json, write_json
from experiments.run.model_run import ModelRun, StageResult
from experiments.run.stage import Stage

COMPARISON = "comparison.json"


def run_compare(run: ModelRun, frozen_on: ModelRun) -> StageResult:
    """Compare the detectors of a model, or find that done.

    Args:
        frozen_on: the model whose frozen detectors are tried on this one.
    """
    stages = ("generate", "judge", "capture", "probe")
    depends = (
        *(run.results[name].signature for name in stages),
        frozen_on.results["probe"].signature,
        run.config.compare,
        calibration_text(run.config.judge.calibration),
    )
    return run.stage(CompareAccount, depends, lambda folder: _compare(run, frozen_on, folder), uses_model=False)


def _compare(run: ModelRun, frozen_on: ModelRun, folder: Path) -> CompareAccount:
    from experiments.stages.work.frozen import frozen_figures

    rows = labelled_rows(run, behaviours=None)
    rng = stream(run.config.seed, "compare", run.key)
    reference = reference_of(run, rows.hinted)
    n_resamples = run.config.compare.bootstrap
    behaviour = Comparison(
        model=run.model_name,
        reference=reference.name,
        counts=_counts(run, rows, reference),
        hidden_share=hidden_share(rows.labels, reference, n_resamples, _own_stream(run, "hidden share")),
        hint_effect=hint_effect(rows.labels, n_resamples, rng),
        coincidence=coincidences(rows.labels, n_resamples, _own_stream(run, "coincidence")),
        reliance=reliance_summary(
            list(run.records.reliance.values()), rows.labels, n_resamples, _own_stream(run, "reliance probability")
        ),
        faithfulness=faithfulness_summary(run, rows.labels, rng),
        judges=judges_of(run, rows.labels, reference),
        frozen=frozen_figures(run, frozen_on, rows, rng) if frozen_on is not run else None,
        detectors={},
        hidden_detectors={},
    )
    found = {**_detectors(run, reference, rng), "targets": _targets(run, rng), "graded": _graded(run)}
    result = behaviour.model_copy(update=found)
    write_json(folder / COMPARISON, result.model_dump(mode="json"))
    return CompareAccount(detectors=len(result.detectors))


def read_comparison(run: ModelRun) -> Comparison:
    """What the finished compare stage of a model found."""
    return Comparison.model_validate(read_json(run.results["compare"].folder / COMPARISON))


def _counts(run: ModelRun, rows: Rows, reference: Reference) -> Counts:
    behaviours = Counter(label.behaviour for label in rows.labels)
    reliant = [label for label in rows.labels if label.behaviour == "reliant"]
    hidden = [label for label in reliant if reference.admits.get(label.rollout_id) is False]
    return Counts(
        items=len(run.records.items),
        hinted_rollouts=len(rows),
        reliant=behaviours["reliant"],
        aligned=behaviours["aligned"],
        overdetermined=behaviours["overdetermined"],
        resisted=behaviours["resisted"],
        ambiguous=behaviours["ambiguous"],
        strong=sum(label.strong for label in reliant),
        hidden=len(hidden),
        unjudged=sum(reference.admits.get(label.rollout_id) is None for label in reliant),
        ambiguous_by_reason=dict(Counter(label.reason for label in rows.labels if label.reason)),
        by_kind={
            kind: dict(Counter(label.behaviour for label in rows.labels if label.kind == kind))
            for kind in sorted({label.kind for label in rows.labels})
        },
    )


def judges_of(run: ModelRun, labels: Sequence[Label], reference: Reference) -> JudgeSensitivity:
    """The headline under each judge of the run."""
    return judge_sensitivity(
        [verdict for said in run.records.verdicts.values() for verdict in said.values()],
        labels,
        lambda said: list(rows_of(run, labels, said).values()),
        reference,
        run.config.judge.calibration,
        run.config.compare.bootstrap,
        _own_stream(run, "judges"),
    )


def _own_stream(run: ModelRun, name: str) -> np.random.Generator:
    """Resamples of one figure; apart, so that they move no other interval."""
    return stream(run.config.seed, name, run.key)


def _detectors(run: ModelRun, reference: Reference, rng: np.random.Generator) -> dict[str, Any]:
    """The detector table of the main target, on all its rows and on the hidden subset."""
    summaries = run.records.detectors()
    if not summaries:
        return {}
    scores, target = run.records.scores(), run.records.targets(MAIN)
    helds = {summary.name: align(target, scores, summary) for summary in summaries}
    judge = f"judge_{run.config.judge.judges[0]}"
    n_resamples, min_groups = run.config.compare.bootstrap, run.config.compare.min_groups
    everything = subset(target, np.ones(len(target), dtype=bool), n_resamples, rng)
    unadmitted = np.array([reference.admits.get(row.rollout_id) is False for row in target], dtype=bool)
    hidden = subset(target, unadmitted, n_resamples, rng)
    on_hidden = {name: held for name, held in helds.items() if name not in reference.left_out}
    known = confirmed(target, run.records.rollouts, run.records.items)
    result: dict[str, Any] = {
        "detectors": monitored(table(helds, everything, judge, target, min_groups), helds, everything, known),
        "hidden_detectors": monitored(table(on_hidden, hidden, judge, target, min_groups), on_hidden, hidden, known),
        "cascades": tuple(_cascades(run, helds, everything, target)),
        "rows": {"reliant": everything.n_positive, "aligned": len(everything.rows) - everything.n_positive},
        "hidden_rows": {"hidden": hidden.n_positive, "aligned_not_admitting": len(hidden.rows) - hidden.n_positive},
        "strata": tuple(strata_account(everything)),
        "validation": {name: held.summary.validation for name, held in helds.items() if held.summary.validation},
        "position_transfer": run.records.position_transfer,
        "kind_transfer": tuple(
            kind_matrix(run.records.kind_scores, target, everything, run.config.probe.min_per_class, min_groups)
        ),
    }
    result["best_probe"] = SELECTED if SELECTED in helds else _best(helds, result["detectors"], "probe")
    result["best_baseline"] = _best(helds, result["detectors"], "baseline")
    if result["best_probe"] and result["best_baseline"]:
        pair: tuple[Held, Held] = helds[result["best_probe"]], helds[result["best_baseline"]]
        result["probe_minus_baseline"] = difference(*pair, everything)
    result["findings"] = findings(helds, everything, *_belief(run, helds, rng))
    return result


def _cascades(
    run: ModelRun, helds: Mapping[str, Held], within: Subset, target: Sequence[TargetRow]
) -> Iterator[Cascade]:
    """The probe that the training rows choose, followed by each judge and monitor."""
    if SELECTED not in helds or not len(within.rows):
        return
    rollouts = [run.records.rollouts[row.rollout_id] for row in target]
    tokens = [len(rollout.prompt_ids) + len(rollout.completion_ids) for rollout in rollouts]
    for name, held in helds.items():
        if held.summary.family == "judge":
            found = cascade(helds[SELECTED], held, within, tokens, _own_stream(run, f"cascade {name}"))
            if found is not None:
                yield found


def _belief(run: ModelRun, helds: Mapping[str, Held], rng: np.random.Generator) -> tuple[dict[str, Held], Subset]:
    """The probes on the rows of the belief-matched control."""
    target = run.records.targets(BELIEF)
    scores = [row for row in run.records.scores(main=False) if row.target == BELIEF]
    named = {row.detector for row in scores}
    own = {name: align(target, scores, held.summary) for name, held in helds.items() if name in named}
    return own, subset(target, np.ones(len(target), dtype=bool), run.config.compare.bootstrap, rng)


def _best(helds: Mapping[str, Held], entries: Mapping[str, DetectorEntry], family: str) -> str | None:
    known = [
        name for name, held in helds.items() if held.summary.family == family and entries[name].auroc.value is not None
    ]
    return max(known, key=lambda name: float(entries[name].auroc.value or 0.0), default=None)


def _graded(run: ModelRun) -> GradedTable | None:
    """The reliance probability as a target."""
    records, rng = run.records, _own_stream(run, "graded")
    return graded_table(
        records.graded_detectors, records.graded_scores, records.reliance, run.config.compare.bootstrap, rng
    )


def _targets(run: ModelRun, rng: np.random.Generator) -> dict[str, TargetEntry]:
    """The tables of the other targets, and why a target has none."""
    scores, summaries = run.records.scores(main=False), run.records.detectors(main=False)
    found = {}
    for name, account in run.account(ProbeAccount).targets.items():
        if name == MAIN:
            continue
        about = TARGETS[name]
        target = run.records.targets(name)
        entries: dict[str, DetectorEntry] = {}
        if target:
            own = [row for row in scores if row.target == name]
            helds = {s.name: align(target, own, s) for s in summaries if s.target == name}
            everything = subset(target, np.ones(len(target), dtype=bool), run.config.compare.bootstrap, rng)
            entries = table(helds, everything, "", target, run.config.compare.min_groups)
        found[name] = TargetEntry(
            positive=about.positive,
            negative=about.negative,
            note=about.note,
            rows=account,
            refused=account.refused,
            detectors=entries,
        )
    return found


STAGE = Stage(
    CompareAccount,
    "compare",
    ("generate", "judge", "capture", "probe"),
    run_compare,
    "comparison",
    read_comparison,
)
