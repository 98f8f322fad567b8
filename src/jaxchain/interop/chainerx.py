"""What `import chainerx` gives where ChainerX is not built: it says that it is not available, as Chainer's own does."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """Return False."""
    return False


class ndarray:
    """Type of ChainerX's arrays: nothing is an instance of it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("chainerx is not available.")


class Device:
    """Type of ChainerX's devices: nothing is an instance of it."""


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    raise AttributeError(f"chainerx.{name}: ChainerX is not available; chainerx.is_available() says so")
