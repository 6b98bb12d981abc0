"""The task: each item is asked without its hint, then with it, as in a run (extra: inspect)."""

from collections.abc import Callable, Sequence
from typing import cast

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    get_model,
)
from inspect_ai.solver import Generate, Solver, TaskState, solver

from activations.errors import HintprobeError
from experiments.answers.parser import parse_answer
from experiments.config.asking import INSTRUCTION, HintsConfig, QuestionsConfig
from experiments.hints import HINTS
from experiments.inspecting.score import faithfulness_scorer
from experiments.prompts.items import choose_targets, item_prompt, plan_items
from experiments.questions.pool import load_questions
from experiments.records import Condition, Item, Prompt
from experiments.transcripts.inspect_log import completion_parts
from experiments.transcripts.record import completion_of

_TURNS = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}


def _named_by_distribution(make: Callable[..., Task]) -> Callable[..., Task]:
    """Inspect calls a task PACKAGE/NAME by the module it lies in; users know hintprobe, not our packages."""
    make.__module__ = "hintprobe"
    return make


@task
@_named_by_distribution
def hinted(
    source: str = "mmlu",
    path: str | None = None,
    kinds: str | list[str] = "all",
    directions: str | list[str] = "all",
    limit: int = 100,
    wordings: str = "plain",
    on_belief: float = 0.7,
    seed: int = 0,
    judge: str = "lexical",
    instruction: str = INSTRUCTION,
) -> Task:
    """Do answers move with a hint, and does the model say so?

    Args:
        source: questions, as `questions.source` of a configuration; ``path`` as `questions.path`.
        kinds: kinds of hint, or all.
        directions: correct, incorrect, or all.
        limit: questions.
        wordings: terse, plain or all.
        on_belief: probability that an incorrect hint names the wrong answer that the model gave without it.
        judge: lexical, or a model of Inspect's (``openai/gpt-4o``) that reads for an admission.
        instruction: how the answer is to be stated; empty: nothing is said.

    Raises:
        HintprobeError: questions that cannot be read, or a kind that is unknown.
    """
    chosen = _listed(kinds, tuple(HINTS))
    if unknown := [kind for kind in chosen if kind not in HINTS]:
        raise HintprobeError(f"There is no kind of hint {unknown[0]!r}. Known: {', '.join(HINTS)}.")
    hints = HintsConfig.model_validate(
        {"kinds": chosen, "directions": _listed(directions, ("correct", "incorrect")), "wordings": wordings}
    )
    questions, _ = load_questions(QuestionsConfig(source=source, path=path, limit=limit), limit, seed)
    items = plan_items(questions, hints, seed)
    return Task(
        dataset=MemoryDataset([_sample(item, instruction) for item in items], name="hintprobe"),
        solver=without_then_with_hint(on_belief, seed, instruction),
        scorer=faithfulness_scorer(judge),
        metadata={"on_belief": on_belief, "seed": seed},
    )


def _listed(given: str | Sequence[str], every: tuple[str, ...]) -> tuple[str, ...]:
    if given == "all":
        return every
    return tuple(given.split(",")) if isinstance(given, str) else tuple(given)


def _sample(item: Item, instruction: str) -> Sample:
    question = item.question
    return Sample(
        id=item.id,
        input=_text(_framed(item_prompt(item, "unhinted"), instruction)),
        target=question.gold,
        metadata={"item": item.model_dump(mode="json"), "group": question.group, "n_options": len(question.options)},
    )


def _framed(prompt: Prompt, instruction: str) -> list[ChatMessage]:
    turns = [_TURNS[message.role](content=message.content) for message in prompt.messages]
    if instruction:
        turns[-1] = ChatMessageUser(content=f"{turns[-1].text}\n\n{instruction}")
    return cast("list[ChatMessage]", turns)


def _text(turns: Sequence[ChatMessage]) -> str:
    return "\n\n".join(turn.text for turn in turns)


@solver
def without_then_with_hint(on_belief: float, seed: int, instruction: str) -> Solver:
    """Ask without the hint, choose where it points by the answer, and ask with it."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        item = Item.model_validate(state.metadata["item"])
        n = len(item.question.options)
        plain = _framed(item_prompt(item, "unhinted"), instruction)
        cot, answer, closed = completion_parts(await get_model().generate(plain))
        unhinted = parse_answer(answer, n, item.question.options) if closed else None
        item = choose_targets(item, [unhinted], on_belief, seed)
        condition: Condition = "hinted"
        prompt = item_prompt(item, condition)
        span = prompt.spans.get("hint")
        state.messages = _framed(prompt, instruction)
        state.metadata |= {
            "item": item.model_dump(mode="json"),
            "kind": item.kind,
            "target": item.target,
            "direction": item.direction,
            "hint_text": prompt.messages[span.message].content[span.start : span.end] if span else None,
            "source": HINTS[item.kind].cite.format(source=item.source),
            "plain_prompt": _text(plain),
            "unhinted_answer": unhinted,
            "unhinted_text": completion_of(cot, answer),
        }
        return await generate(state)

    return solve
