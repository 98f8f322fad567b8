"""Numbers with their units, as people read them."""

from __future__ import annotations


def seconds_text(seconds: float) -> str:
    """Return a time: ``12.3 ms``."""
    return _text(seconds * 1e6, "us", "ms", "s")


def bytes_text(n: int | None) -> str:
    """Return a size: ``12.3 KB``; ``?`` if it is not known."""
    return "?" if n is None else _text(n, "B", "KB", "MB", "GB")


def flops_text(n: int) -> str:
    """Return a number of operations: ``12.3 MFLOP``."""
    return _text(n, "FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP")


def _text(value: float, *units: str) -> str:
    for unit in units[:-1]:
        if float(f"{value:.3g}") < 1000:  # what is shown: 999,999 bytes are 1 MB, not 1e+03 KB
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} {units[-1]}" if value < 999.5 else f"{value:,.0f} {units[-1]}"
