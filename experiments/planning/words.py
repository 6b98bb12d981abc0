"""Sizes and times as a reader wants them."""

from typing import Any


def size(n_bytes: float) -> str:
    """Bytes in the unit that leaves three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"


def parameters(n: int) -> str:
    """Millions or billions (10⁹)."""
    return f"{n / 1e9:.2f} B" if n >= 5e8 else f"{n / 1e6:.2f} M"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def estimate(entry: dict[str, Any]) -> str:
    """One line on what a plan costs."""
    seconds, card = entry["seconds"], entry["assumed"]["card"]
    return (
        f"On one {card}, by `hintprobe plan`: generate {duration(seconds['generate'])}, capture "
        f"{duration(seconds['capture'])}; {size(entry['activation_bytes'])} of activations, "
        f"{size(entry['record_bytes'])} of records."
    )
