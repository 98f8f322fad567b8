"""Jaxprs that NumPy runs on the host, with the same bits: programs that only move data, questions about values.

Sequences of varying lengths are cut, padded and joined in a pattern of their own in every batch. Compiling each pattern
takes tens of milliseconds; moving the data takes microseconds. So a program whose equations move data, choose data or
add two numbers is run equation by equation on the host until that has taken about as long as compiling it. What has no
rule here, is traced, or lives on another device than a CPU, goes to the compiled program at once.

A guard that asks little (``x[0, 0] > 0``) is answered here, too: XLA would hand it to another thread and wait.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from jaxchain.core.compat import Tracer, bytes_of, in_trace

COMPILING = 2e-2  # seconds
CALL, BYTE = 4e-5, 2.5e-10  # seconds of a call on the host, and of each byte that it reads or writes
LARGE = 2**22  # bytes that move in one call; more is left to the compiler
SHORT = 2**12  # elements that an answer makes: NumPy is done with them before XLA has begun


@functools.cache
def _tiny(dtype: Any) -> Any:
    """Return the least normal number of a dtype, or None if XLA's CPU backend does not take less for zero."""
    return float(jnp.finfo(dtype).tiny) if jnp.issubdtype(dtype, jnp.floating) and dtype != np.float16 else None


def _flushed(x: np.ndarray) -> np.ndarray:
    """Return numbers as the CPU backend computes with them: subnormal ones are zero."""
    tiny = _tiny(x.dtype)
    if tiny is None or (x.ndim == 0 and not 0 < abs(float(x)) < tiny):
        return x
    with np.errstate(invalid="ignore"):  # bfloat16's comparisons with NaN
        small = np.abs(x) < tiny
    return np.where(small, np.copysign(x.dtype.type(0), x), x) if small.any() else x


def _sum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        return _flushed(np.add(_flushed(x), _flushed(y)))


