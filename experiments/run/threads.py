"""How many CPU threads torch may use."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def limited_threads(n: int | None) -> Iterator[None]:
    """Limit torch's threads while a run lasts."""
    if n is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
