"""The training at work: every detector of every target under one protocol."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from activations import Site
from activations.placement import usable_device
from experiments.comparison.kind_transfer import kind_scores
from experiments.detectors import MAIN, TARGETS, Context, DetectorCells, Rows, Target, build_detectors, graded
from experiments.detectors.activation import control_types
from experiments.detectors.along import choose_rollouts, scores_along_cot
from experiments.detectors.belief import belief_scores, belief_targets, folds_of, resisted_rows, wanted
from experiments.detectors.cells import Place, usable_positions, with_positions
from experiments.detectors.certainty import forced_certainty
from experiments.detectors.covariates import confound_terms
from experiments.detectors.saved import save_detector
from experiments.detectors.training import Trained, selected, train, untrained
from experiments.detectors.written import score_rows, summary_of
from experiments.judges.registry import information_of
from experiments.records import TargetRow, TransferCell, Verdict
from experiments.records.accounts import CaptureAccount, ProbeAccount, TargetAccount
from experiments.records.seeds import stable_int, stream
from experiments.records.stages import (
    certainty_table,
    cot_scores_table,
    detectors_table,
    graded_detectors_table,
    graded_scores_table,
    kind_scores_table,
    other_detectors_table,
    other_scores_table,
    scores_table,
    targets_table,
    transfer_table,
)
from experiments.run.model_run import ModelRun
from experiments.stages.probe import store_of
from probes import ExtraSearches, Folds, NestedResult, Search, control_labels, cross_cell_aurocs, residualise
from probes.arrays import RowIndices as Index


def train_targets(run: ModelRun, folder: Path) -> ProbeAccount:
    """Train the detectors of every target that the configuration names."""
    for stale in folder.glob("*.jsonl"):  # a stopped attempt may have left some
        stale.unlink()
    names = dict.fromkeys((MAIN, *(name for name in run.config.probe.targets if name in TARGETS)))
    certainty = forced_certainty(run)
    certainty_table(folder).replace(certainty)
    forced = {row.item_id: row.forced_entropy for row in certainty}
    accounts = {name: _train_target(run, folder, TARGETS[name], forced) for name in names}
    n_graded, refused = _train_graded(run, folder, forced)
    main = accounts[MAIN]
    return ProbeAccount(
        trained=main.trained,
        reliant=main.positives,
        aligned=main.negatives,
        unresolved_rows=main.unresolved_rows,
        targets=accounts,
        graded=n_graded,
        graded_refused=refused,
    )


def _train_graded(run: ModelRun, folder: Path, forced: Mapping[str, float]) -> tuple[int, str]:
    """The reliance probability as a target: items, and why there are none."""
    if graded.NAME not in run.config.probe.targets:
        return 0, ""
    sites = tuple(Site.parse(name) for name in run.account(CaptureAccount).sites)
    scores, summaries, refused = graded.graded_detectors(run, store_of(run), sites, forced)
    graded_scores_table(folder).replace(scores)
    graded_detectors_table(folder).replace(summaries)
    return len({row.item_id for row in scores}), refused


@dataclass(frozen=True)
class _Work:
    """A target whose rows are known and parted into folds."""

    run: ModelRun
    folder: Path
    target: Target
    rows: Rows
    folds: tuple[Folds, ...]
    seed: int
    forced: Mapping[str, float]

    @property
    def fold(self) -> Index:
        """Outer fold of each row in the first drawing."""
        return self.folds[0].outer

    @property
    def main(self) -> bool:
        return self.target.name == MAIN

    def search(self) -> Search:
        probe = self.run.config.probe
        permutations = probe.permutations if self.target.permuted else 0
        device = usable_device(probe.device)
        return Search(probe.c_grid, probe.outer_folds, probe.inner_folds, probe.repeats, permutations, device=device)

    def keep(self, trained: Trained) -> None:
        (scores_table if self.main else other_scores_table)(self.folder).append(
            score_rows(trained, self.rows, self.target.name)
        )
        detectors = detectors_table if self.main else other_detectors_table
        detectors(self.folder).append([summary_of(trained, len(self.rows), self.target.name)])


def _train_target(run: ModelRun, folder: Path, target: Target, forced: Mapping[str, float]) -> TargetAccount:
    rows = target.rows(run)
    account = TargetAccount(positives=rows.n_positive, negatives=len(rows) - rows.n_positive)
    if reason := _too_few(run, target, rows):
        return account.model_copy(update={"refused": reason})
    positions = usable_positions(rows, run.config.capture.positions)
    used = with_positions(rows, positions)
    account = account.model_copy(update={"unresolved_rows": len(rows) - len(used)})
    if reason := _too_few(run, target, used):
        return account.model_copy(update={"refused": reason})
    seed = stable_int(run.config.seed, "folds", target.name) % 2**31
    probe = run.config.probe
    search = Search(probe.c_grid, probe.outer_folds, probe.inner_folds, probe.repeats)
    folds = search.folds(used.contrast(), seed)
    work = _Work(run, folder, target, used, folds, seed, forced)
    targets_table(folder).append(
        TargetRow(
            target=target.name, rollout_id=name, group=label.group, kind=label.kind, direction=label.direction,
            positive=positive, fold=int(k[0]), more_folds=tuple(int(one) for one in k[1:]),
        )
        for name, label, positive, k in zip(
            used.ids, used.labels, used.positive, np.stack([f.outer for f in folds], axis=1), strict=True
        )
    )  # fmt: skip
    return account.model_copy(update={"trained": _train_all(work, positions)})


def _too_few(run: ModelRun, target: Target, rows: Rows) -> str | None:
    """Why a target cannot be trained on, by name."""
    probe, contrast = run.config.probe, rows.contrast()
    for value, name in ((True, target.positive), (False, target.negative)):
        n, n_groups = int((contrast.labels == value).sum()), contrast.groups_of(value)
        if n < probe.min_per_class:
            return f"{n} {name} rows, and at least {probe.min_per_class} are needed (probe.min_per_class)"
        if n_groups < max(probe.outer_folds, probe.inner_folds + 1):
            return f"the {name} rows are of {n_groups} groups, too few for {probe.outer_folds} folds by group"
    return None


def _train_all(work: _Work, positions: Sequence[str]) -> int:
    run = work.run
    sites = tuple(Site.parse(name) for name in run.account(CaptureAccount).sites)
    rng = stream(run.config.seed, "controls", work.target.name)
    context = Context(run, store_of(run), work.rows, sites, tuple(positions), work.target, rng, work.forced)
    detectors = build_detectors(context)
    extra_searches = _extra_searches(work, control_types(context), rng)
    done: list[Trained] = []
    n_variants = 0
    with run.reporter.bar(f"probe {work.target.name}", sum(_steps(d) for d in detectors)) as tick:
        for detector in detectors:
            trained = train(detector, work.rows, work.folds, work.search(), work.seed, extra_searches, lambda: tick(1))
            work.keep(trained)
            done.append(trained)
            variants = list(_variants(work, trained))
            for variant in variants:
                work.keep(variant)
            n_variants += len(variants)
            _save(work, trained, extra_searches)
    if work.main:
        for judge, verdicts in run.records.verdicts.items():
            work.keep(_judged(work, judge, verdicts))
        _about_probes(work, context, wanted(done))
    return len(done) + n_variants


def _save(work: _Work, trained: Trained, extra_searches: ExtraSearches) -> None:
    """What is kept of a detector beside its scores: itself, fitted on all rows, and what it says of other kinds."""
    run, detector = work.run, trained.detector
    if detector.shipped and (work.main or detector.family == "probe"):
        save_detector(run, work.folder, work.target, trained, replace(work.search(), estimator=detector.estimator),
                      work.seed)  # fmt: skip
    if detector.family == "probe" and "kind" in extra_searches.left_out:
        kinds, enough = extra_searches.left_out["kind"], run.config.probe.min_per_class
        kind_scores_table(work.folder).append(kind_scores(trained, work.rows.ids, kinds, enough))
    if work.main and detector.name == "probe_within_cot":
        _along_cot(work, trained)


def _about_probes(work: _Work, context: Context, probes: Sequence[Trained]) -> None:
    """What is said of the probes of the main target together."""
    if not probes:
        return
    work.keep(selected(probes, work.rows, work.folds))
    if work.run.config.probe.transfer:
        transfer_table(work.folder).replace(_transfer(work, context, probes))
    resisted = resisted_rows(context)
    own = folds_of(context, resisted, work.fold)
    targets_table(work.folder).append(belief_targets(context, resisted, work.fold, own))
    for trained in probes:
        other_scores_table(work.folder).append(belief_scores(context, trained, resisted, own))


def _steps(detector: DetectorCells) -> int:
    return 0 if detector.forest else len(detector.cells)


def _extra_searches(work: _Work, types: Sequence[str], rng: np.random.Generator) -> ExtraSearches:
    """Control tasks and factors to leave out, for the main target."""
    probe = work.run.config.probe
    if not work.main:
        return ExtraSearches()
    factors: dict[str, list[str]] = {
        "kind": [label.kind for label in work.rows.labels],
        "direction": [label.direction for label in work.rows.labels],
        "source": [item.question.source for item in work.rows.items],
    }
    varied = {name: levels for name, levels in factors.items() if probe.transfer and len(set(levels)) > 1}
    n_tasks = probe.control_tasks if len(set(types)) > 1 else 0
    return ExtraSearches(control_labels(types, n_tasks, rng) if n_tasks else None, varied)


def _variants(work: _Work, trained: Trained) -> Iterator[Trained]:
    """A probe's scores with the confounds regressed out, and where its kind, direction or source was never seen."""
    if trained.detector.family != "probe" or not work.main:
        return
    name, result = trained.detector.name, trained.result
    terms = confound_terms(work.rows, work.forced)[trained.first]
    rest = residualise(result, trained.contrast.strata, terms)
    yield trained.renamed("residual", f"{name}, less what kind, direction and unhinted confidence predict of it", rest)
    for factor, left_out in result.left_out.items():
        if np.isfinite(left_out.scores).any():
            moved = NestedResult(left_out.scores, left_out.probability, result.fold, [])
            yield trained.renamed(f"new_{factor}", f"{name}, trained without the row's {factor}", moved)


