"""Put together: what a configuration would run on each model, what that costs, and what it could show."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from activations import load_model
from activations.errors import HintprobeError
from activations.models import load_tokenizer
from experiments.config import Config
from experiments.pipeline import check_names
from experiments.planning.cached import Lookup, cached_of, look_up
from experiments.planning.costs import (
    CARDS,
    DTYPE_BYTES,
    Work,
    activation_bytes,
    capture_seconds,
    generate_seconds,
    memory_bytes,
    record_bytes,
)
from experiments.planning.given import given_transcripts
from experiments.planning.later import PROBE_FLOPS, PROBE_OVERHEAD, Later, later_work
from experiments.planning.power import Rates, expected_rows, smallest_detectable
from experiments.planning.shapes import ModelShape, shape_of
from experiments.planning.trial import Measured, trial
from experiments.prompts.chat import template_note
from experiments.prompts.items import item_prompt, plan_items
from experiments.questions.pool import load_questions
from experiments.records import Item
from experiments.run.known_models import resolve_model
from experiments.stages.capture import captured_sites
from experiments.stages.generate import check_room

CHARACTERS_PER_TOKEN = 3.8
TEMPLATE_TOKENS = 25
_ASSUMED_PROMPT = 180.0


@dataclass(frozen=True)
class Assumptions:
    """What is not known before the run.

    Attributes:
        completion_tokens: mean length of a completion; None takes a quarter of ``generate.max_new_tokens``.
        card: name of a card among ``CARDS``.
        rates: what the model is taken to do.
        calibrate: load the model and measure its speed, length and accuracy on a few questions instead.
    """

    completion_tokens: float | None = None
    card: str = "H100"
    rates: Rates = field(default_factory=Rates)
    calibrate: bool = False


def plan_run(config: Config, assumed: Assumptions) -> list[dict[str, Any]]:
    """One plan per model of the configuration, as JSON values.

    Raises:
        HintprobeError: the model's shape is not known, or the questions' file is bad.
    """
    if assumed.card not in CARDS:
        raise HintprobeError(f"There is no card named {assumed.card!r}. Known: {', '.join(CARDS)}.")
    check_names(config)
    looked_up: dict[str, Lookup | None] = {}
    return [_plan_model(config, name, assumed, looked_up) for name in config.models]


def _template_note(source: str) -> str | None:
    """That a model in a folder here has no chat template; what else may be wrong with it, the run itself says."""
    if not Path(source).is_dir():
        return None
    try:
        return template_note(load_tokenizer(source))
    except HintprobeError:
        return None


def _measured(config: Config, source: str, items: Sequence[Item]) -> Measured:
    loaded = load_model(source, config.dtype, config.device, config.quantized, config.device_map)
    return trial(loaded, source, config, items)


def _plan_model(config: Config, name: str, assumed: Assumptions, looked_up: dict[str, Lookup | None]) -> dict[str, Any]:
    source = resolve_model(name)
    shape = shape_of(source)
    limit = config.limits.get(name, config.questions.limit)
    given = given_transcripts(config, limit)
    if given and assumed.calibrate:
        raise HintprobeError(
            "--calibrate measures how a model answers, but this run's answers are given as transcripts."
        )
    if Path(source).is_dir() and given is None:  # of a model that is not here, the run will tell
        check_room(source, config.generate)
    items, note = (given.items, "") if given else _items(config, limit)
    # Without the questions nothing can be looked up: what a stage depends on begins with them.
    looked_up[name] = None if note else look_up(config, name, looked_up.get(config.models[0]))
    measured = _measured(config, source, items) if assumed.calibrate else None
    if measured:
        rates = replace(assumed.rates, accuracy=measured.accuracy, parsed=measured.parsed)
        assumed = replace(assumed, completion_tokens=measured.completion_tokens, rates=rates)
    elif given:
        assumed = replace(assumed, completion_tokens=given.completion_characters / CHARACTERS_PER_TOKEN)
    elif assumed.completion_tokens is None:
        assumed = replace(assumed, completion_tokens=max(1.0, config.generate.max_new_tokens / 4))
    if given:
        length = given.prompt_characters / CHARACTERS_PER_TOKEN + TEMPLATE_TOKENS
    else:
        length = measured.prompt_tokens if measured else _ASSUMED_PROMPT if note else _prompt_tokens(items)
    work = _work(config, items, length, assumed.completion_tokens or 0.0, shape)
    if given:  # one hinted and one unhinted rollout of each, written already
        n = 2 * len(items)
        work = replace(work, prompts=0, records=n, captured=n, entries=n * len(config.capture.positions))
    cached = cached_of(looked_up[name], config, work, shape)
    power = _power(config, items, assumed.rates, given.strata if given else None)
    later = later_work(config, shape, work.sites, *_rows(power, cached["labels"], len(items)))
    cost = _cost(config, work, shape, assumed, measured, later)
    return {
        "model": name,
        "parameters": shape.params,
        "questions": len({item.question.group if given else item.question.id for item in items}),
        "items": len(items),
        "by_kind": dict(Counter(item.kind for item in items)),
        "notes": [said for said in (note, given and given.note, _template_note(source)) if said],
        **cost,
        "cached": cached,
        "seconds_left": _left(cost["seconds"], cached),
        "power": power,
        "measured": asdict(measured) if measured else None,
        "assumed": asdict(assumed),
        "given": given is not None,
    }


def _work(config: Config, items: Sequence[Item], prompt: float, completion: float, shape: ModelShape) -> Work:
    """How much there is to do. Items of one question share their unhinted prompt, unless worked examples differ."""
    unhinted = len({(item.question.id, item.shots) for item in items})
    k = config.generate.rollouts
    first = config.generate.unhinted_rollouts or k
    captured = len(items) * k + unhinted * first
    return Work(
        prompts=unhinted * first + 3 * len(items) * k,
        records=len(items) * (first + 3 * k),
        prompt_tokens=prompt,
        completion_tokens=completion,
        token_budget=config.generate.token_budget,
        captured=captured,
        entries=captured * len(config.capture.positions),
        sites=len(captured_sites(config.capture, shape.n_layers)),
    )


def _items(config: Config, limit: int) -> tuple[list[Item], str]:
    """The items that would be asked, and what had to be assumed of them.

    A dataset that cannot be reached now is stood in for by as many questions of the organisms' world.
    """
    try:
        questions, _ = load_questions(config.questions, limit, config.seed)
        note = ""
    except HintprobeError as error:
        if not _remote(config):
            raise
        stand_in = config.questions.model_copy(update={"source": "organism-world", "path": None, "split": "train"})
        stand_in = stand_in.model_copy(update={"subjects": (), "per_subject": None, "fields": None, "subset": None})
        questions, _ = load_questions(stand_in, limit, config.seed)
        note = (
            f"{config.questions.source} could not be read ({str(error).rstrip('.')}); {limit} questions of four "
            f"options and {_ASSUMED_PROMPT:.0f} tokens are assumed."
        )
    return plan_items(questions, config.hints, config.seed), note


def _remote(config: Config) -> bool:
    from experiments.questions.datasets import DATASETS

    return config.questions.path is None and (
        config.questions.source in DATASETS or config.questions.source.count("/") == 1
    )


def _prompt_tokens(items: Sequence[Item]) -> float:
    """Mean length of a prompt, from its characters.

    Before targets are known only the unhinted prompt can be written; a hint adds little to it.
    """
    unhinted = {(item.question.id, item.shots): item for item in items}
    lengths = [
        sum(len(message.content) for message in item_prompt(item, "unhinted").messages) for item in unhinted.values()
    ]
    return sum(lengths) / len(lengths) / CHARACTERS_PER_TOKEN + TEMPLATE_TOKENS


def _cost(
    config: Config, work: Work, shape: ModelShape, assumed: Assumptions, measured: Measured | None, later: Later
) -> dict[str, Any]:
    card = CARDS[assumed.card]
    n_bytes = DTYPE_BYTES["bfloat16" if config.dtype == "auto" else config.dtype]
    memory = memory_bytes(work, shape, n_bytes)
    if measured:
        generating = work.prompts * work.completion_tokens / measured.generate_rate
        capturing = work.captured * work.row_tokens / measured.capture_rate
    else:
        generating = generate_seconds(work, shape, card, n_bytes)
        capturing = capture_seconds(work, shape, card)
    each_written, each_read = generating / max(1, work.prompts), capturing / max(1, work.captured)
    return {
        "rollouts": work.prompts,
        "tokens": int((work.prompts or work.captured) * work.row_tokens),
        "prompt_tokens_each": round(work.prompt_tokens, 1),
        "captured_rollouts": work.captured,
        "activation_bytes": activation_bytes(work, shape, n_bytes),
        "record_bytes": record_bytes(replace(work, prompts=work.prompts or work.records)),
        "memory_bytes": memory,
        "fits_the_card": memory < 0.9 * card.memory,
        "seconds": {
            "generate": round(generating, 1),
            "capture": round(capturing, 1),
            "probe": round(later.probe_flops / PROBE_FLOPS + (PROBE_OVERHEAD if later.probe_flops else 0.0), 1),
            "patch": round(later.patched_rows * each_read, 1),
            "mediate": round(later.mediated * each_written, 1),
            "directions": round(later.directed * each_written, 1),
        },
    }


def _rows(power: dict[str, Any], labels: dict[str, int] | None, n: int) -> tuple[float, float, float]:
    """Reliant, aligned and resisted rows: as labelled, or as expected."""
    found = labels or {"reliant": power["expected_reliant"], "aligned": power["expected_aligned"]}
    reliant, aligned = float(found["reliant"]), float(found["aligned"])
    return reliant, aligned, max(0.0, n - reliant - aligned)


def _left(seconds: dict[str, float], cached: dict[str, Any]) -> dict[str, float]:
    """The share of each stage's time that is still to be spent."""
    lacking = {"generate": cached["rollouts"], "capture": cached["activations"]["rows"]}
    shares = {stage: counts["missing"] / max(1, sum(counts.values())) for stage, counts in lacking.items()}
    shares |= {stage: float(not done) for stage, done in cached["stages"].items() if stage not in shares}
    return {stage: round(whole * shares[stage], 1) for stage, whole in seconds.items()}


def _power(
    config: Config, items: Sequence[Item], rates: Rates, counted: dict[str, tuple[float, float]] | None
) -> dict[str, Any]:
    """Expected rows per kind and direction, and what an AUROC on them could show."""
    sizes = Counter((item.kind, item.direction) for item in items)
    n_wrong = sum(len(item.question.options) - 1 for item in items) / len(items)
    strata = counted or {
        f"{kind} {direction}": expected_rows(n, direction, config.hints.on_belief, n_wrong, rates)
        for (kind, direction), n in sizes.items()
    }
    reliant, aligned = (sum(rows[k] for rows in strata.values()) for k in (0, 1))
    detectable = smallest_detectable(strata)
    needed = max(config.probe.min_per_class, config.probe.outer_folds * config.probe.inner_folds)
    return {
        "expected_reliant": round(reliant, 1),
        "expected_aligned": round(aligned, 1),
        "needed_of_each": needed,
        "enough_rows": min(reliant, aligned) >= needed,
        "smallest_auroc_told_from_chance": detectable,
        "by_stratum": {key: [round(a, 1), round(b, 1)] for key, (a, b) in strata.items()},
    }
