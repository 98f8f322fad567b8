"""Calls of small ops wait until somebody reads a result, or until a backward pass needs them.

An eager call of an op on small arrays costs more for handing it to XLA than for computing it. So it is written down, as
a `Deferred` in the place of the array, and run when the array is asked for, together with the calls it depends on. A
training step then is one program, forward and backward (core/backprop.py), if it comes again and again
(core/forms.py); otherwise the calls run one by one, in the order in which they were made.

Nobody can tell but by the clock: shapes and dtypes are known at once, so are errors, and a `Variable` hands out arrays
only. Calls are not put off while something watches or traces them (hooks, debug mode, static mode, JAX's own
transformations) or in one process of several, nor those on more than `SMALL` bytes: they are handed over at once and
run beside Python.
"""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import Any

import jax

from jaxchain.core.compat import Tracer, in_trace
from jaxchain.core.errors import format_source
from jaxchain.core.exact import devices_of
from jaxchain.core.forms import LIMIT, Fence, Form, compile_form, form_of, is_due

SMALL = 2**20  # bytes of all inputs and outputs of a call up to which it waits
DEEP = 256  # calls that may wait for one another
ALONE = 64  # times in a row that a result was read at once, after which calls of the kind do not wait any more ...
AGAIN = 64  # ... but one in so many, to see whether it is still so
BUDGET = 2**26  # bytes of calls that were put off, after which the results held since the last time are computed
OVERHEAD = 2**12  # bytes that a call counts for besides those of its arrays

new = object.__new__


class Waiting:
    """In the place of an array that nobody has computed yet: its shape and dtype are known."""

    __slots__ = ()

    info: Any  # shape and dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.info.shape

    @property
    def dtype(self) -> Any:
        """Dtype of the array."""
        return self.info.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.info.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.info.shape)


class Deferred(Waiting):
    """A call that waits, and the array that it gives (a tuple of arrays, if the op gives several).

    Attributes:
        plan: What is called: it has `op`, `forward`, `single`, `size`, `out_infos`, `alone`, `at_once`.
        arguments: The arrays, or what waits in their place.
        scalars: Further arguments.
        depth: Length of the longest chain of calls that it waits for, itself included.
        nodes: Weak references to the variable nodes of the results.
        value: The result, once it was run.
    """

    __slots__ = ("arguments", "depth", "nodes", "plan", "scalars", "value")

    plan: Any
    arguments: Sequence[Any]
    scalars: tuple[Any, ...]
    depth: int
    nodes: Sequence[Callable[[], Any]]
    value: Any

    @property
    def info(self) -> Any:
        """Shape and dtype of the array, interned."""
        return self.plan.out_infos[0]

    def array(self) -> Any:
        """Return the array, now."""
        if self.value is None:
            for value in self.arguments:
                if value.__class__ in WAITING:
                    _now(self)
                    return self.value
            if in_trace():
                _now(self)
                return self.value
            arguments, scalars = self.arguments, self.scalars  # the shortest way: one op whose result is read at once
            if self.value is None:
                plan = self.plan
                plan.alone += 1
                if plan.alone >= ALONE:
                    plan.at_once = AGAIN - 1
                try:
                    self.finish(plan.forward(*arguments, *scalars))
                except (RuntimeError, ValueError) as error:
                    self.explain(error, arguments)
                    raise
        return self.value

    def run(self) -> None:
        """Run the call; what it waits for was run. Another thread may do the same: it sets the value first."""
        arguments, scalars = self.arguments, self.scalars
        if self.value is None:
            arrays = concrete(arguments)
            try:
                self.finish(self.plan.forward(*arrays, *scalars))
            except (RuntimeError, ValueError) as error:
                self.explain(error, arrays)
                raise

    def explain(self, error: Exception, arrays: Sequence[Any]) -> None:
        """Add to JAX's error about devices which op it was, and on which line: it is run later than it was called.

        Raises:
            LeakedVariable: It is about a buffer that is gone.
        """
        node = next((n for n in (reference() for reference in self.nodes) if n is not None), None)
        line = format_source(None if node is None or node.creator_node is None else node.creator_node.source)
        if are_deleted(arrays):
            raise self.plan.op.taken(line) from error
        devices = devices_of(arrays)
        if len(devices) > 1:
            error.add_note(
                f"{self.plan.op.name}: expected arrays on one device, or on one mesh, got "
                f"{', '.join(map(str, devices))}. Move them (`link.to_device`, `F.copy`)\nat {line}"
            )

    def finish(self, value: Any) -> None:
        """Take the result, and let the arguments go."""
        self.value = value
        self.arguments = self.scalars = ()


