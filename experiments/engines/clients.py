"""One client for every OpenAI-compatible endpoint: generation engines and judges alike.

Retries with back-off are the ``openai`` library's own. What is added here is what a measurement needs: bounded
concurrency, a budget, counted tokens and cost, a check that the model which answered is the one that was asked, and
that a key is read from the environment where it is used and written nowhere.
"""

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, TypeVar

from activations.errors import HintprobeError
from experiments.config.endpoint import Endpoint
from experiments.engines.replies import Reply, read_chat, read_completion

Job = TypeVar("Job")
Result = TypeVar("Result")

NO_KEY = "no-key"
"""Sent where an endpoint names no key: the library would otherwise take OPENAI_API_KEY and send it to any server."""

_REVISION = re.compile(r"[-@:](?:\d{4}-?\d{2}-?\d{2}|\d{3,4}|main|latest|[0-9a-f]{7,40})")


class EndpointError(HintprobeError):
    """The endpoint gave no usable reply.

    Attributes:
        status: HTTP status, None where there was no reply or a malformed one.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class _BusyError(EndpointError):
    """The endpoint could not answer now, and may later."""


class BudgetSpentError(HintprobeError):
    """The budget of an endpoint is used up; nothing further was asked."""


@dataclass(frozen=True)
class Usage:
    """What was asked for and answered. ``unreported`` replies came without token counts and are not in the sums."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unreported: int = 0

    def cost(self, endpoint: Endpoint) -> float:
        """Cost in the currency of the endpoint's prices."""
        return (self.prompt_tokens * endpoint.price_in + self.completion_tokens * endpoint.price_out) / 1e6

    def plus(self, reply: Reply) -> "Usage":
        """This and one more reply."""
        if reply.prompt_tokens is None or reply.completion_tokens is None:
            return replace(self, requests=self.requests + 1, unreported=self.unreported + 1)
        return replace(
            self,
            requests=self.requests + 1,
            prompt_tokens=self.prompt_tokens + reply.prompt_tokens,
            completion_tokens=self.completion_tokens + reply.completion_tokens,
        )


