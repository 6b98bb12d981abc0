"""What the cache has of a run already: the run's own stages, looked up and never run. No weights are loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activations import ActivationStore, ModelStore
from activations.errors import HintprobeError
from activations.model_store import read_note
from activations.models import resolved_dtype, tokenizer_hash
from activations.placement import usable_device
from experiments.config import CaptureConfig, Config
from experiments.planning.costs import DTYPE_BYTES, Work
from experiments.planning.shapes import ModelShape
from experiments.records.accounts import JudgeAccount
from experiments.records.stages import rollouts_table
from experiments.run.finding import StillThere, found_in
from experiments.run.model_run import A, ModelRun, Spent, StageResult
from experiments.stages import STAGES, VERBS
from experiments.stages.capture import captured_rollouts, captured_sites, place, request
from experiments.stages.running import run_stages


@dataclass
class Lookup(ModelRun):
    """A run whose stages say where their output would lie, and stop there.

    The stages themselves name what they depend on, so that a plan and a run cannot disagree about what is there.
    """

    def stage(
        self,
        account: type[A],
        depends: tuple[object, ...],
        body: Callable[[Path], A],
        uses_model: bool,
        still_there: StillThere = lambda folder, account: True,
        spent: Spent | None = None,
    ) -> StageResult:
        """Find a stage's output; ``fresh`` is one that would run."""
        signature, folder = self.place(account.STAGE, depends)
        inputs = {other: r.content for other, r in self.results.items() if r.content and r.signature in depends}
        found = found_in(folder, account, still_there, inputs)
        content = found.marker.get("content", "")
        result = StageResult(account.STAGE, signature, folder, found.account, 0.0, 0, not found.marker, content)
        self.results[result.name] = result
        return result


def look_up(config: Config, name: str, first: Lookup | None) -> Lookup | None:
    """All stages of one model of a run, looked up; None where nothing of it can be there.

    Args:
        first: the lookup of the configuration's first model, whose probes are frozen; None where it has none.

    Raises:
        HintprobeError: the questions cannot be read, or a shard of the store is damaged.
    """
    if not config.run_dir.is_dir() or (first is None and name != config.models[0]):
        return None
    run = Lookup(config, name)
    try:
        _ = run.fingerprint
    except HintprobeError:  # neither a folder nor in the hub's cache here: nothing can have run
        return None
    run_stages(run, first or run, VERBS)
    return run


def cached_of(run: Lookup | None, config: Config, work: Work, shape: ModelShape) -> dict[str, Any]:
    """Which stages are done, and how many rollouts and activations are there, as JSON values.

    Until all rollouts are there, what is captured of them is not known: all of it counts as missing, and
    ``activations["counted"]`` is false.
    """
    rollouts = work.records
    if run is None:
        found, stages = 0, dict.fromkeys(STAGES, False)
    else:
        stages = {name: name in run.results and not run.results[name].fresh for name in STAGES}
        found = _lines(rollouts_table(run.results["generate"].folder).path)
        rollouts = found if stages["generate"] else max(rollouts, found)
    activations = _activations(run, shape) if run is not None and stages["generate"] else None
    n_bytes = DTYPE_BYTES[_dtype(config)]
    return {
        "stages": stages,
        "rollouts": {"present": found, "missing": rollouts - found},
        "labels": _labels(run) if run is not None and stages["judge"] else None,
        "activations": activations
        or {
            "counted": False,
            "dtype": _dtype(config),
            "sites": work.sites,
            "rows": {"present": 0, "missing": work.captured},
            "positions": {"present": 0, "missing": work.entries},
            "bytes": {"present": 0, "missing": work.entries * work.sites * shape.d_model * n_bytes},
        },
    }


def _labels(run: Lookup) -> dict[str, int]:
    account = run.account(JudgeAccount)
    return {"reliant": account.reliant, "aligned": account.aligned}


def _lines(path: Path) -> int:
    """Records of a table; a line that a kill cut short does not count."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _activations(run: Lookup, shape: ModelShape) -> dict[str, Any]:
    from activations.planner import plan_missing

    dtype = _dtype(run.config)
    rows, positions = request([place(run, rollout) for rollout in captured_rollouts(run)])
    sites = captured_sites(run.config.capture, shape.n_layers)
    wanted = dict.fromkeys(sites, shape.d_model * DTYPE_BYTES[dtype])
    plan = plan_missing(_part(run, dtype), rows, positions, wanted)
    missing = plan.account
    return {
        "counted": True,
        "dtype": dtype,
        "sites": len(sites),
        "rows": _split(plan.n_rows, missing.forward_rows),
        "positions": _split(plan.n_positions, missing.written),
        "bytes": _split(plan.n_bytes, missing.n_bytes),
    }


def _split(total: int, missing: int) -> dict[str, int]:
    return {"present": total - missing, "missing": missing}


def _dtype(config: Config) -> str:
    """What the run would hold the weights in here."""
    try:
        device = usable_device(config.device)
    except HintprobeError:  # planned for another machine
        device = config.device
    return resolved_dtype(config.dtype, device)


def _own_numbers(settings: CaptureConfig) -> str | None:
    """What the store's note says of a backend whose numbers it keeps apart."""
    if settings.backend == "nnsight":
        return "nnsight_remote" if settings.remote else None
    return None if settings.backend == "native" else settings.backend


def _part(run: Lookup, dtype: str) -> ModelStore:
    """The part of the store that this model's activations are in, told by its note.

    The attention kernel is part of the identity and is known only once the model is loaded: of parts that differ in
    nothing else, the one with most shards.
    """
    config, store = run.config, ActivationStore(run.config.store_dir)
    wanted = {
        "model": run.fingerprint,
        "tokenizer": tokenizer_hash(run.tokenizer),
        "dtype": dtype,
        "quantized": config.quantized,
        "backend": _own_numbers(config.capture),
    }
    notes = {name: read_note(store.path / name) for name in store.parts()}
    fitting = [name for name, note in notes.items() if all(note.get(key) == value for key, value in wanted.items())]
    parts = [store.named(name) for name in fitting]
    return max(parts, key=lambda part: len(part.paths()), default=ModelStore(store.path / "none"))
