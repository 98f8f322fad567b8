"""Processes forked after JAX has run: nothing of JAX's can run there, as its threads stayed behind. It would hang."""

from __future__ import annotations

import os
import threading

from jaxchain.core import config
from jaxchain.core.arrays import has_come
from jaxchain.core.config import ThreadState, local, lock, thread_state
from jaxchain.core.errors import user_line


def running_state() -> ThreadState:
    """Return the state of the calling thread, for who is about to run something: where `local` has none.

    Raises:
        RuntimeError: The process was forked after JAX had run.
    """
    if config.home is local:
        return thread_state()
    raise RuntimeError(
        "this process was forked after JAX had run, and JAX cannot run in it: it would wait for threads that are not "
        "here. Start processes by multiprocessing.get_context('spawn'), or fork before anything is computed. Arrays "
        f"can be read here\nat {user_line(2)}"
    ) from None


def _in_child() -> None:
    lock._at_fork_reinit()  # type: ignore[attr-defined] - another thread may have had it
    if has_come() and config.home is local:
        config.home = threading.local()
        state = local.__dict__.pop("state", None)
        if state is not None:
            config.home.state = state


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