@dataclass
class Client:
    """Asks one endpoint. Safe to share between threads; close it, or use it in a ``with`` statement.

    Attributes:
        usage: what was spent so far; start it from what an earlier run spent, and the budget covers both.
    """

    endpoint: Endpoint
    usage: Usage = field(default_factory=Usage)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _opened: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.endpoint.base_url or not self.endpoint.model:
            raise HintprobeError(
                "An endpoint needs `base_url` (such as http://127.0.0.1:8000/v1) and `model` (the name by which the "
                f"server knows it); given were {self.endpoint.base_url!r} and {self.endpoint.model!r}."
            )
        self._key()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; requests still in flight end in an error."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int,
        temperature: float | None = None,
        seed: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Reply:
        """One chat completion.

        Args:
            messages: mappings with ``role`` and ``content``.
            extra: further fields of the request's body, such as ``response_format`` or ``chat_template_kwargs``.

        Raises:
            EndpointError: no usable reply after all retries, or a reply of another model.
            BudgetSpentError: the budget is used up.
        """
        body = _present(temperature=temperature, seed=seed) | {self.endpoint.limit_field: max_tokens}
        return self._ask(
            lambda: self._openai.chat.completions.create(
                model=self.endpoint.model, messages=[dict(m) for m in messages], extra_body=dict(extra or {}), **body
            ),
            read_chat,
        )

    def complete(
        self,
        prompt: str | Sequence[int],
        *,
        max_tokens: int,
        temperature: float | None = None,
        seed: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Reply:
        """One raw completion of a text, or of token ids where the server takes them.

        Args:
            extra: further fields of the request's body, such as ``logprobs`` or ``return_token_ids``.

        Raises:
            EndpointError: no usable reply after all retries, or a reply of another model.
            BudgetSpentError: the budget is used up.
        """
        body = _present(temperature=temperature, seed=seed) | {"max_tokens": max_tokens}
        given: Any = prompt if isinstance(prompt, str) else list(prompt)
        return self._ask(
            lambda: self._openai.completions.create(
                model=self.endpoint.model, prompt=given, extra_body=dict(extra or {}), **body
            ),
            read_completion,
        )

    def each(self, jobs: Iterable[Job], call: Callable[[Job], Result], keep: Callable[[Job, Result], None]) -> None:
        """Run ``call`` over ``jobs`` with bounded concurrency; ``keep`` sees each result in the caller's own thread.

        After a failure no further job is begun, what is in flight is still kept, and the first failure is raised.
        """
        waiting, running = iter(jobs), dict[Future[Result], Job]()
        failure: HintprobeError | None = None
        pool = ThreadPoolExecutor(self.endpoint.concurrency)
        try:
            while True:
                while failure is None and len(running) < self.endpoint.concurrency:
                    job = next(waiting, None)
                    if job is None:
                        break
                    running[pool.submit(call, job)] = job
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    job = running.pop(future)
                    try:
                        result = future.result()
                    except HintprobeError as error:
                        failure = failure or error
                    else:
                        keep(job, result)
        except BaseException:
            self.close()  # an interrupt does not wait for what is in flight
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if failure is not None:
            raise failure

    def _key(self) -> str:
        name = self.endpoint.api_key_env
        if name is None:
            return NO_KEY
        key = os.environ.get(name, "")
        if not key:
            raise HintprobeError(
                f"The environment variable {name} should hold the key for {self.endpoint.base_url}, but is not set. "
                "Set it in the shell that runs this; keys are read only from there."
            )
        return key

    @property
    def _openai(self) -> Any:
        with self._lock:
            if self._opened is None:
                self._opened = self._connect()
            return self._opened

    def _connect(self) -> Any:
        from openai import OpenAI

        return OpenAI(
            base_url=self.endpoint.base_url,
            api_key=self._key(),
            max_retries=self.endpoint.retries,
            timeout=self.endpoint.timeout,
        )

    def _ask(self, request: Callable[[], Any], read: Callable[[Any], Reply]) -> Reply:
        for attempt in range(self.endpoint.retries + 1):
            try:
                return self._once(request, read)
            except _BusyError:  # told inside a reply of status 200, which the library does not try again
                if attempt == self.endpoint.retries:
                    raise
                time.sleep(min(0.5 * 2**attempt, 8.0) * random.uniform(0.75, 1.0))
        raise AssertionError("unreachable")

    def _once(self, request: Callable[[], Any], read: Callable[[Any], Reply]) -> Reply:
        from openai import APIConnectionError, APIError, APIStatusError

        self._check_budget()
        try:
            answered = request()
        except APIStatusError as error:
            said = _brief(error.response.text) or "nothing"
            raise self._error(f"answered {error.status_code}: {said}", error.status_code) from error
        except APIConnectionError as error:
            raise self._error(f"could not be reached: {_brief(str(error.__cause__ or error))}") from error
        except (APIError, ValueError) as error:
            raise self._error(f"answered what could not be read: {_brief(str(error))}") from error
        if inside := error_inside(answered):
            self._raise_inside(*inside)
        try:
            reply = read(answered)
        except (AttributeError, TypeError, IndexError, ValueError) as error:
            shown = answered if isinstance(answered, str) else str(getattr(answered, "model_dump", lambda: answered)())
            raise self._error(f"answered no completion but {_brief(shown)!r}; is this its API's address?") from error
        with self._lock:
            self.usage = self.usage.plus(reply)
        self._check_model(reply)
        return reply

    def _raise_inside(self, code: int | None, message: str) -> NoReturn:
        error = self._error(f"answered 200 with the error {code or ''} inside: {_brief(message)}", code)
        busy = code is not None and (code in (408, 409, 429) or code >= 500)
        raise _BusyError(str(error), code) if busy else error

    def _check_budget(self) -> None:
        limits, used = self.endpoint, self.usage
        spent = {
            f"{limits.max_requests} requests": limits.max_requests is not None and used.requests >= limits.max_requests,
            f"{limits.max_total_tokens} tokens": limits.max_total_tokens is not None
            and used.prompt_tokens + used.completion_tokens >= limits.max_total_tokens,
            f"cost {limits.max_cost}": limits.max_cost is not None and used.cost(limits) >= limits.max_cost,
        }
        for what, over in spent.items():
            if over:
                raise BudgetSpentError(
                    f"The budget of {what} for {limits.model} at {limits.base_url} is used up ({used.requests} "
                    f"requests, {used.prompt_tokens} + {used.completion_tokens} tokens). Answers so far are kept; "
                    "raise the budget and run again to resume."
                )

    def _check_model(self, reply: Reply) -> None:
        asked, served = self.endpoint.model, reply.model
        expected = self.endpoint.served_as
        if served == expected or (expected is None and is_same_model(asked, served)):
            return
        raise self._error(
            f"was asked for the model {expected or asked!r} and {served!r} answered. Correct `model`, or set "
            "`served_as` if that is the same model under another name"
        )

    def _error(self, what: str, status: int | None = None) -> EndpointError:
        message = f"The server at {self.endpoint.base_url} {what}."
        key = self._key()
        if key != NO_KEY:  # some servers quote the key that they refuse
            message = message.replace(key, "[key]")
        return EndpointError(message, status)


def is_same_model(asked: str, served: str) -> bool:
    """Is this the model under a usual other form of its name?

    A dated revision, the same with or without its owner (``openai/gpt-oss-20b``), and a router's variant
    (``llama:free``) are; a revision other than the one that was asked for is not.
    """
    if asked == served:
        return True
    (asked_owner, asked_name), (served_owner, served_name) = _named(asked), _named(served)
    if asked_owner and served_owner and asked_owner != served_owner:
        return False
    if asked_name == served_name:
        return True
    for newest in ("-latest", "@latest", ":latest", "-main", "@main", ":free"):
        asked_name = asked_name.removesuffix(newest)
    if asked_name == served_name:
        return True
    return served_name.startswith(asked_name) and bool(_REVISION.fullmatch(served_name[len(asked_name) :]))


def _named(model: str) -> tuple[str, str]:
    """Owner (or folder) and name of a model."""
    owner, _, name = model.rstrip("/").rpartition("/")
    return owner, name


def error_inside(answered: Any) -> tuple[int | None, str] | None:
    """Status and words of an error that a server or router put into a reply of status 200; None where there is none."""
    choices = getattr(answered, "choices", None) or []
    for place in (answered, *choices[:1]):
        error = getattr(place, "error", None)
        if isinstance(error, Mapping):
            code = error.get("code") or error.get("status")
            number = int(str(code)) if str(code).isdigit() else None
            return number, str(error.get("message") or error)
        if isinstance(error, str) and error:
            return None, error
    return None


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _brief(text: str) -> str:
    words = " ".join(text.split()).rstrip(".")
    return words if len(words) <= 240 else words[:240] + " …"
