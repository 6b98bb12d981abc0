"""Stage 2: judges read every hinted rollout."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from experiments.answers.labelling import label_rollouts, reliances
from experiments.config import JudgeConfig
from experiments.config.endpoint import Endpoint
from experiments.judges import Judge, build_judges
from experiments.judges.panel import PANEL, panel_verdicts
from experiments.records import Verdict
from experiments.records.accounts import JudgeAccount
from experiments.records.stages import labels_table, reliance_table, verdicts_table
from experiments.records.tables import RecordTable
from experiments.run.model_run import ModelRun, StageResult
from experiments.run.progress import Reporter, Tick
from experiments.run.sharing import split
from experiments.run.stage import Stage
from experiments.transcripts import Transcript, transcript_of

FEW, FEW_SHARE = 3, 0.05
"""Below this many rows, or this share of all, rows that a server did not answer are errors like others."""


def run_judge(run: ModelRun) -> StageResult | None:
    """Judge and label the rollouts of a model, or find that done."""
    asked = verdicts_depend_on(run.config.judge)
    depends = (run.results["generate"].signature, asked, run.config.labels, *contents_of(asked))
    return split(
        run,
        JudgeAccount,
        depends,
        lambda folder: _Judging(run, folder),
        uses_model=False,
        still_there=lambda _, account: run.share is not None or not account.unreached,
    )


def verdicts_depend_on(asked: JudgeConfig) -> JudgeConfig:
    """The judges: not how fast a server answers, at which address, or what may be spent on it."""
    kept = {"model", "served_as", "limit_field"}
    models = {
        name: model.model_copy(update={"endpoint": Endpoint(**model.endpoint.model_dump(include=kept))})
        for name, model in asked.models.items()
    }
    return asked.model_copy(update={"calibration": None, "models": models})


def contents_of(asked: JudgeConfig) -> list[str]:
    """What the files that judges are made of hold: another content under the same name is another judge."""
    shown = [model.examples for model in asked.models.values() if model.examples is not None]
    paths = [*asked.trained.values(), *(path for one in shown for path in (one.transcripts, one.labels))]
    return [hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "" for path in paths]


@dataclass
class _Judging:
    """The judges at work. Rows are hinted rollouts."""

    run: ModelRun
    folder: Path
    title: str = ""
    batched: bool = False

    def __post_init__(self) -> None:
        records = self.run.records
        self.rollouts = [rollout for rollout in records.rollouts.values() if rollout.condition == "hinted"]
        self.keys: Sequence[str] = [records.items[rollout.item_id].question.id for rollout in self.rollouts]
        self.forwards = len(self.rollouts)
        self.spent: dict[str, dict[str, float]] = {}
        self.unreached = 0

    def ticks(self, rows: Sequence[int]) -> int:
        """None: every judge has a bar of its own."""
        return 0

    def do(self, rows: Sequence[int], tick: Tick) -> None:
        """Every judge's verdict on some rollouts."""
        asked, items = self.run.config.judge, self.run.records.items
        chosen = [self.rollouts[row] for row in rows]
        sibling = self.run.records.sibling
        transcripts = [transcript_of(items[r.item_id], r, sibling(r.id, "unhinted")) for r in chosen]
        judges = build_judges(asked.judges, asked.models, self.run.config.cache / "judges", asked.trained)
        table = verdicts_table(self.folder)
        there = table.resume()
        self.run.reporter.say_lost(table.path, table.lost)
        before = errors_left(there, asked.judges, {transcript.id for transcript in transcripts})
        try:
            _, self.spent = judged(table, transcripts, judges, asked.panel, self.run.reporter)
            self.unreached = refuse_unreached(judges, len(transcripts))
        except HintprobeError as error:
            if before is None:
                raise
            self.unreached = before
            self.run.reporter.warn(
                f"  judge: {before} verdicts are missing since an earlier run, because a judge's server did not give "
                f"them. Asking for them again failed; the stage is unchanged. {error}"
            )

    def close(self) -> dict[str, Any]:
        """What the judges have spent, and the verdicts that their servers did not give."""
        return {"spent": self.spent, "unreached": self.unreached}

    def finish(self, counts: Mapping[str, Any]) -> JudgeAccount:
        """Verdicts by judge, in the order of the rollouts; labels of all."""
        records, table = self.run.records, verdicts_table(self.folder)
        items, rollouts, stated = list(records.items.values()), list(records.rollouts.values()), self.run.config.labels
        labels = label_rollouts(items, rollouts, stated)
        labels_table(self.folder).replace(labels)
        reliance_table(self.folder).replace(reliances(items, rollouts, stated))
        judges = [*self.run.config.judge.judges, PANEL]
        place = {rollout.id: k for k, rollout in enumerate(self.rollouts)}
        verdicts = sorted(table.read(), key=lambda v: (judges.index(v.judge), place[v.rollout_id]))
        table.replace(verdicts)
        headline = [verdict for verdict in verdicts if verdict.judge == judges[0]]
        behaviours = Counter(label.behaviour for label in labels)
        return JudgeAccount(
            reliant=behaviours["reliant"],
            aligned=behaviours["aligned"],
            overdetermined=behaviours["overdetermined"],
            resisted=behaviours["resisted"],
            ambiguous=behaviours["ambiguous"],
            verbalized=sum(bool(verdict.verbalized) for verdict in headline),
            unscored=sum(verdict.status != "ok" for verdict in headline),
            spent=counts["spent"],
            unreached=counts.get("unreached", 0),  # parts of an earlier version have none
        )


