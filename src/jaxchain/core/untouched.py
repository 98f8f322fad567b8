"""Run something and leave no trace: everything a call can reach is put back as it was."""

from __future__ import annotations

import random as python_random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from jaxchain.core import random
from jaxchain.core.calls import refuse_class
from jaxchain.core.cells import found_in
from jaxchain.core.inventory import put_back
from jaxchain.core.state import Walk
from jaxchain.core.variable import Variable


@contextmanager
def untouched(target: Any, args: Any = (), kwargs: Any = None) -> Iterator[Callable[[], None]]:
    """Put everything that `target` can reach back as it was: parameters, gradients, persistent values, random streams.

    Args:
        target: A Link or a function.
        args: Its arguments (Variables among them are put back, too).
        kwargs: Its keyword arguments.

    Yields:
        A function that puts it back at once.

    Raises:
        TypeError: `target` is the class of a link.
    """
    refuse_class(target)
    state = _State(target, args, kwargs or {})
    try:
        yield state.restore
    finally:
        state.restore()


@contextmanager
def undone_on_error(target: Any, args: Any = (), kwargs: Any = None) -> Iterator[None]:
    """As `untouched`, but only if an error comes out of the block.

    Args:
        target: A Link or a function.
        args: Its arguments.
        kwargs: Its keyword arguments.
    """
    state = _State(target, args, kwargs or {})
    try:
        yield
    except BaseException:
        state.restore()
        raise


class _State:
    """What was there before."""

    def __init__(self, target: Any, args: Any, kwargs: Any) -> None:
        given = jax.tree_util.tree_leaves((args, kwargs), is_leaf=lambda v: isinstance(v, Variable))
        self.walk = walk = Walk([("target", target), *(("argument", v) for v in given if not isinstance(v, Variable))])
        cells = [(c, key) for c, key, _, _ in (*walk.places, *walk.plain)]
        variables = [v for v in (*given, *found_in(cells)) if isinstance(v, Variable)]
        held = list({id(v): v for v in (*walk.parameters, *variables)}.values())
        for v in held:
            v._grad_array()  # cut out of what a compiled step gave: from here on the same array whoever reads it
        self.cells = walk.snapshot(variables, buffers=True)
        self.nodes = [(v.node, v.node.info, v.node.creator_node, v.node.rank) for v in held]
        self.cleared = [(p, p.grad_cleared) for p in walk.parameters]
        self.streams = [(s, s.state()) for s in (random.ops, random.initializers)]
        self.numpy, self.python = np.random.get_state(), python_random.getstate()

    def restore(self) -> None:
        """Put it back."""
        self.walk.restore_containers()
        put_back(self.cells)
        for node, info, creator, rank in self.nodes:
            node.info, node.creator_node, node.rank = info, creator, rank
        for p, cleared in self.cleared:
            p.grad_cleared = cleared
        for stream, words in self.streams:
            stream.restore(words)
        np.random.set_state(self.numpy)
        python_random.setstate(self.python)
