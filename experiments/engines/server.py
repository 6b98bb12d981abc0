"""Any server that speaks the OpenAI completions API: vLLM, SGLang, ``transformers serve``, llama.cpp.

What a server can do is found out by asking it, and written down. The prompt goes over as token ids where the server
takes them, else as text; either way the server's own count of prompt tokens must be ours, or another template or
tokenizer is at work there and nothing is generated. Servers ignore ``logprobs``, ``seed`` and ``temperature`` without a
word, so each is checked in the reply.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activations.errors import HintprobeError
from activations.spans import encode
from experiments.config.endpoint import Endpoint
from experiments.engines.base import Answered, Ask, IdsSource, Keep
from experiments.engines.clients import Client, EndpointError, Usage
from experiments.engines.registry import EngineKind
from experiments.engines.replies import Reply
from experiments.records.tables import read_json, write_json
from experiments.run.model_run import ModelRun
from experiments.run.sampling import truncations

if TYPE_CHECKING:
    from activations import Decoding

_REFUSALS = (400, 404, 415, 422, 501)
"""Statuses by which servers turn down a request's form."""

_END_OF_TURN = re.compile(r"end|eot|eos|eom|return|</s>", re.IGNORECASE)
"""In the text of an added token that is not marked as special, and yet ends a turn."""

_ROW_REFUSALS = (400, 413, 422)
"""Statuses by which servers turn down one prompt: too long, most often."""

_REFUSED_AT_MOST = 16
"""Refused prompts without a single answer after which no more are tried."""

_SHORT = 16
"""Tokens of a request that only finds something out."""


@dataclass(frozen=True)
class _Form:
    """One way of asking."""

    as_ids: bool
    extra: dict[str, Any]


_LOGPROBS: dict[str, Any] = {"logprobs": 2}
_EXACT: dict[str, Any] = {**_LOGPROBS, "return_token_ids": True, "skip_special_tokens": False}
_FORMS = (
    _Form(True, _EXACT),
    _Form(True, _LOGPROBS),
    _Form(False, {**_EXACT, "add_special_tokens": False}),
    _Form(False, {**_LOGPROBS, "add_special_tokens": False, "skip_special_tokens": False}),
    _Form(False, _LOGPROBS),
)
"""From the most exact to the plainest; the first that the server takes is used."""