def judged(
    table: RecordTable[Verdict],
    transcripts: Sequence[Transcript],
    judges: Sequence[Judge],
    panel: bool,
    reporter: Reporter,
) -> tuple[list[Verdict], dict[str, dict[str, float]]]:
    """The verdicts of every judge, and what each has spent.

    What an earlier, stopped run was given is not asked again, but for what ended in an error.
    """
    done = {(verdict.judge, verdict.rollout_id): verdict for verdict in table.resume() if verdict.status != "error"}
    reporter.say_lost(table.path, table.lost)
    for judge in judges:
        waiting = [transcript for transcript in transcripts if (judge.name, transcript.id) not in done]
        with reporter.bar(f"judge {judge.name}", len(waiting)) as tick:
            for batch in in_batches(judge.verdicts(waiting)):
                table.append(batch)
                done.update({(verdict.judge, verdict.rollout_id): verdict for verdict in batch})
                tick(len(batch))
    if panel:
        done.update({(PANEL, verdict.rollout_id): verdict for verdict in panel_verdicts(done.values())})
    table.replace(done.values())
    return list(done.values()), {judge.name: judge.spent() for judge in judges if judge.spent()}


def refuse_unreached(judges: Sequence[Judge], n: int) -> int:
    """How many verdicts the judges' servers did not give; many are no result, for the server went away.

    A few rows that failed stop nothing: they are errors, counted, and asked for again by the next run.

    Raises:
        HintprobeError: a judge could not be asked about many of the transcripts. What was answered is kept.
    """
    for judge in judges:
        unreached = getattr(judge, "unreached", 0)
        if _many(unreached, n):
            raise HintprobeError(
                f"The judge {judge.name} could not be asked about {unreached} of {n} transcripts: its server was "
                "unreachable or too busy. Its answers so far are kept; run the same command again when the server "
                "answers, to ask only the missing ones."
            )
    return sum(getattr(judge, "unreached", 0) for judge in judges)


def errors_left(verdicts: Sequence[Verdict], judges: Sequence[str], ids: set[str]) -> int | None:
    """The errors of a table that is complete but for a few; None where rows are missing or many are errors."""
    total = 0
    for judge in judges:
        own = [verdict for verdict in verdicts if verdict.judge == judge and verdict.rollout_id in ids]
        errors = sum(verdict.status == "error" for verdict in own)
        if len(own) < len(ids) or _many(errors, len(ids)):
            return None
        total += errors
    return total or None


def _many(errors: int, n: int) -> bool:
    return errors >= FEW and errors > FEW_SHARE * n


def in_batches(verdicts: Iterator[Verdict], size: int = 16) -> Iterator[list[Verdict]]:
    """Verdicts a few at a time: each batch is one write to disk."""
    while batch := list(islice(verdicts, size)):
        yield batch


STAGE = Stage(JudgeAccount, "judge", ("generate",), lambda run, _: run_judge(run), parts=True)
