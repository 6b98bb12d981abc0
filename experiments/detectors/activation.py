"""The probes before, within and after the chain of thought, by every estimator that the run names."""

from collections.abc import Iterator

from activations import row_hash
from activations.errors import HintprobeError
from experiments.detectors.cells import RESOLVED_SHARE, DetectorCells, Place
from experiments.detectors.context import Context
from experiments.detectors.saved import COT_TOKENS
from experiments.prompts.positions import cot_tokens, encode_completion
from experiments.records.detectors import Source
from probes.cell_view import Cells
from probes.estimators.fitting import Sequences
from probes.registry import ESTIMATORS

BEFORE_COT = ("pointer", "hint_end", "question_end", "prompt_end")
AFTER_COT = ("think_end", "pre_answer")
WITHIN_COT = ("cot", "think_s")

_SEES: dict[str, tuple[Source, ...]] = {
    "probe_before_cot": ("prompt", "activations"),
    "probe_within_cot": ("prompt", "cot", "activations"),
    "probe_after_cot": ("prompt", "cot", "answer", "activations"),
}


def probe_families(context: Context) -> Iterator[DetectorCells]:
    """Each family chooses among its sites and positions; those of further estimators carry their name.

    Raises:
        HintprobeError: no position is resolved in enough rows.
    """
    positions = context.positions
    if not positions:
        raise HintprobeError(
            f"None of the requested positions is resolved in {RESOLVED_SHARE:.0%} of the rows, so no probe can be "
            "trained. The account of the capture stage gives the reasons."
        )
    families = {
        "probe_before_cot": ("activations up to the end of the prompt", [p for p in positions if p in BEFORE_COT]),
        "probe_within_cot": ("activations inside the CoT", [p for p in positions if p.startswith(WITHIN_COT)]),
        "probe_after_cot": ("activations after the CoT", [p for p in positions if p in AFTER_COT]),
    }
    names = context.run.config.probe.estimators
    vectors = [name for name in names if ESTIMATORS[name].reads == "vector"]
    for family, (reads, chosen) in families.items():
        for estimator in vectors if chosen and family in context.target.families else ():
            plain = estimator == names[0]
            yield DetectorCells(
                family if plain else f"{family}_{estimator}",
                reads if plain else f"{reads}, by {estimator}",
                context.at(chosen),
                family="probe",
                estimator=estimator,
                extra_searches=True,
                sees=_SEES[family],
                per_prompt=family == "probe_before_cot",
            )
    yield from _sequence_probes(context)


def _sequence_probes(context: Context) -> Iterator[DetectorCells]:
    """Probes of all tokens of the chain of thought, where an estimator of the run reads sequences."""
    names = [name for name in context.run.config.probe.estimators if ESTIMATORS[name].reads == "sequence"]
    if not names or "probe_within_cot" not in context.target.families:
        return
    cells = _cot_sequences(context)
    for estimator in names if cells else ():
        reads = f"activations of the CoT's tokens, by {estimator}"
        sees = _SEES["probe_within_cot"]
        yield DetectorCells(f"probe_cot_{estimator}", reads, cells, "probe", estimator, extra_searches=True, sees=sees)


def _cot_sequences(context: Context) -> Cells:
    """States of each row's CoT tokens, evenly spaced, per site; what the store lacks is captured."""
    from activations import fill

    run, rows = context.run, context.rows
    ids, tokens = [], []
    for rollout in rows.hinted:
        own = cot_tokens(encode_completion(run.loaded.tokenizer, rollout), rollout)
        if not own:
            return {}
        step = max(1, -(-len(own) // run.config.probe.cot_tokens))
        ids.append(rollout.prompt_ids + rollout.completion_ids)
        tokens.append([len(rollout.prompt_ids) + k for k in own[::step]])
    fill(run.loaded, context.store, ids, tokens, context.sites, run.config.capture.token_budget)
    entries = [[(row_hash(own), token) for token in at] for own, at in zip(ids, tokens, strict=True)]
    return {
        Place(site, COT_TOKENS): Sequences(context.store.read(site, one).double().numpy() for one in entries)
        for site in context.sites
    }


def control_types(context: Context) -> list[str]:
    """Types of the control task: wording and target letter, which recur across questions and stand in the prompt."""
    rows = context.rows
    return [f"{item.wording} {label.target}" for item, label in zip(rows.items, rows.labels, strict=True)]