def _pad(p: Any, x: np.ndarray, value: np.ndarray) -> np.ndarray:
    axes = list(zip(x.shape, p["padding_config"], strict=True))
    shape = [max(0, lo + n + hi + max(n - 1, 0) * inner) for n, (lo, hi, inner) in axes]
    out = np.full(shape, value, x.dtype)
    into, source = [], []
    for size, (n, (lo, _, inner)) in zip(shape, axes, strict=True):
        step = inner + 1
        first = max(0, -(lo // step))  # negative padding cuts elements off
        last = max(first, min(n, -((lo - size) // step)))
        into.append(slice(lo + first * step, lo + last * step, step))
        source.append(slice(first, last))
    out[tuple(into)] = x[tuple(source)]
    return out


def _broadcast(p: Any, x: np.ndarray) -> np.ndarray:
    shape = [1] * len(p["shape"])
    for at, n in zip(p["broadcast_dimensions"], x.shape, strict=True):
        shape[at] = n
    return np.broadcast_to(x.reshape(shape), p["shape"])


def _starts(shape: Sequence[int], sizes: Sequence[int], starts: Sequence[Any]) -> tuple[slice, ...]:
    at = [min(max(int(s), 0), n - size) for s, n, size in zip(starts, shape, sizes, strict=True)]
    return tuple(slice(a, a + size) for a, size in zip(at, sizes, strict=True))


def _dynamic_slice(p: Any, x: np.ndarray, *starts: Any) -> np.ndarray:
    return x[_starts(x.shape, p["slice_sizes"], starts)]


def _dynamic_update_slice(p: Any, x: np.ndarray, update: np.ndarray, *starts: Any) -> np.ndarray:
    out = x.copy()
    out[_starts(x.shape, update.shape, starts)] = update
    return out


def _split(p: Any, x: np.ndarray) -> list[np.ndarray]:
    return np.split(x, np.cumsum(p["sizes"])[:-1], p["axis"])


def _rows(p: Any, x: np.ndarray, index: np.ndarray) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Return indices along the first axes, one array each, and which of them are within bounds."""
    at = tuple(np.moveaxis(index, -1, 0))
    return at, np.logical_and.reduce([(i >= 0) & (i < n) for i, n in zip(at, x.shape, strict=False)])


def _gather(p: Any, x: np.ndarray, index: np.ndarray) -> np.ndarray:
    at, inside = _rows(p, x, index)
    out = x[tuple(np.clip(i, 0, n - 1) for i, n in zip(at, x.shape, strict=False))]
    if p["mode"].name == "FILL_OR_DROP":
        out[~inside] = np.nan if p["fill_value"] is None else p["fill_value"]
    return out


def _scatter_add(p: Any, x: np.ndarray, index: np.ndarray, updates: np.ndarray) -> np.ndarray:
    at, inside = _rows(p, x, index)
    out, at = x.copy(), tuple(i[inside] for i in at)
    out[at] = _flushed(out[at])
    with np.errstate(invalid="ignore", over="ignore"):
        np.add.at(out, at, _flushed(updates[inside]))
    out[at] = _flushed(out[at])
    return out


def _takes_rows(eqn: Any) -> bool:
    """Return whether a gather or scatter takes all of what stands behind indices of the first axes."""
    x, index = eqn.invars[0].aval, eqn.invars[1].aval
    d, count = eqn.params["dimension_numbers"], index.shape[-1] if index.shape else 0
    first, rest = tuple(range(count)), tuple(range(index.ndim - 1, index.ndim - 1 + x.ndim - count))
    plain = not d.operand_batching_dims and 0 not in x.shape and count > 0 and eqn.params["mode"].name in MODES
    if eqn.primitive.name == "gather":
        fills = jnp.issubdtype(x.dtype, jnp.inexact) or eqn.params["fill_value"] is not None
        whole = eqn.params["slice_sizes"] == (*(1,) * count, *x.shape[count:])
        return (
            plain
            and whole
            and fills
            and (d.offset_dims, d.collapsed_slice_dims, d.start_index_map) == (rest, first, first)
        )
    dims = d.update_window_dims, d.inserted_window_dims, d.scatter_dims_to_operand_dims
    return plain and dims == (rest, first, first) and x.dtype.itemsize >= 4  # smaller floats may be added up wider


def _with(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda p, *avals: functools.partial(function, p)


def _slice(p: Any, x: Any) -> Callable[..., Any]:
    strides = p["strides"] or (1,) * x.ndim
    index = tuple(map(slice, p["start_indices"], p["limit_indices"], strides))
    return lambda x: x[index]


def _squeeze(p: Any, x: Any) -> Callable[..., Any]:
    shape = tuple(n for i, n in enumerate(x.shape) if i not in p["dimensions"])
    return lambda x: x.reshape(shape)


def _compares(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda p, x, y: function if _tiny(x.dtype) is None else lambda x, y: function(_flushed(x), _flushed(y))


def _over_axes(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda p, x: lambda x: function(x, p["axes"])


MODES = ("FILL_OR_DROP", "PROMISE_IN_BOUNDS")
Rules = dict[str, Callable[..., Callable[..., Any]]]
RULES: Rules = {  # parameters and types -> a function of NumPy arrays
    "add": lambda p, x, y: _sum,
    "add_any": lambda p, x, y: _sum,
    "broadcast_in_dim": _with(_broadcast),
    "concatenate": lambda p, *xs: lambda *xs: np.concatenate(xs, p["dimension"]),
    "convert_element_type": lambda p, x: lambda x: x.astype(p["new_dtype"]),
    "copy": lambda p, x: lambda x: x,
    "dynamic_slice": _with(_dynamic_slice),
    "dynamic_update_slice": _with(_dynamic_update_slice),
    "gather": _with(_gather),
    "lt": _compares(np.less),
    "pad": _with(_pad),
    "reshape": lambda p, x: lambda x: x.reshape(p["new_sizes"]),
    "rev": lambda p, x: lambda x: np.flip(x, p["dimensions"]),
    "scatter-add": _with(_scatter_add),
    "select_n": lambda p, *xs: lambda which, no, yes: np.where(which, yes, no),
    "slice": _slice,
    "split": _with(_split),
    "squeeze": _squeeze,
    "stack": lambda p, *xs: lambda *xs: np.stack(xs, p["axis"]),
    "tile": lambda p, x: lambda x: np.tile(x, p["reps"]),
    "transpose": lambda p, x: lambda x: np.transpose(x, p["permutation"]),
    "unstack": lambda p, x: lambda x: [np.squeeze(y, p["axis"]) for y in np.split(x, x.shape[p["axis"]], p["axis"])],
}
ANSWERS: Rules = {  # those, and what answers a question, where the sign of a zero is not seen
    **RULES,
    "and": lambda p, x, y: np.bitwise_and,
    "eq": _compares(np.equal),
    "ge": _compares(np.greater_equal),
    "gt": _compares(np.greater),
    "is_finite": lambda p, x: np.isfinite,
    "le": _compares(np.less_equal),
    "ne": _compares(np.not_equal),
    "not": lambda p, x: np.invert,
    "or": lambda p, x, y: np.bitwise_or,
    "reduce_and": _over_axes(np.all),
    "reduce_max": _over_axes(np.max),
    "reduce_min": _over_axes(np.min),
    "reduce_or": _over_axes(np.any),
}


def only_moves(jaxpr: Jaxpr, rules: Rules = RULES) -> bool:
    """Return whether NumPy can run a jaxpr: every equation is among the rules."""
    return (
        all(
            only_moves(_inner(eqn), rules) if eqn.primitive.name == "jit" else _has_rule(eqn, rules)
            for eqn in jaxpr.eqns
        )
        and not jaxpr.effects
    )


def elements(jaxpr: Jaxpr) -> int:
    """Return how many elements a jaxpr makes, and reduces."""
    total = 0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "jit":
            total += elements(_inner(eqn))
        else:
            values = eqn.invars if eqn.primitive.name.startswith("reduce") else eqn.outvars
            total += sum(math.prod(cast(Any, v.aval).shape) for v in values)
    return total


def _has_rule(eqn: Any, rules: Rules) -> bool:
    name, given = eqn.primitive.name, len(eqn.invars)
    if name not in rules:
        return False
    first = eqn.invars[0].aval if given else eqn.outvars[0].aval
    if name in ("and", "or", "not", "reduce_and", "reduce_or"):
        return first.dtype == bool
    if name in ("eq", "ge", "gt", "is_finite", "le", "lt", "ne", "reduce_max", "reduce_min"):
        empty = name.startswith("reduce") and 0 in first.shape
        return getattr(first.dtype, "kind", "V") in "biuf" and first.dtype != np.float16 and not empty
    if name in ("broadcast_in_dim", "reshape"):  # more inputs: sizes that are known at run time only
        return given == 1 and eqn.params.get("dimensions") is None
    if name in ("gather", "scatter-add"):
        return _takes_rows(eqn)
    if name == "select_n":
        return given == 3 and eqn.invars[0].aval.dtype == bool
    if name == "convert_element_type":  # what integers become of large numbers and NaN is up to the compiler
        old, new = eqn.invars[0].aval.dtype, eqn.params["new_dtype"]
        return not (jnp.issubdtype(old, jnp.inexact) and not jnp.issubdtype(new, jnp.inexact))
    return True


def _inner(eqn: Any) -> Jaxpr:
    inner = eqn.params["jaxpr"]
    return inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner


class Steps:
    """A jaxpr that `only_moves`, as a function of NumPy arrays. Results may be views of them.

    Args:
        closed: The jaxpr.
        rules: What there is for each primitive.
    """

    def __init__(self, closed: ClosedJaxpr, rules: Rules = RULES) -> None:
        self.values: list[Any] = [None] * len(closed.jaxpr.invars)  # of each slot: the inputs, constants, what is made
        self.steps: list[tuple[Callable[..., Any], list[int], int | list[int]]] = []
        self.rules = rules
        self.results = self._lay(closed.jaxpr, closed.consts, range(len(closed.jaxpr.invars)))

    def _slot(self, value: Any = None) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def _lay(self, jaxpr: Jaxpr, consts: Sequence[Any], inputs: Sequence[int]) -> list[int]:
        """Append the steps of a jaxpr, those that it calls among them, and return where its results will be."""
        slots: dict[Any, int] = dict(zip(jaxpr.constvars, [self._slot(np.asarray(c)) for c in consts], strict=True))
        slots.update(zip(jaxpr.invars, inputs, strict=True))

        def at(v: Any) -> int:
            return self._slot(np.asarray(v.val, cast(Any, v.aval).dtype)) if isinstance(v, Literal) else slots[v]

        for eqn in jaxpr.eqns:
            given = [at(v) for v in eqn.invars]
            if eqn.primitive.name == "jit":
                inner = eqn.params["jaxpr"]
                made = self._lay(_inner(eqn), inner.consts if isinstance(inner, ClosedJaxpr) else (), given)
            else:
                made = [self._slot() for _ in eqn.outvars]
                into = made if eqn.primitive.multiple_results else made[0]
                step = self.rules[eqn.primitive.name](eqn.params, *[v.aval for v in eqn.invars])
                self.steps.append((step, given, into))
            slots.update(zip(eqn.outvars, made, strict=True))
        return [at(v) for v in jaxpr.outvars]

    def __call__(self, args: Sequence[np.ndarray]) -> list[Any]:
        """Run it."""
        values = self.values.copy()
        values[: len(args)] = args
        for step, given, into in self.steps:
            made = step(*[values[i] for i in given])
            if isinstance(into, int):
                values[into] = made
            else:
                for slot, value in zip(into, made, strict=True):
                    values[slot] = value
        return [values[i] for i in self.results]


class Mover:
    """A program that only moves data: on the host at first, compiled if it comes again and again.

    Args:
        compiled: The jitted function.
        closed: Its jaxpr.
        single: Whether it returns one array and not a tuple.
        size: Bytes that a call reads and writes.

    Attributes:
        left: Calls before it is compiled.
        waits: Whether programs do not compile at their first call: `compiled_at_once`.
    """

    waits = True

    def __init__(self, compiled: Callable[..., Any], closed: ClosedJaxpr, single: bool, size: int) -> None:
        self.compiled, self.closed, self.single = compiled, closed, single
        jaxpr = closed.jaxpr
        self.takes, self.gives = ([cast(Any, v.aval) for v in vs] for vs in (jaxpr.invars, jaxpr.outvars))
        self.steps: Steps | None = None
        self.left = round(COMPILING / (CALL + BYTE * size))

    def __call__(self, *args: Any) -> Any:
        """Run it."""
        if self.left <= 0 or not Mover.waits or in_trace() or not all(map(_fits, args, self.takes)):
            return self.compiled(*args)
        self.left -= 1
        arrays = [np.asarray(a, aval.dtype) for a, aval in zip(args, self.takes, strict=True)]
        if self.steps is None:
            self.steps = Steps(self.closed)
        out = self.steps(arrays)
        results = tuple([jax.device_put(np.array(y, aval.dtype)) for y, aval in zip(out, self.gives, strict=True)])
        return results[0] if self.single else results


@contextlib.contextmanager
def compiled_at_once() -> Iterator[None]:
    """Compile what moves data at its first call, for who measures calls that come again and again."""
    waits, Mover.waits = Mover.waits, False
    try:
        yield
    finally:
        Mover.waits = waits


def _fits(value: Any, aval: Any) -> bool:
    """Return whether a value is on the host, and of the shape and dtype that the jaxpr was made for."""
    if not _on_host(value):
        return False
    dtype = getattr(value, "dtype", None)
    return dtype is None or (jax.dtypes.canonicalize_dtype(dtype) == aval.dtype and value.shape == aval.shape)


def _on_host(value: Any) -> bool:
    if isinstance(value, Tracer) or getattr(value, "weak_type", False):
        return False
    if not isinstance(value, jax.Array):
        return True
    return not value.committed and next(iter(value.devices())).platform == "cpu"


def mover(compiled: Callable[..., Any], closed: ClosedJaxpr, single: bool) -> Callable[..., Any]:
    """Return a jitted function, or one that does the same and need not be compiled yet."""
    jaxpr = closed.jaxpr
    avals = [v.aval for v in (*jaxpr.invars, *jaxpr.outvars)]
    size = bytes_of(avals) if all(hasattr(a, "shape") for a in avals) else None  # tokens have none
    if not jaxpr.eqns or size is None or size > LARGE or not only_moves(jaxpr):
        return compiled
    return Mover(compiled, closed, single, size)
