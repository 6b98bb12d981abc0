"""The only module that imports Ray: a cluster to work on, its workers, and what goes wrong with them."""

import logging
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from activations.errors import HintprobeError

LOCAL = "local"
_KNOCK_SECONDS = 10.0
_STORE_BYTES = 100 * 2**20
"""Ray's object store of a cluster of our own; nothing but short messages goes through it."""


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise HintprobeError(
            "Ray is not installed here, and --ray needs it. Install it with: pip install 'hintprobe[ray]'; or run "
            "parts by hand with --part i/n and `hintprobe join` (docs/scaling.md)."
        ) from error
    return ray


@contextmanager
def connected(address: str, cpus: int | None) -> Iterator[None]:
    """Join a cluster, or start one of this machine that ends with the run.

    Args:
        address: ``local`` starts one; ``auto`` joins the one of this machine; otherwise ``HOST:PORT``.
        cpus: of a cluster that is started; by default all.

    Raises:
        HintprobeError: Ray is not installed, there is no cluster, or it runs other versions.
    """
    ray = _ray()
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if address == LOCAL:
                ray.init(
                    num_cpus=cpus, object_store_memory=_STORE_BYTES, include_dashboard=False, address="local", **quiet
                )
            else:
                _knock(address)
                ray.init(address=address, **quiet)
        except Exception as error:  # Ray raises ConnectionError, RuntimeError, ValueError and its own
            raise HintprobeError(_unreached(address, error)) from error
        try:
            yield
        finally:
            ray.shutdown()


def _knock(address: str) -> None:
    """Does anything listen there? Ray itself tries for minutes.

    Raises:
        OSError: nothing does.
    """
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_SECONDS).close()


def _unreached(address: str, error: Exception) -> str:
    said = " ".join(str(error).split())[:300]
    if "ersion mismatch" in said:
        return (
            f"The Ray cluster at {address} runs other versions of Ray or Python than this machine ({said}). Start it "
            "with the same environment on all machines."
        )
    if address == LOCAL:
        return f"A Ray cluster of this machine could not be started: {said}"
    return (
        f"There is no Ray cluster at {address} ({type(error).__name__}: {said}). Start one there with `ray start "
        "--head` and give its HOST:PORT, `auto` for one that runs on this machine, or --ray alone to start one for "
        "this run."
    )


def workers_there() -> tuple[int, bool]:
    """How many workers the cluster has room for, and whether each has a GPU."""
    resources = _ray().cluster_resources()
    if gpus := int(resources.get("GPU", 0)):
        return gpus, True
    return max(1, int(resources.get("CPU", 1))), False


def new_worker(kind: type[Any], config: dict[str, Any], on_gpu: bool) -> Any:
    """A worker in a process of its own."""
    return _ray().remote(kind).options(num_cpus=1, num_gpus=int(on_gpu), max_restarts=0).remote(config)


def first_answer(asked: list[Any], seconds: float | None = None) -> Any:
    """The first of several questions that is answered or can no longer be; None where none was in time."""
    ready, _ = _ray().wait(asked, num_returns=1, timeout=seconds)
    return ready[0] if ready else None


def answer_of(question: Any) -> Any:
    """The answer to a question; None where the worker died over it."""
    ray = _ray()
    try:
        return ray.get(question)
    except (ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
        return None


def let_go(worker: Any) -> None:
    """End a worker."""
    _ray().kill(worker, no_restart=True)
