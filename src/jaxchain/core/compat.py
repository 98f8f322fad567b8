"""Everything that depends on the JAX version: one small file, with a test that fails loudly when JAX moves.

No `jax._src`. `jax.core.Tracer` is public; its import is here so that no other file names `jax.core`.
"""

from __future__ import annotations

import contextlib
import functools
import math
import operator
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.core import Tracer as Tracer
from jax.extend import source_info_util
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxpr_as_fun
from jax.extend.core import get_opaque_trace_state as _trace_state
from jax.lax import convert_element_type_p

from jaxchain.core.spread import struct_of

# the lines that jaxprs, HLO and JAX's own messages name are the user's, not ours
source_info_util.register_exclusion(os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep)

CALLS = ("jit", "pjit", "custom_jvp_call", "custom_vjp_call", "closed_call")


def is_tracer(value: Any) -> bool:
    """Return whether a value stands for an array that exists only while a program is traced."""
    return isinstance(value, Tracer)


def weakly_typed(tracer: Any) -> Any:
    """Return a number that is being traced as one of weak type: beside an array, the array's dtype decides."""
    if not jax.numpy.issubdtype(tracer.dtype, jax.numpy.inexact):
        tracer = tracer * 1.0
    if tracer.weak_type:
        return tracer
    return convert_element_type_p.bind(tracer, new_dtype=tracer.dtype, weak_type=True, sharding=None)


@contextlib.contextmanager
def usual_promotion() -> Iterator[None]:
    """Promote dtypes and ranks as JAX does by default. Functions of ours need it: strict ones are for a user's."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def trace_state() -> Any:
    """Return what is equal only inside the same trace: tells our trace from one inside it."""
    return _trace_state(convention="nnx")


def bytes_of(avals: Iterable[Any]) -> int | None:
    """Return how many bytes arrays of these shapes and dtypes take, or None: a size is a symbol."""
    total = 0
    for aval in avals:
        if not all(isinstance(n, int) for n in aval.shape):
            return None
        total += math.prod(aval.shape) * aval.dtype.itemsize
    return total


EAGER = trace_state()  # outside all traces


def array_class() -> type:
    """Return the class of JAX's arrays. Making one would start JAX, after which processes cannot join any more."""
    return next(c for c in jax.Array.__subclasses__() if c.__module__.startswith("jaxlib"))


def in_trace() -> bool:
    """Return whether a trace or a transformation is on: ours, or one of JAX's that the user called."""
    return trace_state() != EAGER


def is_compiling() -> bool:
    """Return whether what runs now becomes part of a program of JAX's, as inside `jax.jit`: even constants do."""
    return in_trace() and is_tracer(jax.lax.full((), 0))


def jit_is_off() -> bool:
    """Return whether `jax.disable_jit()` holds in this thread now."""
    return jax.config.jax_disable_jit  # type: ignore[attr-defined]


def has_64_bits() -> bool:
    """Return whether 64-bit types are on, in this thread now."""
    return jax.config.jax_enable_x64  # type: ignore[attr-defined]


def numerics() -> tuple[Any, bool]:
    """Return what jaxprs are made with in this thread now: JAX's precision of products, whether there are 64 bits."""
    return jax.config.jax_default_matmul_precision, has_64_bits()  # type: ignore[attr-defined]


@contextlib.contextmanager
def with_numerics(numerics: tuple[Any, bool]) -> Iterator[None]:
    """Have JAX's precision and width as `numerics` returned them."""
    with jax.default_matmul_precision(numerics[0]), jax.enable_x64(numerics[1]):
        yield


def live_inputs(jaxpr: Jaxpr, wanted: Sequence[bool] | None = None) -> list[bool]:
    """Return for each input of a jaxpr whether the (wanted) outputs depend on its value. Looks into nested jits."""
    wanted = [True] * len(jaxpr.outvars) if wanted is None else wanted
    live = {v for v, w in zip(jaxpr.outvars, wanted, strict=True) if w and not isinstance(v, Literal)}
    for eqn in reversed(jaxpr.eqns):
        used = [v in live for v in eqn.outvars]
        if not (any(used) or eqn.effects):
            continue
        inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
        inner = inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner
        own_rule = eqn.primitive.name.startswith("custom_")  # its derivative may depend on what its value does not
        if eqn.primitive.name in CALLS and not own_rule and inner and len(inner.invars) == len(eqn.invars):
            needed = live_inputs(inner, used)
        else:
            needed = [True] * len(eqn.invars)
        live.update(v for v, n in zip(eqn.invars, needed, strict=True) if n and not isinstance(v, Literal))
    return [v in live for v in jaxpr.invars]


def origins_of(jaxpr: Jaxpr, sources: Iterable[int]) -> list[int]:
    """Return for each output of a jaxpr which of the inputs at `sources` lead to it: bits, by place in `sources`."""
    found = {jaxpr.invars[i]: 1 << place for place, i in enumerate(sources)}

    def bits(v: Any) -> int:
        return 0 if isinstance(v, Literal) else found.get(v, 0)

    for eqn in jaxpr.eqns:
        came = functools.reduce(operator.or_, map(bits, eqn.invars), 0)
        if came:
            found.update(dict.fromkeys(eqn.outvars, came))
    return list(map(bits, jaxpr.outvars))


