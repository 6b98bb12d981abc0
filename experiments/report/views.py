"""What the page says, worked out of the summary: nothing here decides how it looks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from experiments.prompts.positions import NAMES
from experiments.records import CellFigure
from experiments.records.accounts import CaptureAccount, GenerateAccount, PatchAccount
from experiments.records.comparison import Comparison
from experiments.records.comparison import Frozen as FrozenDetectors
from experiments.records.detector_tables import DetectorEntry
from experiments.records.parts import Figure
from experiments.records.summary import ModelSummary, PatchSummary
from experiments.report.figure_text import show
from experiments.report.figures import Cell, Grid
from experiments.report.terminal import detector_rows, verdict
from experiments.report.words import typeset

PLACEBOS = ("random_positions", "other_states", "random_directions")
FROZEN_RATE = 0.05
FAMILIES = {
    "probe_before_cot": "before the CoT",
    "probe_within_cot": "within the CoT",
    "probe_after_cot": "after the CoT",
}
UNHINTED = {"probe_unhinted_run": "unhinted run (control)"}
MAX_CONTESTANTS = 5
_FRACTIONS = "cot_"
_COUNTED = "cot_token_"


class Loss(NamedTuple):
    """Something counted and left out, or kept with a reservation."""

    stage: str
    what: str
    n: int


class Frozen(NamedTuple):
    """A detector of another model, tried on this one."""

    name: str
    share: Figure
    place: str


def ordered(entries: Mapping[str, DetectorEntry]) -> list[tuple[str, DetectorEntry]]:
    """Detectors, best AUROC first, in the order of the terminal's table."""
    return [(row[0], entries[row[0]]) for row in detector_rows(entries)]


def contestants(comparison: Comparison) -> list[str]:
    """The few detectors whose curves are drawn: the judge, the best text baseline and the probes, best first."""
    detectors = comparison.detectors or {}
    wanted = {judge_name(comparison), comparison.best_baseline, comparison.best_probe, *FAMILIES}
    return [name for name, entry in ordered(detectors) if name in wanted and entry.auroc.value is not None][
        :MAX_CONTESTANTS
    ]


def judge_name(comparison: Comparison) -> str:
    """The judge's name among the detectors."""
    return f"judge_{comparison.faithfulness.judge}"


def verdicts(comparison: Comparison) -> list[str]:
    """Does the best probe beat the judge and the best text baseline: by AUROC, then at the judge's own rate."""
    probe = comparison.best_probe
    if not comparison.detectors:
        return ["No detector was trained on this model, so a probe and a judge cannot be compared here."]
    if not probe:
        return ["No probe has a defined AUROC here, so it cannot be compared with the judge."]
    first = verdict(comparison)
    sentences = [first or f"{probe} has no defined difference from the judge or from a text baseline."]
    return [typeset(sentence) for sentence in sentences + _at_judge_rate(comparison, probe)]


def ahead_in_words(comparison: Comparison, leaders: Sequence[str], rivals: Sequence[str]) -> str:
    """Whose mark stands in the table, and by what right; or why there is none."""
    if leaders:
        others = [name for name in rivals if name not in leaders]
        others += ["every probe"] if set(leaders) & set(rivals) else []
        return (
            f"Marked as ahead: {', '.join(leaders)}. The paired difference from {' and from '.join(others)} has an "
            "interval that excludes zero. Probes are not compared among themselves."
        )
    best = comparison.best_probe
    names = [*([best] if best else []), *rivals]
    return (
        f"No winner is marked: of {', '.join(names)}, none differs from its rivals by an interval that excludes zero."
    )


def _at_judge_rate(comparison: Comparison, probe: str) -> list[str]:
    """Recall of the best probe and of the judge at the judge's own false-positive rate, where both are defined."""
    detectors, keys = comparison.detectors, ("recall_at_judge_fpr", "realised_fpr_at_judge_fpr")
    pair = [detectors.get(name) for name in (probe, judge_name(comparison))]
    figures = [getattr(entry, key, None) for entry in pair for key in keys]
    if any(figure is None or figure.value is None for figure in figures):
        return []
    recall, rate, judge_recall, judge_rate = (show(figure) for figure in figures)
    return [
        f"At the judge's own false-positive rate, {probe} finds {recall} of the reliant rows (realised rate {rate}) "
        f"and the judge {judge_recall} (realised rate {judge_rate})."
    ]


def losses(model: ModelSummary) -> list[Loss]:
    """Everything that some stage counted and left out, in the order of the stages; a zero is said too."""
    accounts = {name: stage.account for name, stage in model.stages.items()}
    found: list[Loss] = []
    plain = {
        ("generate", "unparsed"): "rollouts without a parsed answer",
        ("generate", "truncated"): "rollouts cut by the token limit",
        ("generate", "without_swap_target"): "items without an option left as swap target (no swapped run)",
        (
            "generate",
            "items_answered_unhinted",
        ): "items left out because an unhinted rollout answered the target (`hints.keep`)",
        ("generate", "ended_otherwise"): "rollouts that a server ended for another reason",
        (
            "generate",
            "swapped_of_other_length",
        ): "swapped prompts with another token length than the hinted prompt (kept)",
        (
            "generate",
            "neutral_of_other_length",
        ): "neutral prompts with another token length than the hinted prompt (kept)",
        ("judge", "unscored"): "rollouts that the first judge did not score (never counted as silence)",
        ("probe", "unresolved_rows"): "labelled rows left out because a probed position is not resolved",
    }
    for stage, account in accounts.items():
        if isinstance(account, GenerateAccount):
            found += [Loss(stage, f"questions: {why}", n) for why, n in account.dropped_questions.items()]
        found += [Loss(stage, text, getattr(account, key)) for (of, key), text in plain.items() if of == stage]
        if isinstance(account, CaptureAccount):
            found += _by_reason(stage, "hinted rollouts, position unresolved", account.unresolved_hinted)
        if isinstance(account, PatchAccount):
            found += _by_reason(stage, "pairs dropped", account.dropped)
    return found + _left_out_of_metrics(model.comparison)


