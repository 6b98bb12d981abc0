"""The generation at work: unhinted first, then targets are chosen, then the rest is asked."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.answers.rates import parse_rates
from experiments.engines import Answered, Ask, Engine
from experiments.engines.completions import completion_fields
from experiments.engines.forced import forced_answers
from experiments.engines.registry import ENGINES
from experiments.prompts.chat import template_note
from experiments.prompts.items import choose_targets, every_answer, given_items, plan_items
from experiments.prompts.writing import PromptWriter, Written
from experiments.records import Condition, Item, Question, Rollout
from experiments.records.accounts import GenerateAccount, KindLengths
from experiments.records.seeds import stable_int
from experiments.records.stages import items_table, rollouts_table
from experiments.run.model_run import ModelRun
from experiments.run.progress import Tick
from experiments.run.sampling import decoding_of, truncations

_SECOND_PASS: tuple[Condition, ...] = ("hinted", "swapped", "neutral")


@dataclass(frozen=True)
class _Request:
    """One rollout to be sampled."""

    item: Item
    condition: Condition
    index: int
    written: Written
    seed: int

    @property
    def id(self) -> str:
        return f"{self.item.id}:{self.condition}:{self.index}"

    @property
    def ask(self) -> Ask:
        encoded = self.written.rendered.encoded
        return Ask(encoded.ids, encoded.text, self.seed)


@dataclass
class Generation:
    """One stage at work: what it asks, and what is there already. Its rows are items."""

    run_of: ModelRun
    folder: Path
    questions: Sequence[Question]
    dropped: dict[str, int]
    title: str = "generate"

    def __post_init__(self) -> None:
        config = self.run_of.config.generate
        self.config, self.decoding = self.run_of.config, decoding_of(self.run_of)
        self.batched = ENGINES[config.engine].loads_model
        self.table = rollouts_table(self.folder)
        self.done = {rollout.id: rollout for rollout in self.table.resume()}
        self.run_of.reporter.say_lost(self.table.path, self.table.lost)
        hints, seed = self.config.hints, self.config.seed
        self.planned = given_items(hints) or plan_items(self.questions, hints, seed)
        self.aimed: dict[str, Item] = {}
        self.keys: Sequence[str] = [item.question.id for item in self.planned]
        self.first = config.unhinted_rollouts or config.rollouts
        self.forwards = self.ticks(range(len(self.planned)))

    @cached_property
    def engine(self) -> Engine:
        """Who completes the prompts."""
        return ENGINES[self.config.generate.engine].open(self.run_of, self.decoding, self.folder)

    @cached_property
    def writer(self) -> PromptWriter:
        """Who writes the prompts."""
        note = template_note(self.run_of.tokenizer)
        if note is not None:
            self.run_of.reporter.say(f"  {note}")
        config = self.config.generate
        return PromptWriter(self.run_of.tokenizer, config.template_options, config.system, config.instruction)

    def ticks(self, rows: Sequence[int]) -> int:
        """All rollouts of these items."""
        return len(rows) * (self.first + self.config.generate.rollouts * len(_SECOND_PASS))

    def do(self, rows: Sequence[int], tick: Tick) -> None:
        """Both passes of some items."""
        planned = [self.planned[row] for row in rows]
        plain: dict[str, dict[Condition, Written]] = {
            item.id: {"unhinted": self.writer.write(item, "unhinted")} for item in planned
        }
        self._sample(self._requests(planned, plain, self.first), tick)
        items, answers = self._aim(planned, self.first)
        going_on = [item for item in items if self._goes_on(item, answers[item.id])]
        sets = {item.id: self.writer.hinted_set(item, answers[item.id]) for item in going_on}
        self.aimed |= {item.id: sets[item.id][0] if item.id in sets else item for item in items}
        written = {name: prompts for name, (_, prompts) in sets.items()}
        self._sample(self._requests([item for item, _ in sets.values()], written, self.config.generate.rollouts), tick)

    def close(self) -> dict[str, Any]:
        """Write the items; what the engine says of itself."""
        items_table(self.folder).replace(self.aimed.values())
        return {"engine": self.engine.account()}

    def finish(self, counts: Mapping[str, Any]) -> GenerateAccount:
        """Items and rollouts in the order in which they were planned, whoever came first."""
        place = {item.id: k for k, item in enumerate(self.planned)}
        items = sorted(items_table(self.folder).read(), key=lambda item: place[item.id])
        items_table(self.folder).replace(items)
        known, self.done = self.done, {}
        order = {condition: k for k, condition in enumerate(("unhinted", *_SECOND_PASS))}
        for rollout in sorted(known.values(), key=lambda r: (place[r.item_id], order[r.condition], r.index)):
            self.done[rollout.id] = rollout
        if list(known) != list(self.done):
            self.table.replace(self.done.values())
        return self._account(items, counts["engine"])

    def _aim(self, planned: Sequence[Item], n: int) -> tuple[list[Item], dict[str, list[str | None]]]:
        """Items with their targets, and per item its unhinted answers."""
        answers = {item.id: [self.done[f"{item.id}:unhinted:{k}"].answer for k in range(n)] for item in planned}
        if self.config.hints.items is not None:
            return list(planned), {item.id: every_answer(item) for item in planned}
        on_belief, seed = self.config.hints.on_belief, self.config.seed
        return [choose_targets(item, answers[item.id], on_belief, seed) for item in planned], answers

    def _goes_on(self, item: Item, answers: Sequence[str | None]) -> bool:
        hints = self.config.hints
        return hints.items is not None or hints.keep == "all" or item.target not in answers

    def _requests(
        self, items: Sequence[Item], written: Mapping[str, Mapping[Condition, Written]], n: int
    ) -> list[_Request]:
        """All rollouts of these prompts.

        Conditions and items of one question share their seeds: the same noise falls on each, so a difference is the
        prompt's.
        """
        return [
            _Request(item, condition, index, prompt, self._seed(item, index))
            for item in items
            for condition, prompt in written[item.id].items()
            for index in range(n)
        ]

    def _seed(self, item: Item, index: int) -> int:
        return stable_int(self.config.seed, "sampling", item.question.id, index) % (self.engine.largest_seed + 1)

    def _sample(self, requests: Sequence[_Request], tick: Tick) -> None:
        """Sample what is not there yet; equal prompts with equal seeds run through the model once."""
        alike: dict[Ask, list[_Request]] = defaultdict(list)
        for request in requests:
            if request.id in self.done:
                tick(1)
            else:
                alike[request.ask].append(request)
        asks = list(alike)

        def keep(indices: list[int], answers: list[Answered]) -> None:
            pairs = zip(indices, answers, strict=True)
            requests = [(request, answered) for i, answered in pairs for request in alike[asks[i]]]
            records = self._forced(requests, [self._record(*request) for request in requests])
            self.table.append(records)
            self.done.update({record.id: record for record in records})
            tick(len(records))

        self.engine.run(asks, keep)

    def _forced(self, requests: Sequence[tuple[_Request, Answered]], records: list[Rollout]) -> list[Rollout]:
        """The records, with a forced answer where none is stated and the option is set."""
        at = [i for i, record in enumerate(records) if record.answer is None and record.finish_reason != "other"]
        if not self.config.generate.forced_answer or not at:
            return records
        n_options = [len(requests[i][0].item.question.options) for i in at]
        budget = self.config.generate.token_budget
        letters = forced_answers(self.run_of.loaded, [records[i] for i in at], n_options, budget)
        for i, letter in zip(at, letters, strict=True):
            records[i] = records[i].model_copy(update={"forced_answer": letter})
        return records

    def _record(self, request: _Request, answered: Answered) -> Rollout:
        rendered, options = request.written.rendered, request.item.question.options
        text, temperature = rendered.encoded.text, self.decoding.temperature
        return Rollout(
            id=request.id,
            item_id=request.item.id,
            condition=request.condition,
            index=request.index,
            prompt=request.written.prompt,
            prompt_text=text,
            prompt_ids=rendered.encoded.ids,
            places=rendered.characters,
            sampling=truncations(self.decoding),
            **completion_fields(
                self.run_of.tokenizer, answered, text, len(options), request.seed, temperature, options
            ),
        )

    def _account(self, items: Sequence[Item], engine: dict[str, Any]) -> GenerateAccount:
        rollouts = list(self.done.values())
        lengths = _lengths(items, self.done)
        going_on = [item for item in items if f"{item.id}:hinted:0" in self.done]
        return GenerateAccount(
            questions=len(self.questions),
            items=len(items),
            items_answered_unhinted=len(items) - len(going_on),
            rollouts=len(rollouts),
            unparsed=sum(rollout.answer is None for rollout in rollouts),
            forced=sum(rollout.forced_answer is not None for rollout in rollouts),
            parse_rates=tuple(parse_rates(items, rollouts)),
            truncated=sum(rollout.truncated for rollout in rollouts),
            empty=sum(not rollout.completion_text.strip() for rollout in rollouts),
            ended_otherwise=sum(rollout.finish_reason == "other" for rollout in rollouts),
            without_swap_target=sum(item.swap_target is None for item in going_on),
            swapped_of_other_length=sum(counts.swapped_of_other_length for counts in lengths.values()),
            neutral_of_other_length=sum(counts.neutral_of_other_length for counts in lengths.values()),
            lengths_by_kind=lengths,
            completion_ids_from=dict(Counter(rollout.ids_source for rollout in rollouts)),
            engine=engine,
            dropped_questions=self.dropped,
        )


def _lengths(items: Sequence[Item], rollouts: Mapping[str, Rollout]) -> dict[str, KindLengths]:
    """Per kind, how many swapped and neutral prompts could not be made as long as the hinted ones, in tokens."""
    table: dict[str, KindLengths] = {}
    for kind in dict.fromkeys(item.kind for item in items):
        names = [item.id for item in items if item.kind == kind and f"{item.id}:hinted:0" in rollouts]
        swapped = _longer(names, "swapped", rollouts)
        neutral = _longer(names, "neutral", rollouts)
        if names:
            table[kind] = KindLengths(
                items=len(names),
                swapped=len(swapped),
                swapped_of_other_length=sum(difference != 0 for difference in swapped),
                neutral_of_other_length=sum(difference != 0 for difference in neutral),
                neutral_mean_difference=round(sum(neutral) / len(neutral), 3),
            )
    return table


def _longer(names: Sequence[str], condition: Condition, rollouts: Mapping[str, Rollout]) -> list[int]:
    """By how many tokens the prompts of a condition are longer than the hinted ones, of the items that have one."""
    found = [(rollouts.get(f"{name}:{condition}:0"), rollouts[f"{name}:hinted:0"]) for name in names]
    return [len(own.prompt_ids) - len(hinted.prompt_ids) for own, hinted in found if own is not None]
