"""Numbers with their units, as people read them."""

from __future__ import annotations


def seconds_text(seconds: float) -> str:
    """Return a time: ``12.3 ms``."""
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} us"


def bytes_text(n: int | None) -> str:
    """Return a size: ``12.3 KB``; ``?`` if it is not known."""
    if n is None:
        return "?"
    value = float(n)
    for unit in ("B", "KB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def flops_text(n: int) -> str:
    """Return a number of operations: ``12.3 MFLOP``."""
    value = float(n)
    for unit in ("FLOP", "kFLOP", "MFLOP", "GFLOP"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TFLOP"
