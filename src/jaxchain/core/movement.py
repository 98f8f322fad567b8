"""Programs that only move data are not compiled for their first calls: NumPy runs their jaxprs, with the same bits.

Sequences of varying lengths are cut, padded and joined in a pattern of their own in every batch. Compiling each pattern
takes a hundred milliseconds and more; moving the data takes microseconds. So a program whose equations move data,
choose data or add two numbers is run equation by equation on the host until it has been called `AFTER` times. What has
no rule here, is traced, or lives on another device than a CPU, goes to the compiled program at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from jaxchain.core.compat import Tracer, bytes_of, in_trace

AFTER = 4  # calls before it is compiled
LARGE = 2**22  # bytes that move in one call; more is left to the compiler


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


def _slice(p: Any, x: np.ndarray) -> np.ndarray:
    strides = p["strides"] or (1,) * x.ndim
    return x[tuple(map(slice, p["start_indices"], p["limit_indices"], strides))]


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
    out = x.copy()
    np.add.at(out, tuple(i[inside] for i in at), updates[inside])
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


MODES = ("FILL_OR_DROP", "PROMISE_IN_BOUNDS")
RULES: dict[str, Callable[..., Any]] = {
    "add": lambda p, x, y: np.add(x, y),
    "add_any": lambda p, x, y: np.add(x, y),
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda p, *xs: np.concatenate(xs, p["dimension"]),
    "convert_element_type": lambda p, x: x.astype(p["new_dtype"]),
    "copy": lambda p, x: x,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "gather": _gather,
    "lt": lambda p, x, y: np.less(x, y),
    "pad": _pad,
    "reshape": lambda p, x: x.reshape(p["new_sizes"]),
    "rev": lambda p, x: np.flip(x, p["dimensions"]),
    "scatter-add": _scatter_add,
    "select_n": lambda p, which, no, yes: np.where(which, yes, no),
    "slice": _slice,
    "split": _split,
    "squeeze": lambda p, x: np.squeeze(x, p["dimensions"]),
    "stack": lambda p, *xs: np.stack(xs, p["axis"]),
    "tile": lambda p, x: np.tile(x, p["reps"]),
    "transpose": lambda p, x: np.transpose(x, p["permutation"]),
    "unstack": lambda p, x: [np.squeeze(y, p["axis"]) for y in np.split(x, x.shape[p["axis"]], p["axis"])],
}


def only_moves(jaxpr: Jaxpr) -> bool:
    """Return whether NumPy can run a jaxpr: every equation is among `RULES`."""
    return (
        all(only_moves(_inner(eqn)) if eqn.primitive.name == "jit" else _has_rule(eqn) for eqn in jaxpr.eqns)
        and not jaxpr.effects
    )


def _has_rule(eqn: Any) -> bool:
    name, given = eqn.primitive.name, len(eqn.invars)
    if name in ("broadcast_in_dim", "reshape"):  # more inputs: sizes that are known at run time only
        return given == 1 and eqn.params.get("dimensions") is None
    if name in ("gather", "scatter-add"):
        return _takes_rows(eqn)
    if name == "select_n":
        return given == 3 and eqn.invars[0].aval.dtype == bool
    if name == "convert_element_type":  # what integers become of large numbers and NaN is up to the compiler
        old, new = eqn.invars[0].aval.dtype, eqn.params["new_dtype"]
        return not (jnp.issubdtype(old, jnp.inexact) and not jnp.issubdtype(new, jnp.inexact))
    return name in RULES


def _inner(eqn: Any) -> Jaxpr:
    inner = eqn.params["jaxpr"]
    return inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner


def run(jaxpr: Jaxpr, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    """Return what a jaxpr that `only_moves` gives for NumPy arrays. Results may be views of them."""
    values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))

    def read(v: Any) -> Any:
        return np.asarray(v.val, cast(Any, v.aval).dtype) if isinstance(v, Literal) else values[v]

    for eqn in jaxpr.eqns:
        inputs = [read(v) for v in eqn.invars]
        if eqn.primitive.name == "jit":
            inner = eqn.params["jaxpr"]
            out = run(_inner(eqn), inner.consts if isinstance(inner, ClosedJaxpr) else (), inputs)
        else:
            out = RULES[eqn.primitive.name](eqn.params, *inputs)
        values.update(zip(eqn.outvars, out if eqn.primitive.multiple_results else (out,), strict=True))
    return [read(v) for v in jaxpr.outvars]


class Mover:
    """A program that only moves data: on the host at first, compiled if it comes again and again.

    Args:
        compiled: The jitted function.
        closed: Its jaxpr.
        single: Whether it returns one array and not a tuple.
    """

    def __init__(self, compiled: Callable[..., Any], closed: ClosedJaxpr, single: bool) -> None:
        self.compiled, self.closed, self.single = compiled, closed, single
        jaxpr = closed.jaxpr
        self.takes, self.gives = ([cast(Any, v.aval).dtype for v in vs] for vs in (jaxpr.invars, jaxpr.outvars))
        self.calls = 0

    def __call__(self, *args: Any) -> Any:
        """Run it."""
        if self.calls >= AFTER or in_trace() or not all(map(_on_host, args)):
            return self.compiled(*args)
        self.calls += 1
        arrays = [np.asarray(a, dtype) for a, dtype in zip(args, self.takes, strict=True)]
        out = run(self.closed.jaxpr, self.closed.consts, arrays)
        results = tuple([jax.device_put(np.array(y, dtype)) for y, dtype in zip(out, self.gives, strict=True)])
        return results[0] if self.single else results


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
    return Mover(compiled, closed, single)
