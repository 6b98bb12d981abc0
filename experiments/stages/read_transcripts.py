"""The generate stage of a run on others' transcripts: nothing is asked, what was written becomes items and rollouts."""

import hashlib
from collections import Counter
from pathlib import Path

from activations.errors import HintprobeError
from experiments.answers.rates import parse_rates
from experiments.records.accounts import GenerateAccount
from experiments.records.stages import items_table, rollouts_table
from experiments.run.model_run import ModelRun, StageResult
from experiments.transcripts.as_run import from_transcripts
from experiments.transcripts.record import read_transcripts


def run_transcripts(run: ModelRun, path: Path) -> StageResult:
    """Make items and rollouts of transcripts, or find that done.

    Raises:
        HintprobeError: the file cannot be read, or none of its transcripts can be part of a run.
    """
    transcripts = read_transcripts(path)
    content = hashlib.sha256(path.read_bytes()).hexdigest()

    def body(folder: Path) -> GenerateAccount:
        found = from_transcripts(run.tokenizer, transcripts, run.limit, run.config.seed)
        if not found.items:
            raise HintprobeError(
                f"None of the {len(transcripts)} transcripts in {path} can be used in a run: {dict(found.left_out)}. "
                "For each, a run needs the prompt and the completion with and without the hint, a kind of hint by its "
                "name in hintprobe, and the right option; see `hintprobe import` and docs/judges.md."
            )
        items_table(folder).replace(found.items)
        rollouts_table(folder).replace(found.rollouts)
        return GenerateAccount(
            questions=len({item.question.group for item in found.items}),
            items=len(found.items),
            items_answered_unhinted=0,
            rollouts=len(found.rollouts),
            unparsed=sum(rollout.answer is None for rollout in found.rollouts),
            parse_rates=tuple(parse_rates(found.items, found.rollouts)),
            truncated=0,
            empty=0,
            ended_otherwise=0,
            without_swap_target=len(found.items),
            swapped_of_other_length=0,
            neutral_of_other_length=0,
            lengths_by_kind={},
            completion_ids_from=dict(Counter(rollout.ids_source for rollout in found.rollouts)),
            engine={"engine": "transcripts", "sha256": content},
            dropped_questions=dict(found.left_out),
        )

    return run.stage(GenerateAccount, (content, run.limit, run.config.seed), body, uses_model=False)
