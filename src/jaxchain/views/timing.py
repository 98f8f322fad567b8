"""Times of the parts of a call: of each link in both modes, of each function in eager mode."""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import jax

from jaxchain.core.config import using_config
from jaxchain.core.movement import compiled_at_once
from jaxchain.core.static import Static
from jaxchain.core.variable import Variable
from jaxchain.function_hooks import TimerHook
from jaxchain.link import Link
from jaxchain.link_hook import LinkHook
from jaxchain.views.compare import is_variable

ROUNDS = 5
COMPILED_LINKS = 24  # each costs a compile: a table of a larger model gives static times of the model alone
CALLS = 16  # of one link that are measured in static mode


class _Calls(LinkHook):
    """Notes each link's calls: their arguments and the time until their results are there, children included."""

    name = "jaxchain.views.timing"
    _opaque = True

    def __init__(self) -> None:
        self.seconds: dict[int, float] = defaultdict(float)
        self.calls: dict[int, list[tuple[Any, Any]]] = defaultdict(list)
        self._running: list[float] = []

    def forward_preprocess(self, args: Any) -> None:
        arguments = (args.args, args.kwargs)
        jax.block_until_ready(_arrays(arguments))
        if len(self.calls[id(args.link)]) <= CALLS:
            self.calls[id(args.link)].append(jax.tree_util.tree_map(_leaf, arguments, is_leaf=is_variable))
        self._running.append(time.perf_counter())

    def forward_postprocess(self, args: Any) -> None:
        jax.block_until_ready(_arrays(args.out))
        self.seconds[id(args.link)] += time.perf_counter() - self._running.pop()


class NodeTimer(TimerHook):
    """Measures each function until its result is there, not only until it is dispatched, less those that it calls.

    JAX tells that a result is there only to who holds it: the next function, which reads it. Its waiting counts for the
    function before, unless gradients (and updates) came in between.

    Attributes:
        nodes: (label, link path, seconds) of each function, in the order of the calls.
    """

    name = "jaxchain.views.timing"
    _opaque = True

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[tuple[str, str, float]] = []
        self._counted = 0.0  # seconds of all nodes
        self._gradients = False  # whether some were computed since the last function
        self._begun: list[float] = []  # what was counted when each function began that still runs

    def wait(self, values: Any) -> None:
        """Wait for some results; the time counts for the last function."""
        start = time.perf_counter()
        jax.block_until_ready(values)
        if self.nodes and not self._gradients:
            label, path, seconds = self.nodes.pop()
            self._add(label, path, time.perf_counter() - start, seconds)

    def forward_preprocess(self, function: Any, in_data: tuple[Any, ...]) -> None:
        """Wait for the inputs, then start the clock."""
        self.wait([a for a in in_data if isinstance(a, jax.Array)])
        self._begun.append(self._counted)
        super().forward_preprocess(function, in_data)

    def forward_postprocess(self, function: Any, in_data: tuple[Any, ...]) -> None:
        """Stop the clock."""
        super().forward_postprocess(function, in_data)
        inside = self._counted - self._begun.pop()  # the functions that a `Forget` calls, say, have their own times
        self._add(function.label, function.link_path, self.call_history[-1][1] - inside)

    def backward_preprocess(self, function: Any, in_data: tuple[Any, ...], out_grad: tuple[Any, ...]) -> None:
        """Wait for the last function's result; the clock of gradients is of no interest."""
        results = (node.data for y in function.outputs or () if (node := y()) is not None)
        self.wait([a for a in results if isinstance(a, jax.Array)])
        self._gradients = True
        super().backward_preprocess(function, in_data, out_grad)

    def _add(self, label: str, path: str, seconds: float, before: float = 0.0) -> None:
        self._counted += seconds
        self._gradients = False
        self.nodes.append((label, path, before + seconds))