class Part(Waiting):
    """One of several arrays that a waiting call gives.

    Attributes:
        call: The call.
        at: Which of its results this is.
    """

    __slots__ = ("at", "call")

    def __init__(self, call: Deferred, at: int) -> None:
        self.call, self.at = call, at

    @property
    def info(self) -> Any:
        """Shape and dtype of the array, interned."""
        return self.call.plan.out_infos[self.at]

    @property
    def depth(self) -> int:
        """That of the call."""
        return self.call.depth

    @property
    def value(self) -> Any:
        """The array, once the call was run."""
        value = self.call.value
        return None if value is None else value[self.at]

    def array(self) -> Any:
        """Return the array, now."""
        return self.call.array()[self.at]


WAITING = (Deferred, Part)


def are_deleted(arrays: Iterable[Any]) -> bool:
    """Return whether the buffer of one of some arrays is gone."""
    return any(isinstance(a, jax.Array) and not isinstance(a, Tracer) and a.is_deleted() for a in arrays)


def share(value: Any, node: Callable[[], Any]) -> Any:
    """Return an array, or what waits in its place, for one more variable: `node` is a weak reference to its node."""
    if value.__class__ in WAITING:
        call = value if value.__class__ is Deferred else value.call
        call.nodes = (*call.nodes, node)
    return value


def concrete(values: Iterable[Any]) -> list[Any]:
    """Return arrays in the place of what waits."""
    return [v.array() if v.__class__ in WAITING else v for v in values]


def defer(plan: Any, arguments: Sequence[Any], scalars: tuple[Any, ...]) -> Deferred | None:
    """Return a call that waits, or None: it has to be made at once, or would be."""
    depth = 0
    for value in arguments:
        if value.__class__ in WAITING:
            if value.value is None and value.depth > depth:
                depth = value.depth
        elif isinstance(value, Tracer):
            return None
    for scalar in scalars:
        if isinstance(scalar, Tracer):
            return None
    if depth >= DEEP:
        return None
    call = new(Deferred)
    call.plan, call.arguments, call.scalars = plan, arguments, scalars
    call.depth, call.nodes, call.value = depth + 1, (), None
    return call


class Budget:
    """Bounds what results hold that somebody collects and nobody reads: calls that wait hold their inputs.

    For calls for which no graph holds them, that is.
    """

    def __init__(self) -> None:
        self.left = BUDGET
        self.recent: list[Sequence[Callable[[], Any]]] = []  # weak references to the nodes of results, by call
        self.older: list[Sequence[Callable[[], Any]]] = []

    def charge(self, call: Deferred) -> None:
        """Note a call. Once a budget is used up, results that are still held from before the last time are computed."""
        self.left -= call.plan.size + OVERHEAD
        self.recent.append(call.nodes)
        if self.left >= 0:
            return
        self.left = BUDGET
        older, self.older, self.recent = self.older, self.recent, []
        for references in older:
            for node in [reference() for reference in references]:
                variable = None if node is None else node.get_variable_or_none()
                if variable is not None:
                    with contextlib.suppress(Exception):  # who reads it will see the error
                        variable._array  # noqa: B018 - computes it


budget = Budget()


