"""A judge that is a Hugging Face model on this machine, read by the same loop as rollouts are."""

import queue
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from activations.errors import HintprobeError
from experiments.config.endpoint import Endpoint
from experiments.engines.clients import EndpointError, Usage
from experiments.engines.replies import Reply

Job = TypeVar("Job")
Result = TypeVar("Result")
_TICK = 0.02
"""Seconds between two looks at who waits."""


@dataclass(frozen=True)
class _Question:
    ids: tuple[int, ...]
    max_tokens: int
    temperature: float
    reply: "Future[Reply]"


@dataclass
class LocalModel:
    """Answers chats by the in-process engine; what several transcripts ask at a time is one batch.

    ``endpoint.model`` is a folder, a hub id or a LoRA adapter, so a fine-tuned judge is named like any other.
    """

    endpoint: Endpoint
    usage: Usage = field(default_factory=Usage)
    _loaded: Any = None
    _waiting: "queue.SimpleQueue[_Question] | None" = None

    @property
    def loaded(self) -> Any:
        """The model, loaded when it is first asked."""
        from activations import load_model
        from experiments.run.known_models import resolve_model

        if self._loaded is None:
            self._loaded = load_model(resolve_model(self.endpoint.model))
        return self._loaded

    def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int,
        temperature: float | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Reply:
        """One answer; ``extra``, which is for servers, is passed over. Within :meth:`each` it waits for its batch."""
        tokenizer = self.loaded.tokenizer
        ids = tuple(tokenizer(rendered(tokenizer, messages), add_special_tokens=False)["input_ids"])
        question = _Question(ids, max_tokens, temperature or 0.0, Future())
        if self._waiting is None:
            self._answer([question])
        else:
            self._waiting.put(question)
        return question.reply.result()

    def _answer(self, questions: Sequence[_Question]) -> None:
        """Complete a batch; whatever goes wrong is every question's answer."""
        from activations import Decoding, generate
        from experiments.records.seeds import stable_int

        room = self.loaded.context
        for question in [q for q in questions if room is not None and len(q.ids) >= room]:
            said = f"its question has {len(question.ids)} tokens, and the context of {self.endpoint.model} is {room}"
            question.reply.set_exception(EndpointError(f"The judge cannot be asked: {said}.", 413))
        questions = [question for question in questions if not question.reply.done()]
        try:
            for temperature in sorted({q.temperature for q in questions}):
                own = [q for q in questions if q.temperature == temperature]
                decoding = Decoding(temperature, max(q.max_tokens for q in own))
                seeds = [stable_int("judge", q.ids) % 2**31 for q in own]
                done = generate(self.loaded, [q.ids for q in own], decoding, seeds=seeds)
                for question, completion in zip(own, done, strict=True):
                    question.reply.set_result(self._reply(question, completion))
        except BaseException as error:
            for question in questions:
                if not question.reply.done():
                    question.reply.set_exception(error)
            if not isinstance(error, Exception):  # Ctrl-C is not an answer
                raise

    def _reply(self, question: _Question, completion: Any) -> Reply:
        ids = completion.ids[: question.max_tokens]
        cut = len(completion.ids) > len(ids)
        reply = Reply(
            text=str(self.loaded.tokenizer.decode(list(ids), skip_special_tokens=True)),
            reasoning=None,
            finish_reason="length" if cut else completion.finish_reason,
            model=self.endpoint.model,
            prompt_tokens=len(question.ids),
            completion_tokens=len(ids),
        )
        self.usage = self.usage.plus(reply)
        return reply

    def each(self, jobs: Iterable[Job], call: Callable[[Job], Result], keep: Callable[[Job, Result], None]) -> None:
        """Work on ``endpoint.concurrency`` jobs at a time; the model runs, in the caller's thread, when all wait."""
        waiting: queue.SimpleQueue[_Question] = queue.SimpleQueue()
        remaining = iter(jobs)
        active: dict[Future[Result], Job] = {}
        asked: list[_Question] = []
        self._waiting = waiting
        _ = self.loaded  # by one thread, before several ask
        with ThreadPoolExecutor(self.endpoint.concurrency) as pool:
            try:
                while True:
                    while len(active) < self.endpoint.concurrency and (job := next(remaining, None)) is not None:
                        active[pool.submit(call, job)] = job
                    if not active:
                        return
                    asked += _come(waiting)
                    for future in [future for future in active if future.done()]:
                        keep(active.pop(future), future.result())
                    if asked and len(asked) == sum(not future.done() for future in active):
                        batch, asked = asked, []
                        self._answer(batch)
            finally:
                self._give_up(active, asked, waiting)
                self._waiting = None

    @staticmethod
    def _give_up(
        active: Mapping["Future[Any]", object], asked: Sequence[_Question], waiting: "queue.SimpleQueue[_Question]"
    ) -> None:
        """Release threads that wait for an answer that will not come, so that a stop stops."""
        gone = HintprobeError("The judge was stopped.")
        left = list(asked)
        while any(not future.done() for future in active):
            for question in left:
                question.reply.set_exception(gone)
            for future in active:
                future.cancel()
            left = _come(waiting)


def _come(waiting: "queue.SimpleQueue[_Question]") -> list[_Question]:
    """Questions that have come in; waits a moment for the first."""
    found = []
    try:
        found.append(waiting.get(timeout=_TICK))
        while True:
            found.append(waiting.get_nowait())
    except queue.Empty:
        return found


def rendered(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> str:
    """The chat as the template writes it; where it knows no system role, that turn heads the user's."""
    from jinja2 import TemplateError

    from experiments.judges.asking import without_system
    from experiments.prompts.chat import PLAIN_TEMPLATE

    template = None if tokenizer.chat_template else PLAIN_TEMPLATE
    for turns in ([dict(m) for m in messages], without_system(messages)):
        try:
            return str(
                tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, chat_template=template)
            )
        except TemplateError as error:
            problem = error
    raise HintprobeError(f"The judge's chat template cannot write its question: {problem}.") from problem
