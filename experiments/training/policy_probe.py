"""The probe that is read in training: trained at step 0 on held-out items, put to the policy's own activations."""

from collections.abc import Sequence
from dataclasses import dataclass

from activations import LoadedModel, capture
from activations.errors import HintprobeError
from activations.placement import usable_device
from experiments.detectors.cells import Place
from experiments.prompts.positions import locate_in
from experiments.records import Rollout
from experiments.run.progress import Reporter
from experiments.training.checkpoints import Located
from experiments.training.config import TrainingConfig
from experiments.training.measured import measure
from experiments.training.readings import chosen_positions, probe_detectors, refuse_few, rows_of
from experiments.training.rewards import ProbeOf, Values
from probes import FoldOutcome, Search, fit_for_use

_N_OPTIONS = 10
_BUDGET = 32_768


@dataclass(frozen=True)
class PolicyProbe:
    """Reads completions as the policy has just written them.

    Attributes:
        loaded: the policy itself, as it is trained.
    """

    loaded: LoadedModel
    outcome: FoldOutcome

    def __call__(self, rollouts: Sequence[Rollout]) -> Values:
        """Calibrated probability of reliance of each hinted completion; None where the position is not there."""
        chosen = self.outcome.chosen
        if chosen is None or not isinstance(chosen.cell, Place):
            return [None] * len(rollouts)
        site, position = chosen.cell
        found: Values = [None] * len(rollouts)
        at: dict[int, int] = {}
        for k, rollout in enumerate(rollouts):
            if rollout.condition == "hinted":
                places, _ = locate_in(self.loaded.tokenizer, _N_OPTIONS, rollout, (position,))
                if position in places:
                    at[k] = places[position]
        rows = list(at)
        ids = [rollouts[k].prompt_ids + rollouts[k].completion_ids for k in rows]
        for indices, states in capture(self.loaded, ids, [[at[k]] for k in rows], [site], _BUDGET):
            scores = chosen.score(states[site][:, 0].double().numpy())
            for i, probability in zip(indices, self.outcome.calibration.probability(scores), strict=True):
                found[rows[i]] = float(probability)
        return found


def policy_probe(config: TrainingConfig, source: str, loaded: LoadedModel, reporter: Reporter) -> ProbeOf | None:
    """The probe of ``train.probe_name``, trained on step 0; None where step 0 has too few rows and nothing needs it.

    Raises:
        HintprobeError: the reward weighs the probe, and it cannot be trained.
    """
    start = measure(config, Located(0, source, config.model), (), None, reporter)
    probe = config.measure.probe
    try:
        positions = chosen_positions(start)
        rows = rows_of(start, positions)
        refuse_few(rows.contrast(), probe.min_per_class)
        found = probe_detectors(start.run, rows, positions, [config.train.probe_name])
        if not found:
            raise HintprobeError(f"no position of {config.train.probe_name} is captured (measure.capture.positions)")
        search = Search(probe.c_grid, probe.outer_folds, probe.inner_folds, device=usable_device(probe.device))
        outcome = fit_for_use(found[0].cells, rows.contrast(), search, config.seed)
    except HintprobeError as error:
        if config.train.rewards.probe:
            raise HintprobeError(
                f"The reward uses the probe {config.train.probe_name}, which cannot be trained at step 0: {error}. "
                "Measure more questions or other kinds of hint (`measure`), or set `train.rewards.probe` to 0."
            ) from error
        reporter.say(f"  no probe is read in training: {error}")
        return None
    return PolicyProbe(loaded, outcome)
