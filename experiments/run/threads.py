"""How many CPU threads torch may use."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def limited_threads(n: int | None, processes: int = 1) -> Iterator[None]:
    """Limit torch's threads while a run lasts.

    Args:
        n: threads; None divides the library's default among the processes that work side by side. Two processes with
            every core each take twice as long as with half of the cores each.
    """
    if n is None and processes == 1:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n or max(1, before // processes))
    try:
        yield
    finally:
        torch.set_num_threads(before)
