"""What a compiled program reads: where each of its inputs is, gathered at every call."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import numpy as np

from jaxchain.core import random
from jaxchain.core.cells import MISSING, count, take
from jaxchain.core.deferred import WAITING
from jaxchain.core.parameter import Parameter
from jaxchain.core.program import VariantMismatch
from jaxchain.core.spread import exact_type, str_of
from jaxchain.core.traced import Lifted
from jaxchain.core.variable import Variable


class Inputs:
    """The inputs of a compiled program: those of the trace that it reads.

    Args:
        lifted: What the program was lifted from.
        invars: The inputs of the trace.
        variables: Whether Variables go in as they are, so that gradients reach them.

    Attributes:
        order: Which inputs of the trace they are: places that hold one array come before those that hold several.
        uses_key: Whether the random key is one.
        arrays: The parameters whose arrays are read.
        grads: The parameters whose gradients are read.
        places: The places that hold one array or number, which is read.
        mixed: The other places.
        mixed_at: Which of all their arrays, in order, are read.
        dynamic: Which of the arguments are arrays.
        arguments: Which of their arrays are read.
        types: What each of them is.
        numbers: The numbers among `places`, by position, and the arrays made of them.
    """

    def __init__(self, lifted: Lifted, invars: Sequence[Any], variables: bool) -> None:
        bounds, live = lifted.bounds, lifted.live
        read = {group: [i for i in range(*bounds[group]) if live[i]] for group in bounds}
        simple: list[tuple[int, Any]] = []  # input and place
        within: list[tuple[int, int]] = []  # input and its number among the arrays of all other places
        self.mixed: list[tuple[Any, Any, Any]] = []
        at, others = bounds["places"][0], 0
        for container, key, template, _ in lifted.walk.places:
            n = count(template)
            if isinstance(template, str):
                simple.append((at, (container, key)))
            else:
                within += [(at + k, others + k) for k in range(n)]
                self.mixed.append((container, key, template))
                others += n
            at += n
        simple = [(i, place) for i, place in simple if live[i]]
        within = [(i, k) for i, k in within if live[i]]
        read["places"] = [i for i, _ in (*simple, *within)]
        self.places = [place for _, place in simple]
        self.mixed_at = [k for _, k in within]
        self.uses_key = bool(read["key"])
        self.arrays = [lifted.arrays[i - bounds["arrays"][0]] for i in read["arrays"]]
        self.grads = [lifted.grads[i - bounds["grads"][0]] for i in read["grads"]]
        self.dynamic, self.variables = lifted.dynamic, variables
        self.arguments = [i - bounds["arguments"][0] for i in read["arguments"]]
        self.order = [i for group in read.values() for i in group]
        self.types = [exact_type(invars[i].aval) for i in self.order]
        self.numbers: dict[int, tuple[Any, Any]] = {}

    def note_numbers(self, donated: Collection[int]) -> None:
        """Note which places hold Python numbers, but for inputs that are donated."""
        first = int(self.uses_key) + len(self.arrays) + len(self.grads)
        for i, (container, key) in enumerate(self.places):
            if container[key].__class__ in (int, float) and first + i not in donated:
                self.numbers[i] = None, None

    def rebind(self, there: Callable[[Any], Any], mixed: Sequence[tuple[Any, Any, Any]]) -> None:
        """Read from the objects that have taken the places of others.

        Args:
            there: Which object has taken the place of another.
            mixed: As the attribute, now.
        """
        self.places = [(there(c), key) for c, key in self.places]
        self.mixed = list(mixed)

    def type_difference(self, names: Sequence[str]) -> str | None:
        """Return which array of the state has another type than the program takes, or None.

        Args:
            names: Those of the inputs of the trace.
        """
        values: list[Any] = [None] * int(self.uses_key)
        values += [p._array for p in self.arrays] + [p.grad for p in self.grads]
        values += [container[key] for container, key in self.places]
        for i, value, expected in zip(self.order, values, self.types, strict=False):
            now = exact_type(value) if hasattr(value, "dtype") else expected
            if now != expected:
                return f"{names[i]}: {str_of(expected)} -> {str_of(now)}"
        return None

    def gather(self, leaves: Sequence[Any]) -> list[Any]:
        """Return the values of a call. No other thread may trace meanwhile, or take buffers over."""
        values: list[Any] = []
        if self.uses_key:
            values.append(random.ops.state())
        arrays = list(map(_VALUE, self.arrays))
        values += arrays if _WAITING.isdisjoint(map(type, arrays)) else [p._array for p in self.arrays]
        del arrays  # or all of them would be held twice
        if self.grads:
            values += [p.grad for p in self.grads]
        if self.places:
            try:
                held = [container[key] for container, key in self.places]
            except MISSING as error:
                raise VariantMismatch from error
            if not _OTHERS.isdisjoint(map(type, held)):
                raise VariantMismatch
            values += self._numbers(held)
        if self.mixed_at:
            mixed: list[Any] = []
            for container, key, template in self.mixed:
                take(template, container[key], mixed, self.variables)
            values += [mixed[k] for k in self.mixed_at]
        arguments: list[Any] = []
        for i in self.dynamic:
            leaf = leaves[i]
            if isinstance(leaf, Variable):
                arguments.append(leaf if self.variables else leaf._array)
                if leaf._grad is not None:
                    arguments.append(leaf.grad)
            elif isinstance(leaf, np.ndarray):
                arguments.append(leaf.copy())  # JAX would alias a live NumPy buffer
            else:
                arguments.append(leaf)
        if len(self.arguments) == len(arguments):
            values += arguments
        else:
            values += [arguments[i] for i in self.arguments]
        return values

    def _numbers(self, values: list[Any]) -> list[Any]:
        """Put an array in the place of each Python number that comes again: JAX takes 5 us to make one of it."""
        for i, (known, array) in self.numbers.items():
            value = values[i]
            if value.__class__ is not float and value.__class__ is not int:
                continue
            if value is not known:
                self.numbers[i] = value, None
            elif array is None:
                with jax.ensure_compile_time_eval():
                    values[i] = jax.device_put(value)  # `jnp.asarray` compiles a program for that
                self.numbers[i] = value, values[i]
            else:
                values[i] = array
        return values


_VALUE = operator.attrgetter("_value")
_WAITING = frozenset(WAITING)
_OTHERS = frozenset((np.ndarray, Variable, Parameter))  # a compiled call would take them for JAX's arrays