class Reading:
    """Calls that wait, and what they are run on.

    Attributes:
        calls: The calls, as they are found.
        inputs: Arrays and scalars.
        form: Where each array comes from: the number of an input, or less than 0 for the result of a call (with its
            place, if the call gives several); when a call is met for the first time, what is called comes before.
        given: The arguments of each call, which lets them go when another thread runs it.
        scalars: Where in `inputs` the scalars of each call begin, and where the last one's end.
    """

    __slots__ = ("calls", "form", "given", "inputs", "numbers", "scalars")

    def __init__(self, values: list[Any]) -> None:
        """Read arrays, and the calls that they wait for.

        Args:
            values: The arrays, or what waits in their place: what the calls are called on is appended.
        """
        self.calls: list[Deferred] = []
        self.inputs: list[Any] = []
        self.form: list[Any] = []
        self.scalars: list[int] = []
        self.numbers: dict[Any, int] = {}
        self.given: list[Sequence[Any]] = []
        calls, inputs, form, numbers, given = self.calls, self.inputs, self.form, self.numbers, self.given
        scalars: list[tuple[Any, ...]] = []
        for value in values:  # grows
            known = value
            cls = value.__class__
            if cls is Deferred or cls is Part:
                call = value if cls is Deferred else value.call
                arguments, numerals = call.arguments, call.scalars  # before its value: another thread may run it
                known = value.value
                if known is None:
                    number = numbers.get(call)
                    if number is None:
                        number = numbers[call] = ~len(calls)
                        calls.append(call)
                        form.append(call.plan)
                        given.append(arguments)
                        scalars.append(numerals)
                        values += arguments
                    form.append(number if cls is Deferred else (number, value.at))
                    continue
            number = numbers.get(id(known))
            if number is None:
                number = numbers[id(known)] = len(inputs)
                inputs.append(known)
            if known is not value:  # where two threads run a call, its array is the last one's
                numbers.setdefault(value, number)
            form.append(number)
        for numerals in scalars:
            self.scalars.append(len(inputs))
            if numerals:
                inputs += numerals
        self.scalars.append(len(inputs))

    def replay(self, fence: Fence, flat: Sequence[Any]) -> tuple[Callable[[Any], Any], list[Any]]:
        """Trace the calls on other inputs.

        Args:
            fence: Goes around each op.
            flat: What stands for `inputs`.

        Returns:
            What stands for an array, as a function of the array; the results of the calls.
        """
        results: list[Any] = [None] * len(self.calls)
        numbers = self.numbers

        def stand_in(value: Any) -> Any:
            number = numbers.get(value if value.__class__ in WAITING else id(value))
            if number is None:
                return results[~numbers[value.call]][value.at]
            return results[~number] if number < 0 else flat[number]

        for call in self.in_order():
            number = ~numbers[call]
            scalars = flat[self.scalars[number] : self.scalars[number + 1]]
            arguments = [stand_in(v) for v in self.given[number]]
            results[number] = fence.around(call.plan.forward)(*arguments, *scalars)
        return stand_in, results

    def in_order(self) -> list[Deferred]:
        """Return the calls, each after those that it waits for."""
        return sorted(self.calls, key=_depth)

    def run(self) -> None:
        """Run the calls one by one."""
        for call in self.in_order():
            call.plan.alone = 0
            call.run()


_depth = operator.attrgetter("depth")


def _now(call: Deferred) -> None:
    """Run a call and those it waits for. In a trace of JAX's own it is no part of what is traced."""
    if in_trace():
        with jax.ensure_compile_time_eval():
            _run(call)
    else:
        _run(call)


def _run(call: Deferred) -> None:
    for value in call.arguments:
        if value.__class__ in WAITING and value.value is None:
            break
    else:
        return call.run()
    reading = Reading([call])
    calls = reading.calls
    if not calls:
        return None  # another thread was faster
    if len(calls) > LIMIT:
        return reading.run()
    wanted = [is_wanted(c) for c in calls]
    wanted[0] = True
    form = form_of((*reading.form, *wanted))
    if form.program is None:
        if is_due(form):
            _compile(form, reading, wanted)
        return reading.run()
    results = form.run(reading.inputs)
    if results is None:
        return reading.run()
    fill(calls, wanted, results)


def fill(calls: Sequence[Deferred], wanted: Sequence[bool], results: Iterable[Any]) -> None:
    """Give calls their results."""
    for call in calls:
        call.plan.alone = 0
    for call, value in zip(compress(calls, wanted), results, strict=True):
        call.value = value
        call.arguments = call.scalars = ()


def is_wanted(call: Deferred) -> bool:
    """Return whether somebody may still read the result: a variable, or the graph."""
    return any([node() is not None for node in call.nodes])


def is_held(call: Deferred) -> bool:
    """Return whether a variable has the result."""
    for reference in call.nodes:
        node = reference()
        if node is not None and node.get_variable_or_none() is not None:
            return True
    return False


def _compile(form: Form, reading: Reading, wanted: Sequence[bool]) -> None:
    def forward(fence: Fence, *flat: Any) -> list[Any]:
        _, results = reading.replay(fence, flat)
        return [r for r, w in zip(results, wanted, strict=True) if w]

    compile_form(form, forward, reading.inputs, [c.plan for c in reading.calls])