class ServerEngine:
    """Completes prompts on an OpenAI-compatible server.

    Args:
        tokenizer: the model's own tokenizer, which made the prompts.
        truncations: top_p, top_k, min_p and repetition_penalty, those that are on.
        usage_file: where requests and tokens are counted across restarts, so that a budget covers them all.
    """

    largest_seed = 2**31 - 1  # some servers keep seeds in 32 bits

    def __init__(
        self,
        endpoint: Endpoint,
        tokenizer: Any,
        temperature: float,
        max_new_tokens: int,
        usage_file: Path,
        truncations: Mapping[str, float] | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.temperature = temperature
        self.max_new_tokens = max_new_tokens
        self.truncations = dict(truncations or {})
        self.usage_file = usage_file
        self.endpoint = endpoint
        self.usage = Usage(**read_json(usage_file)) if usage_file.exists() else Usage()
        self.learned: dict[str, Any] = {}

    def run(self, asks: Sequence[Ask], keep: Keep) -> None:
        """Complete all asks, each kept as it is answered.

        A prompt that the server refuses (longer than its context, say) does not keep the others from being asked.

        Raises:
            EndpointError: the server cannot be reached, refuses a prompt, or is not the model that was asked for.
            BudgetSpentError: the endpoint's budget is used up.
        """
        if not asks:
            return
        with Client(self.endpoint, self.usage) as client:
            try:
                form = self._form(client, asks[0])
                self.learned |= self._sampling(client, form, asks[0])
                self._each(client, form, asks, keep)
            finally:
                self.usage = client.usage
                write_json(self.usage_file, asdict(self.usage))

    def _each(self, client: Client, form: _Form, asks: Sequence[Ask], keep: Keep) -> None:
        refused: dict[int, EndpointError] = {}
        answered: list[int] = []

        def ask(i: int) -> Answered | EndpointError:
            try:
                return self._complete(client, form, asks[i])
            except EndpointError as error:
                # One refused prompt says nothing of the others; many with no answer between them do.
                if error.status not in _ROW_REFUSALS or (len(refused) >= _REFUSED_AT_MOST and not answered):
                    raise
                return error

        def kept(i: int, found: Answered | EndpointError) -> None:
            if isinstance(found, EndpointError):
                refused[i] = found
            else:
                answered.append(i)
                keep([i], [found])

        client.each(range(len(asks)), ask, kept)
        if refused:
            first = min(refused)
            raise EndpointError(
                f"The server at {self.endpoint.base_url} refused {len(refused)} of {len(asks)} prompts, the first of "
                f"{len(asks[first].prompt_ids)} tokens with `generate.max_new_tokens: {self.max_new_tokens}`. The "
                f"others were answered and are kept. It said: {refused[first]} Serve the model with a longer context "
                "and run again to resume, lower max_new_tokens (this asks every prompt again), or leave that question "
                "out.",
                refused[first].status,
            )

    def account(self) -> dict[str, Any]:
        """What the server gives, and what was asked of it in all."""
        return {
            "engine": "server",
            "served": self.endpoint.served_as or self.endpoint.model,
            **self.learned,
            "usage": asdict(self.usage),
            "cost": round(self.usage.cost(self.endpoint), 6),
        }

    def _request(self, client: Client, form: _Form, ask: Ask, max_tokens: int, seed: int) -> Reply:
        prompt = ask.prompt_ids if form.as_ids else ask.prompt_text
        extra = {**form.extra, **self.truncations}
        return client.complete(prompt, max_tokens=max_tokens, temperature=self.temperature, seed=seed, extra=extra)

    def _form(self, client: Client, ask: Ask) -> _Form:
        """The most exact form of request that the server takes and reads as we do."""
        said: HintprobeError | None = None
        for form in _FORMS:
            try:
                reply = self._request(client, form, ask, min(_SHORT, self.max_new_tokens), ask.seed)
                self._check_prompt(ask, reply)
            except EndpointError as error:
                if error.status is not None and error.status not in _REFUSALS:
                    raise
                if error.status is None and not isinstance(error, _OtherPromptError):
                    raise
                said = error if said is None or isinstance(error, _OtherPromptError) else said
                continue
            self.learned = {
                "prompts_as": "ids" if form.as_ids else "text",
                "prompt_checked_by": "ids" if reply.prompt_ids else "count" if reply.prompt_tokens else "nothing",
                "returns_ids": reply.completion_ids is not None,
                "returns_logprobs": reply.logprobs is not None,
            }
            return form
        assert said is not None
        raise said

    def _sampling(self, client: Client, form: _Form, ask: Ask) -> dict[str, str]:
        """Whether seeds do anything: asked three times, twice with one seed."""
        if self.temperature == 0:
            return {}
        limit = min(_SHORT, self.max_new_tokens)
        texts = [self._request(client, form, ask, limit, ask.seed + step).text for step in (0, 0, 1, 2, 3)]
        if texts[0] != texts[1]:
            return {"seeds": "one seed gave two completions: runs cannot be repeated"}
        if len(set(texts)) == 1:
            return {"seeds": "four seeds gave one completion: the server may not be sampling"}
        return {"seeds": "repeatable"}

    def _check_prompt(self, ask: Ask, reply: Reply) -> None:
        if reply.prompt_ids is not None and reply.prompt_ids != ask.prompt_ids:
            raise _OtherPromptError(
                f"The server at {self.endpoint.base_url} read other prompt tokens than those sent. It uses another "
                "tokenizer; generate with the model that it serves."
            )
        if reply.prompt_tokens is not None and reply.prompt_tokens != len(ask.prompt_ids):
            raise _OtherPromptError(
                f"The server at {self.endpoint.base_url} counts {reply.prompt_tokens} prompt tokens, but the tokenizer "
                f"makes {len(ask.prompt_ids)}. It uses another tokenizer, or adds special tokens to a prompt that "
                "already has them; generate with the model that it serves, or with a server that takes token ids."
            )

    def _complete(self, client: Client, form: _Form, ask: Ask) -> Answered:
        reply = self._request(client, form, ask, self.max_new_tokens, ask.seed)
        self._check_prompt(ask, reply)
        finish = reply.finish_reason if reply.finish_reason in ("stop", "length") else "other"
        ids, source = self._ids(ask, reply, finish == "stop")
        counted = {len(ids), reply.completion_tokens}
        margins = reply.margins if reply.margins and len(reply.margins) in counted else ()
        text = None if source == "server" else reply.text
        return Answered(ids, margins, finish, source, text)  # type: ignore[arg-type]  # one of the three literals

    def _ids(self, ask: Ask, reply: Reply, stopped: bool) -> tuple[tuple[int, ...], IdsSource]:
        """The completion's token ids, closed by an end token where it stopped, and where they come from."""
        if reply.completion_ids is not None:
            if beyond := [token for token in reply.completion_ids if not 0 <= token < len(self.tokenizer)]:
                raise EndpointError(
                    f"The server at {self.endpoint.base_url} returned the token id {beyond[0]}, but the tokenizer has "
                    f"{len(self.tokenizer)} tokens. It uses another tokenizer; generate with the model that it serves."
                )
            return self._closed(reply.completion_ids, stopped), "server"
        whole = encode(self.tokenizer, ask.prompt_text + reply.text).ids
        n_prompt = len(ask.prompt_ids)
        # After the prompt, a word may be cut otherwise than at the start of a text.
        ids = whole[n_prompt:] if whole[:n_prompt] == ask.prompt_ids else encode(self.tokenizer, reply.text).ids
        ids = self._closed(ids, stopped)
        return ids, "retokenised" if reply.completion_tokens == len(ids) else "retokenised_other_length"

    def _closed(self, ids: tuple[int, ...], stopped: bool) -> tuple[int, ...]:
        end = self.tokenizer.eos_token_id
        if not stopped or end is None or (ids and self._ends(ids[-1])):
            return ids
        return (*ids, end)

    def _ends(self, token: int) -> bool:
        """Can a completion end with this token?

        A turn may end with a token that is neither the tokenizer's end nor listed as special, such as Gemma's
        ``<end_of_turn>``: it is then among the added tokens, and the chat template writes it.
        """
        if token == self.tokenizer.eos_token_id or token in self.tokenizer.all_special_ids:
            return True
        added = self.tokenizer.added_tokens_decoder.get(token)
        if added is None:
            return False
        return bool(added.special) or bool(_END_OF_TURN.search(added.content))


class _OtherPromptError(EndpointError):
    """The server read another prompt than ours."""


def _open(run: ModelRun, decoding: "Decoding", folder: Path) -> ServerEngine:
    config, usage = run.config.generate, folder / "usage.json"
    limit, more = config.max_new_tokens, truncations(decoding)
    return ServerEngine(config.server, run.tokenizer, decoding.temperature, limit, usage, more)


KIND = EngineKind(_open)
