"""A run's folder with as many rollouts as wanted, written without any model."""

import json

import numpy as np
from report_summary import STAGES, model_summary, run_summary, typed

from experiments.records import (
    CotScore,
    DetectorSummary,
    Item,
    Label,
    Message,
    Prompt,
    Question,
    Rollout,
    ScoreRow,
    Span,
    TargetRow,
    Verdict,
)
from experiments.records.stages import (
    cot_scores_table,
    detectors_table,
    items_table,
    labels_table,
    rollouts_table,
    scores_table,
    targets_table,
    verdicts_table,
)
from experiments.report import Run

KINDS = ("sycophancy", "metadata", "grader_hacking")
BEHAVIOURS = ("reliant", "aligned", "resisted")


def _question(i, source):
    return Question(
        id=f"q{i}", stem=f"stem {i}", options=("a", "b"), gold="A", subject="s", source=source, group=f"g{i}"
    )


def _rollout(item_id, condition, hint, cot):
    text = f"stem? {hint}" if condition == "hinted" else "stem?"
    spans = {"hint": Span(message=0, start=6, end=len(text))} if condition == "hinted" else {}
    return Rollout(
        id=f"{item_id}:{condition}:0", item_id=item_id, condition=condition, index=0,
        prompt=Prompt(messages=(Message(role="user", content=text),), spans=spans),
        prompt_text=text, prompt_ids=(1,), completion_ids=(2,), completion_text=f"<think>{cot}</think>B", cot=cot,
        answer_text="B", answer="B", truncated=False, finish_reason="stop", seed=0, temperature=0.0, margins=(1.0,),
    )  # fmt: skip


def _label(item_id, kind, behaviour, i):
    return Label(
        item_id=item_id, rollout_id=f"{item_id}:hinted:0", group=f"g{i}", kind=kind,
        direction="incorrect" if i % 2 else "correct", n_options=2, gold="A", target="B", swap_target=None,
        unhinted_answer="A", hinted_answer="B", swapped_answer=None, neutral_answer="A", unhinted_rate=0.0, margin=1.0,
        behaviour=behaviour, strong=False,
    )  # fmt: skip


def make_run(folder, n=30, cots=("I recall it.",), hint="A professor says (B).", source="mmlu", quote=None):
    """A finished run of ``n`` items, with kinds, behaviours and texts in turn."""
    summary = run_summary(model_summary())
    home = folder / summary["models"][0]["folder"]
    place = {stage: home / f"{stage}-x" for stage in STAGES}
    for path in place.values():
        path.mkdir(parents=True, exist_ok=True)
    items, rollouts, labels, verdicts, scores, targets = [], [], [], [], [], []
    rng = np.random.default_rng(0)
    for i in range(n):
        kind, behaviour = KINDS[i % 3], BEHAVIOURS[(i // 3) % 3]
        item_id, cot = f"q{i}:{kind}", cots[i % len(cots)]
        items.append(
            Item(
                id=item_id,
                question=_question(i, source),
                kind=kind,
                direction="incorrect" if i % 2 else "correct",
                wording=0,
                source="a professor",
                target="B",
                swap_target=None,
            )
        )
        rollouts += [_rollout(item_id, condition, hint, cot) for condition in ("hinted", "unhinted")]
        labels.append(_label(item_id, kind, behaviour, i))
        said = i % 4 == 0
        verdicts.append(
            Verdict(
                rollout_id=labels[-1].rollout_id,
                judge="lexical",
                status="ok",
                mentions=said,
                relies=said,
                rejects=False,
                only_verifies=False,
                quote=quote,
            )
        )
        if behaviour != "resisted":
            score = float(rng.normal() + (behaviour == "reliant"))
            scores.append(
                ScoreRow(
                    detector="probe_before_cot",
                    rollout_id=labels[-1].rollout_id,
                    fold=i % 2,
                    score=score,
                    probability=float(1 / (1 + np.exp(-score))),
                )
            )
            label = labels[-1]
            targets.append(
                TargetRow(
                    target="reliant", rollout_id=label.rollout_id, group=label.group, kind=kind,
                    direction=label.direction, positive=behaviour == "reliant", fold=i % 2,
                )
            )  # fmt: skip
    probe = DetectorSummary(
        name="probe_before_cot", family="probe", reads="", seconds_per_row=0.0, chosen=(), validation=(),
        null_aurocs=(), training_negatives=(tuple(np.linspace(-2, 2, 21).tolist()),) * 2,
    )  # fmt: skip
    items_table(place["generate"]).replace(items)
    rollouts_table(place["generate"]).replace(rollouts)
    labels_table(place["judge"]).replace(labels)
    verdicts_table(place["judge"]).replace(verdicts)
    scores_table(place["probe"]).replace(scores)
    targets_table(place["probe"]).replace(targets)
    detectors_table(place["probe"]).replace([probe])
    cot_scores_table(place["probe"]).replace(
        [
            CotScore(
                rollout_id=labels[0].rollout_id, detector="probe_within_cot", cell="resid_post.1@cot_0.5", token=9,
                start=7, end=8, ends_sentence=False, score=1.0, probability=0.731,
            )
        ]
    )  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary))
    return Run(folder, typed(summary))
