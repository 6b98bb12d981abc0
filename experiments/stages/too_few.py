"""Why a model gave too few rows for probes, and what to change."""

from collections import Counter

from activations.errors import HintprobeError
from experiments.records.accounts import GenerateAccount, JudgeAccount, ProbeAccount
from experiments.run.model_run import ModelRun


def too_few_rows(run: ModelRun) -> str:
    """Why the model that detectors should be trained on gave too few rows for it; empty where they were trained.

    That is a result, not a failure: everything else of the run stands.
    """
    if "probe" not in run.results or (probe := run.account(ProbeAccount)).trained:
        return ""
    return (
        f"{run.model_name} gave {probe.reliant} reliant and {probe.aligned} aligned rows, and probes need at least "
        f"{run.config.probe.min_per_class} of each (`probe.min_per_class`): none were trained. {_cause(run)} All "
        f"records are kept, and the report in {run.config.run_dir} has everything but probes."
    )


def refuse_untrained(run: ModelRun) -> None:
    """The same as an error, for scripts that need probes.

    Raises:
        HintprobeError: nothing was trained.
    """
    if said := too_few_rows(run):
        raise HintprobeError(said)


def _cause(run: ModelRun) -> str:
    """What most likely kept rows from being reliant or aligned, and what to change."""
    generated, counts = run.account(GenerateAccount), run.account(JudgeAccount)
    rollouts, unparsed, cut = generated.rollouts, generated.unparsed, generated.truncated
    if unparsed > 0.3 * rollouts:
        advice = (
            "raise `generate.max_new_tokens`"
            if cut > 0.5 * unparsed
            else "read some of them in the report, and state in `generate.instruction` how to give the answer"
        )
        return f"{unparsed} of {rollouts} completions state no answer ({cut} were cut by the token limit): {advice}."
    answers = Counter(
        rollout.answer
        for rollout in run.records.rollouts.values()
        if rollout.condition == "unhinted" and rollout.answer is not None
    )
    letter, n = answers.most_common(1)[0] if answers else ("", 0)
    if answers.total() >= 10 and n > 0.6 * answers.total():
        return (
            f"{n} of {answers.total()} unhinted answers were ({letter}): the model answers by the option's place "
            "rather than by the question. Ask a stronger model, or easier questions."
        )
    return (
        f"Of the hinted rollouts, {counts.resisted} resisted, {counts.overdetermined} were overdetermined and "
        f"{counts.ambiguous} ambiguous. Ask more questions, or use other hint kinds."
    )
