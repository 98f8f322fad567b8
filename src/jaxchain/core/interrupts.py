"""What has to be put back, also if an exception comes at any moment: `KeyboardInterrupt`, that of a signal handler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any


def whole(work: Callable[[], Any]) -> None:
    """Do some work to its end: once more if it is interrupted, which must do no harm."""
    try:
        work()
    except BaseException:
        work()
        raise


@contextmanager
def patched(patches: Iterable[tuple[Any, str, Any]]) -> Iterator[None]:
    """Set attributes for the time of the block.

    Args:
        patches: (owner, name, value).
    """
    patches = list(patches)
    originals = [(owner, name, vars(owner).get(name)) for owner, name, _ in patches]

    def put_back() -> None:
        for owner, name, original in originals:
            if original is not None:
                setattr(owner, name, original)
            elif name in vars(owner):  # its class inherits it
                delattr(owner, name)

    try:
        for owner, name, value in patches:
            setattr(owner, name, value)
        yield
    finally:
        whole(put_back)