def _judged(work: _Work, judge: str, verdicts: dict[str, Verdict]) -> Trained:
    """A judge needs no training; it stands in the table on the same rows and folds. Unscored rows count as 0.5."""
    said = [verdicts[name].score for name in work.rows.ids]
    scores = np.array([0.5 if value is None else value for value in said])
    seconds = work.run.results["judge"].seconds / max(1, len(verdicts)) * len(work.rows)
    sees, labels = information_of(judge, work.run.config.judge)
    reads = "the CoT, for an admission"
    detector = DetectorCells(f"judge_{judge}", reads, {}, family="judge", shipped=False, sees=sees, labels=labels)
    return untrained(detector, scores, work.rows, work.folds, seconds)


def _along_cot(work: _Work, trained: Trained) -> None:
    run = work.run
    chosen = choose_rollouts(work.rows, run.config.probe.along_cot)
    if chosen:
        budget = run.config.capture.token_budget
        found = scores_along_cot(run.loaded, store_of(run), work.rows, trained, chosen, budget)
        cot_scores_table(work.folder).replace(found)


def _transfer(work: _Work, context: Context, probes: Sequence[Trained]) -> list[TransferCell]:
    """Position to position at one site, which each outer fold chooses by its own validation over all positions."""
    read = [probe for probe in probes if all(isinstance(cell, Place) for cell in probe.detector.cells)]
    positions = {c.position: None for p in read for c in p.detector.cells if isinstance(c, Place)}
    positions = {name: None for name in positions if name in context.positions}
    if not positions:
        return []
    sites, cells, strengths = [], [], []
    for k in range(int(work.fold.max()) + 1):
        by_site: dict[Site, list[float]] = defaultdict(list)
        for probe in read:
            for cell, auroc in probe.result.outcomes[k].validation.items():
                if isinstance(cell, Place):
                    by_site[cell.site].append(auroc)
        site = max(by_site, key=lambda one: float(np.mean(by_site[one])))
        sites.append(str(site))
        cells.append({name: context.hinted[Place(site, name)] for name in positions})
        chosen = [probe.result.outcomes[k].chosen for probe in read if probe.detector.estimator == "logistic"]
        strengths.append(float(np.median([one.strength for one in chosen if one] or [work.search().penalties[0]])))
    found = cross_cell_aurocs(cells, work.rows.contrast(), work.fold, strengths)
    return [
        TransferCell(
            site=", ".join(dict.fromkeys(sites)), trained_at=str(trained_at), read_at=str(read_at),
            auroc=auroc if np.isfinite(auroc) else None,
        )
        for (trained_at, read_at), auroc in found.items()
    ]  # fmt: skip