def scan_counts(params: Any) -> tuple[int, int]:
    """Return how many of a scan equation's inputs are constants and how many are carried."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    constants, carry, _ = params["ft_in"].unpack()  # jax 0.11 and later
    return len(constants), len(carry)


def values_of(array: Any) -> np.ndarray:
    """Return the values of an array or number; of a random key of JAX's, which has no values, its bits."""
    is_key = isinstance(array, jax.Array) and jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(array) if is_key else array)


def fingerprint(closed: ClosedJaxpr) -> tuple[Any, ...]:
    """Return what is equal for two jaxprs only if they are the same program on the same constants."""
    arrays: list[Any] = list(closed.consts)
    stack: list[Any] = [closed.jaxpr]
    while stack:
        jaxpr = stack.pop()
        for eqn in jaxpr.eqns:
            arrays += [v.val for v in eqn.invars if isinstance(v, Literal) and np.ndim(v.val)]
            for value in eqn.params.values():
                for inner in value if isinstance(value, tuple | list) else (value,):
                    if isinstance(inner, ClosedJaxpr):
                        arrays += inner.consts
                        stack.append(inner.jaxpr)
                    elif isinstance(inner, Jaxpr):
                        stack.append(inner)
                    elif isinstance(inner, np.ndarray | jax.Array):
                        arrays.append(inner)
    data = tuple((a.dtype.name, a.shape, values_of(a).tobytes()) if hasattr(a, "dtype") else a for a in arrays)
    return str(closed.jaxpr), data, tuple(map(struct_of, closed.jaxpr.invars))


def _needed(eqns: Sequence[Any], outputs: Iterable[Any]) -> tuple[list[Any], set[Any]]:
    """Return the equations that outputs need and those with effects, in order, and all variables that they read."""
    read = {v for v in outputs if not isinstance(v, Literal)}
    needed = []
    for eqn in reversed(eqns):
        if eqn.effects or any(v in read for v in eqn.outvars):
            needed.append(eqn)
            read.update(v for v in eqn.invars if not isinstance(v, Literal))
    return needed[::-1], read


def split_gradient(
    closed: ClosedJaxpr, count: int, marker: str, made: Sequence[Any]
) -> tuple[ClosedJaxpr, ClosedJaxpr, ClosedJaxpr, list[int]]:
    """Cut a traced forward and backward pass in two.

    Args:
        closed: A jaxpr whose first `count` outputs are the forward's and the others gradients. Output gradients are
            stood in for by calls of a nullary function.
        count: How many outputs the forward has.
        marker: The name of that function.
        made: Variables of the forward that the whole gradient takes as further inputs: it may be differentiated
            towards them.

    Returns:
        The forward, with the residuals as further outputs; the backward, from the inputs that it reads, the residuals
        and the output gradients; the same from all inputs, what is `made`, and the output gradients; the positions of
        those inputs.

    Raises:
        ValueError: An output of the forward depends on an output gradient.
    """
    jaxpr = closed.jaxpr
    cotangents: list[Any] = []
    dependent: set[Any] = set()
    forward, backward, constant = [], [], {}
    for eqn in jaxpr.eqns:
        variables = [v for v in eqn.invars if not isinstance(v, Literal)]
        if eqn.params.get("name") == marker:
            cotangents.append(eqn.outvars[0])
            dependent.add(eqn.outvars[0])
        elif any(v in dependent for v in variables):
            backward.append(eqn)
            dependent.update(eqn.outvars)
        else:
            forward.append(eqn)
            if not variables:
                constant.update(dict.fromkeys(eqn.outvars, eqn))
    if any(v in dependent for v in jaxpr.outvars[:count] if not isinstance(v, Literal)):
        raise ValueError("an output of the forward depends on an output gradient")
    grads = jaxpr.outvars[count:]
    kept, _ = _needed(backward, grads)
    known = dict.fromkeys(v for eqn in kept for v in eqn.invars if not isinstance(v, Literal) and v not in dependent)
    known.update(dict.fromkeys(v for v in grads if not isinstance(v, Literal) and v not in dependent))
    again = list(dict.fromkeys(constant[v] for v in known if v in constant))  # cheaper made again than kept
    inputs = [i for i, v in enumerate(jaxpr.invars) if v in known]
    fixed = {*jaxpr.invars, *jaxpr.constvars, *constant}
    residuals = [v for v in known if v not in fixed]
    info = jaxpr.debug_info.with_unknown_names()
    cut: dict[Any, Any] = {}  # what is an input of the whole gradient -> what the forward makes in its place
    given = []
    for v in made:
        other = type(cotangents[0])(v.aval)
        known_already = isinstance(v, Literal) or v in cut or v in jaxpr.invars
        given.append(other if known_already else v)
        if not known_already:
            cut[v] = other
    apart = [eqn.replace(outvars=[cut.get(v, v) for v in eqn.outvars]) for eqn in forward] if cut else forward

    def program(invars: Sequence[Any], outvars: Sequence[Any], eqns: Sequence[Any]) -> ClosedJaxpr:
        made = jaxpr.replace(invars=list(invars), outvars=list(outvars), eqns=list(eqns), debug_info=info)
        return ClosedJaxpr(made, closed.consts)

    return (
        program(jaxpr.invars, [*jaxpr.outvars[:count], *residuals], forward),
        program([*(jaxpr.invars[i] for i in inputs), *residuals, *cotangents], grads, [*again, *kept]),
        program([*jaxpr.invars, *given, *cotangents], grads, [*apart, *kept]),
        inputs,
    )