def _by_reason(stage: str, what: str, reasons: Mapping[str, int]) -> list[Loss]:
    if not reasons:
        return [Loss(stage, what, 0)]
    return [Loss(stage, f"{what}: {reason}", n) for reason, n in reasons.items()]


def _left_out_of_metrics(comparison: Comparison | None) -> list[Loss]:
    if comparison is None:
        return []
    paper = comparison.faithfulness.all
    reasons = {
        "rows outside p and q: an answer was not parsed": "n_unparsed",
        "rows outside p and q: the unhinted answer is already the hinted one": "n_unhinted_is_target",
        "rows outside alpha: only two options": "n_two_options",
        "rows outside raw faithfulness: no scored verdict": "n_unscored",
    }
    return [Loss("compare", what, getattr(paper, key)) for what, key in reasons.items()]


def place(position: str) -> tuple[float, int]:
    """Where a position stands in the token order; patching's readouts come last."""
    if position.startswith(_COUNTED):
        return NAMES.index("think_start") + 0.001, int(position.removeprefix(_COUNTED))
    if position.startswith(_FRACTIONS):
        return NAMES.index("think_start") + 0.99 * float(position.removeprefix(_FRACTIONS)), 0
    if position in NAMES:
        return float(NAMES.index(position)), 0
    head, _, back = position.partition("-")
    return len(NAMES) + (head != "readout"), -int(back) if back.isdigit() else 0


def _depth(site: str) -> tuple[int, int]:
    """Order of a site in the model: what enters a block before what leaves it."""
    component, _, layer = site.partition(".")
    return int(layer), int(component != "resid_pre")


def _sites(cells: Iterable[Cell]) -> tuple[str, ...]:
    return tuple(sorted({site for site, _ in cells}, key=_depth))


def _positions(cells: Iterable[Cell]) -> tuple[str, ...]:
    return tuple(sorted({position for _, position in cells}, key=place))


def validation_grid(comparison: Comparison, families: Mapping[str, str]) -> Grid | None:
    """Validation AUROC of every cell the probes could choose; those that were chosen are outlined."""
    by_family = {name: _cells(comparison.validation.get(name, ())) for name in families}
    values = {cell: auroc for cells in by_family.values() for cell, auroc in cells.items()}
    if not values:
        return None
    chosen = [c for name in families if name in comparison.detectors for c in comparison.detectors[name].chosen]
    picked = frozenset((c.site, c.position) for c in chosen if c.site)
    groups = tuple((families[name], _positions(cells)) for name, cells in by_family.items() if cells)
    return Grid(_sites(values), groups, values, 0.5, 1.0, picked)


def unprobed(comparison: Comparison, asked: Iterable[str]) -> list[str]:
    """Positions that were asked for and that no probe could use, because too few rows resolve them."""
    validation = comparison.validation
    used = {position for name in FAMILIES for _, position in _cells(validation.get(name, ()))}
    return [position for position in asked if position not in used]


def _cells(figures: Iterable[CellFigure]) -> dict[Cell, float | None]:
    """Validation figures by site and position; those of no activations are left out."""
    return {(one.site, one.position): one.auroc for one in figures if one.site}


def patch_grid(patch: PatchSummary | None) -> Grid | None:
    """Recovery of every patched cell, the placebo apart."""
    if patch is None or not patch.cells:
        return None
    values: dict[Cell, float | None] = {(cell.site, cell.position): cell.recovery for cell in patch.cells}
    named = _positions(cell for cell in values if cell[1] not in PLACEBOS)
    groups = [("named positions", named)] if named else []
    if placebos := tuple(name for name in PLACEBOS if any(position == name for _, position in values)):
        groups.append(("placebo", placebos))
    return Grid(_sites(values), tuple(groups), values, 0.0, 1.0)


def frozen_rows(frozen: FrozenDetectors) -> list[Frozen]:
    """Each frozen detector, and where its 5% lies against the interval found here."""
    return [Frozen(name, share, _against_rate(name, share)) for name, share in frozen.share_over_threshold.items()]


def _against_rate(name: str, share: Figure) -> str:
    if name.startswith("judge_"):
        return "no threshold: share of rows in which it finds an admission"
    if share.value is None or share.low is None or share.high is None:
        return "undefined"
    if share.low > FROZEN_RATE:
        return "more often: the interval lies above 5%"
    if share.high < FROZEN_RATE:
        return "less often: the interval lies below 5%"
    return "5% lies inside the interval"


def left_out_of_hidden(comparison: Comparison) -> Sequence[str]:
    """Detectors that may not stand in the hidden table, because they fixed which rows are hidden."""
    return [name for name in comparison.detectors if name not in comparison.hidden_detectors]