def node_times(
    call: Callable[..., Any], args: Any, kwargs: Any, reset: Callable[[], None], rounds: int = ROUNDS
) -> list[tuple[str, str, float]]:
    """Return (label, link path, seconds) of each function of an eager call, in order: the shortest of some calls.

    All are compiled: also those that only move data, which wait for that in a program until it pays.

    Args:
        call: A Link or a function on Variables.
        args: Its arguments.
        kwargs: Its keyword arguments.
        reset: Puts the state back as it was (core/untouched.py).
        rounds: Number of calls; one more comes first and is not counted.

    Returns:
        The times. If the calls differ from each other (a program that draws its own shape), those of the last one.
    """
    found: list[list[tuple[str, str, float]]] = []
    for _ in range(rounds + 1):
        reset()
        hook = NodeTimer()
        with using_config("mode", "eager"), compiled_at_once(), hook:
            out = call(*args, **kwargs)
            hook.wait(_arrays(out))
        found.append(hook.nodes)
    reset()
    last = found[-1]
    same = [nodes for nodes in found[1:] if [n[:2] for n in nodes] == [n[:2] for n in last]]
    return [(*node[:2], min(nodes[k][2] for nodes in same)) for k, node in enumerate(last)]


def node_count(call: Callable[..., Any], args: Any, kwargs: Any, reset: Callable[[], None]) -> int:
    """Return how many functions an eager call runs, one by one; the state is put back."""
    hook = NodeTimer()
    with using_config("mode", "eager"), hook:
        call(*args, **kwargs)
    reset()
    return len(hook.nodes)


def link_times(
    model: Link, args: Any, kwargs: Any, reset: Callable[[], None]
) -> tuple[Mapping[int, float], Mapping[int, float]]:
    """Return the seconds of each link that a call reaches, by its `id`, children included.

    Args:
        model: The model.
        args: Its arguments.
        kwargs: Its keyword arguments.
        reset: Puts the state back as it was (core/untouched.py).

    Returns:
        Times in eager mode, all of its functions compiled, and in static mode: there each link is compiled by itself
        and called on what it was given. A link that cannot be compiled by itself has none; beyond 24 links only the
        model has one.
    """
    rounds: list[_Calls] = []
    for _ in range(ROUNDS + 1):
        reset()
        hook = _Calls()
        with using_config("mode", "eager"), compiled_at_once(), hook:
            model(*args, **kwargs)
        rounds.append(hook)
    reset()
    calls = rounds[-1].calls
    eager = {key: min(r.seconds[key] for r in rounds[1:]) for key in calls}
    compiled: dict[int, float] = {}
    reached = [child for _, child in model.namedlinks() if id(child) in calls]
    for child in reached if len(reached) <= COMPILED_LINKS else [model]:
        if len(calls[id(child)]) <= CALLS and (seconds := _alone(child, calls[id(child)], reset)) is not None:
            compiled[id(child)] = seconds
    return eager, compiled


def _alone(child: Link, calls: list[tuple[Any, Any]], reset: Callable[[], None]) -> float | None:
    """Return the seconds of some calls of a link that is compiled by itself."""
    function = Static(child.__call__, roots=[("target", child)], rules=False, donate=False)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it runs eagerly, or compiles for many shapes, is no news here
        try:
            reset()
            for _ in range(ROUNDS + 2):  # not put back in between: a call that finds another state is a slow one
                total = 0.0
                for args, kwargs in calls:
                    start = time.perf_counter()
                    jax.block_until_ready(_arrays(function(*args, **kwargs)))
                    total += time.perf_counter() - start
                found.append(total)
        except Exception:  # the link leans on what the model around it does before: it has no time of its own
            return None
        finally:
            reset()
    return None if function.eager_reasons else min(found[2:])


def _arrays(value: Any) -> list[Any]:
    leaves = jax.tree_util.tree_leaves(value, is_leaf=is_variable)
    return [a for v in leaves if isinstance(a := v.array if isinstance(v, Variable) else v, jax.Array)]


def _leaf(value: Any) -> Any:
    """Return a Variable without the graph behind it."""
    return Variable(value.array, requires_grad=value.requires_grad) if isinstance(value, Variable) else value