def with_outputs(closed: ClosedJaxpr, outputs: Sequence[Any]) -> ClosedJaxpr:
    """Return the jaxpr with other outputs, variables of its own."""
    info = closed.jaxpr.debug_info.with_unknown_names()
    return ClosedJaxpr(closed.jaxpr.replace(outvars=list(outputs), debug_info=info), closed.consts)


def without_dead_code(closed: ClosedJaxpr, keep: Sequence[int]) -> tuple[ClosedJaxpr, list[int]]:
    """Return the jaxpr without the equations that its outputs do not need, with the inputs at `keep` first.

    Returns:
        The jaxpr, and the positions of further inputs that nested calls still name without using their values: they
        follow those of `keep`.
    """
    jaxpr = closed.jaxpr
    eqns, read = _needed(jaxpr.eqns, jaxpr.outvars)
    kept = set(keep)
    named = [i for i, v in enumerate(jaxpr.invars) if v in read and i not in kept]
    consts = [(v, c) for v, c in zip(jaxpr.constvars, closed.consts, strict=True) if v in read]
    pruned = jaxpr.replace(
        invars=[jaxpr.invars[i] for i in (*keep, *named)],
        constvars=[v for v, _ in consts],
        eqns=eqns,
        debug_info=jaxpr.debug_info.with_unknown_names(),
    )
    return ClosedJaxpr(pruned, [c for _, c in consts]), named


def equations(closed: ClosedJaxpr, values: Sequence[Any]) -> Iterator[tuple[Any, list[Any], list[Any]]]:
    """Run a jaxpr equation by equation, each compiled alone: yields (equation, its inputs, its outputs)."""
    jaxpr = closed.jaxpr
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*closed.consts, *values], strict=True))
    for eqn in jaxpr.eqns:
        arguments = list(dict.fromkeys(v for v in eqn.invars if not isinstance(v, Literal)))
        alone = jaxpr.replace(
            constvars=[],
            invars=arguments,
            outvars=list(eqn.outvars),
            eqns=[eqn],
            debug_info=jaxpr.debug_info.with_unknown_names(),
        )
        outputs = list(jaxpr_as_fun(ClosedJaxpr(alone, ()))(*(known[v] for v in arguments)))
        known.update(zip(eqn.outvars, outputs, strict=True))
        yield eqn, [v.val if isinstance(v, Literal) else known[v] for v in eqn.invars], outputs


def bodies(eqn: Any, inputs: Sequence[Any]) -> Iterator[tuple[ClosedJaxpr, list[Any]]]:
    """Run the `cond`, `scan` or `while` of an equation: yields (body or branch, its inputs) of every call, in order."""
    params, kind = eqn.params, eqn.primitive.name
    if kind == "cond":
        yield params["branches"][int(inputs[0])], list(inputs[1:])
    elif kind == "scan":
        n_consts, n_carry = scan_counts(params)
        consts, carry, xs = inputs[:n_consts], inputs[n_consts : n_consts + n_carry], inputs[n_consts + n_carry :]
        run = jax.jit(jaxpr_as_fun(params["jaxpr"]))
        for i in range(params["length"])[:: -1 if params["reverse"] else 1]:
            values = [*consts, *carry, *(x[i] for x in xs)]
            yield params["jaxpr"], values
            carry = run(*values)[:n_carry]
    elif kind == "while":
        first, test, body = params["cond_nconsts"], params["cond_jaxpr"], params["body_jaxpr"]
        last = first + params["body_nconsts"]
        holds, run, carry = jax.jit(jaxpr_as_fun(test)), jax.jit(jaxpr_as_fun(body)), inputs[last:]
        while holds(*inputs[:first], *carry)[0]:
            values = [*inputs[first:last], *carry]
            yield body, values
            carry = run(*values)


def origin(eqn: Any) -> tuple[str, tuple[str, int, str] | None]:
    """Return the scope path of an equation and the user's (file, line, function)."""
    found = re.match(r"(.*?):(\d+)(?::\d+)? \((.*)\)$", source_info_util.summarize(eqn.source_info))
    return str(eqn.source_info.name_stack), found and (found[1], int(found[2]), found[3].rpartition(".")[2])
