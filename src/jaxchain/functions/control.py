"""Control flow that stays one program: `cond`, `while_loop` and `scan` on Variables.

In eager mode they are Python, and every op is in the graph, inside a cluster. In static mode they become `lax.cond`,
`lax.while_loop` and `lax.scan`, one node of the tape: its gradient runs the body once more with the tape on and walks
it backward, so it is the gradient of eager mode. A body that does what the lax primitives cannot repeat (writes state,
draws random numbers in one branch only, looks at values, changes shapes) is run as Python in static mode, too: then its
branches are guarded variants and its loops are unrolled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.arrays import ARRAY_LIKE
from jaxchain.core.compat import is_tracer
from jaxchain.core.config import thread_state
from jaxchain.core.errors import InvalidType, expect, user_line
from jaxchain.core.variable import Variable, as_array, as_jax, on_tape
from jaxchain.functions.bodies import Body, Irregular, cluster, in_place, keys, record
from jaxchain.functions.indexing import get_item
from jaxchain.functions.shape import stack

# -- cond --------------------------------------------------------------------------------------------------------------


def _taken(holds: bool, true_fun: Callable[..., Any], false_fun: Callable[..., Any], operands: tuple[Any, ...]) -> Any:
    with cluster("cond_true" if holds else "cond_false"):
        return (true_fun if holds else false_fun)(*operands)


def cond(pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    """Call one of two functions: both are in the compiled program, and a new outcome compiles nothing.

    Args:
        pred: A boolean scalar: Variable, array or `bool`.
        true_fun: Called with the operands where `pred` holds. Variables and links it uses may come from outside.
        false_fun: Called with the operands where it does not. In static mode, outputs of the same structure, shapes and
            dtypes as those of `true_fun`, and gradients of the same Variables where gradients are recorded, make one
            program; others are compiled as variants, one per outcome, since a gradient of None is not one of zero.
        operands: Variables, arrays, or trees of them.

    Returns:
        What the function returned.

    Raises:
        InvalidType: `pred` has more than one element.

    Source: `jax.lax.cond`.
    """
    value = as_array(pred)
    expect(np.size(value) == 1, "pred.size == 1", np.size(value))
    state = thread_state()
    if state.trace is None or not is_tracer(value):
        return _taken(bool(value), true_fun, false_fun, operands)
    leaves, _ = jax.tree.flatten(operands)
    if not all(isinstance(x, Variable | jax.Array) or isinstance(x, ARRAY_LIKE) for x in leaves):
        leaves = [x if isinstance(x, Variable) else jnp.asarray(x) for x in leaves]
    arrays = [as_jax(on_tape(x)) for x in leaves]
    bodies = [Body(f, operands, name) for f, name in ((false_fun, "cond_false"), (true_fun, "cond_true"))]
    try:
        for body in bodies:
            body.examine(arrays)
        first, second = bodies
        same = first.out_tree == second.out_tree and first.out_wrapped == second.out_wrapped
        if not same or [(s.shape, s.dtype) for s in first.shapes] != [(s.shape, s.dtype) for s in second.shapes]:
            raise Irregular("the branches return different shapes")
        if first.draws or second.draws:
            raise Irregular("a branch draws random numbers")
        if state.record and first.reached != second.reached:
            raise Irregular("the branches have gradients of different Variables")
    except Irregular:
        return _taken(bool(value), true_fun, false_fun, operands)
    captured = list({id(v): v for body in bodies for v in body.captured}.values())
    which = jnp.reshape(value, ()).astype(bool)
    outputs = jax.lax.cond(which, bodies[1].arrays, bodies[0].arrays, arrays)
    inexact = [w and jnp.issubdtype(s.dtype, jnp.inexact) for w, s in zip(first.out_wrapped, first.shapes, strict=True)]

    def backward(*flat: Any) -> list[Any]:
        xs, rest = flat[: len(arrays)], flat[len(arrays) :]
        held, given = rest[: len(captured)], iter(rest[len(captured) :])
        gys = [next(given) if c else None for c in inexact]

        def branch(body: Body) -> Callable[..., Any]:
            def run(xs: Any) -> list[Any]:
                return body.gradients(xs, gys, captured)

            return run

        with in_place(captured, held):
            return jax.lax.cond(which, branch(bodies[1]), branch(bodies[0]), list(xs))

    results = record("cond", [*leaves, *captured], outputs, first.out_wrapped, backward)
    return jax.tree_util.tree_unflatten(first.out_tree, results)


# -- while_loop --------------------------------------------------------------------------------------------------------


def while_loop(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init: Any) -> Any:
    """Call a function on its own result while a condition holds.

    In static mode one `lax.while_loop`, whatever the number of rounds. JAX has no gradient of it: where one is recorded
    (an input requires a gradient and `config.enable_backprop` is on) the loop is compiled as variants, one per number
    of rounds, like a Python `while`; `scan` has a gradient and compiles once.

    Args:
        cond_fun: State -> boolean scalar.
        body_fun: State -> state.
        init: The first state: a Variable, an array, or a tree of them.

    Returns:
        The first state for which the condition does not hold.

    Source: `jax.lax.while_loop`.
    """
    state = thread_state()
    if state.trace is not None:
        leaves, tree = jax.tree.flatten(init)
        arrays = [
            as_jax(on_tape(x)) if isinstance(x, Variable | jax.Array | np.ndarray) else jnp.asarray(x) for x in leaves
        ]
        test, body = Body(cond_fun, (init,), "while"), Body(body_fun, (init,), "while")
        with contextlib.suppress(Irregular):
            test.examine(arrays)
            body.examine(arrays)
            _same_state("while_loop", body, tree, arrays)
            if test.draws or body.draws:
                raise Irregular("it draws random numbers")
            gradient = body.captured or any(isinstance(x, Variable) and x._node.info.differentiable for x in leaves)
            if not (state.record and gradient):
                outputs = jax.lax.while_loop(
                    lambda xs: jnp.reshape(test.arrays(xs)[0], ()).astype(bool), body.arrays, arrays
                )
                results = [
                    Variable(y, requires_grad=False) if v else y
                    for y, (v, _) in zip(outputs, body.wrapped, strict=True)
                ]
                return jax.tree_util.tree_unflatten(tree, results)
    current = init
    with cluster("while"):
        while bool(as_array(cond_fun(current))):
            current = body_fun(current)
    return current


def _same_state(name: str, body: Body, tree: Any, arrays: Sequence[Any]) -> None:
    """Raise unless the state that comes out has the structure, shapes and dtypes of the one that went in."""
    if body.out_tree != tree or [(s.shape, s.dtype) for s in body.shapes] != [(a.shape, a.dtype) for a in arrays]:
        raise Irregular(f"{name}: the state changes its structure, shape or dtype")


# -- scan --------------------------------------------------------------------------------------------------------------


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Call a function along the first axis, with a state that goes from call to call.

    Args:
        f: (state, x) -> (state, y). Variables and links it uses may come from outside.
        init: The first state: a Variable, an array, or a tree of them.
        xs: A Variable or array (T, ...), or a tree of them; None: `f` is called with None, `length` times.
        length: T, if there are no `xs`.
        reverse: From the last element to the first.

    Returns:
        The last state, and the y stacked along a new first axis. In static mode one `lax.scan`, compiled once for any T
        of the same size; the gradient keeps the states and runs `f` once more.

    Raises:
        InvalidType: The `xs` differ in length, or their length is not `length`, or there is neither.

    Source: `jax.lax.scan`.
    """
    leaves, xs_tree = jax.tree.flatten(xs)
    sizes = {np.shape(as_array(x))[0] if np.ndim(as_array(x)) else -1 for x in leaves} | ({length} - {None})
    if len(sizes) != 1 or -1 in sizes:
        raise InvalidType("scan: one common length of xs", f"{sorted(sizes, key=str)}", f"at {user_line()}")
    count = int(max(s for s in sizes if s is not None))
    if thread_state().trace is not None and count:
        with contextlib.suppress(Irregular):
            return _lax_scan(f, init, leaves, xs_tree, count, reverse)
    order = range(count - 1, -1, -1) if reverse else range(count)
    state, collected = init, {}
    with cluster("scan"):
        for i in order:
            x = jax.tree_util.tree_unflatten(xs_tree, [_at(leaf, i) for leaf in leaves])
            state, collected[i] = f(state, x)
        if not collected:
            return state, None
        ys = [jax.tree.flatten(collected[i])[0] for i in range(count)]
        columns = [
            stack(column) if isinstance(column[0], Variable) else jnp.stack(column) for column in zip(*ys, strict=True)
        ]
    return state, jax.tree_util.tree_unflatten(jax.tree.flatten(collected[0])[1], columns)


def _at(leaf: Any, i: int) -> Any:
    return get_item(leaf, i) if isinstance(leaf, Variable) else as_jax(leaf)[i]


def _lax_scan(f: Any, init: Any, leaves: list[Any], xs_tree: Any, count: int, reverse: bool) -> tuple[Any, Any]:
    state = thread_state()
    carry_leaves, carry_tree = jax.tree.flatten(init)
    carry_leaves = [x if isinstance(x, Variable) else jnp.asarray(x) for x in carry_leaves]
    carry = [as_jax(on_tape(x)) for x in carry_leaves]
    xs = [as_jax(on_tape(x)) for x in leaves]
    wraps = [isinstance(x, Variable) for x in leaves]
    first = [
        Variable(a[0], requires_grad=x.requires_grad) if w else a[0] for a, w, x in zip(xs, wraps, leaves, strict=True)
    ]
    body = Body(f, (init, jax.tree_util.tree_unflatten(xs_tree, first)), "scan")
    body.examine([*carry, *(a[0] for a in xs)])
    n_carry = len(carry)
    if jax.tree_util.tree_structure((init, 0)).num_leaves != n_carry + 1 or len(body.shapes) < n_carry:
        raise Irregular("the state changes its structure")
    got = [(s.shape, s.dtype) for s in body.shapes[:n_carry]]
    if got != [(a.shape, a.dtype) for a in carry] or body.out_tree.children()[:1] != [carry_tree]:
        raise Irregular("the state changes its structure, shape or dtype")
    trace, captured = state.trace, body.captured
    start, draws = trace.draws, body.draws
    steps = jnp.arange(count, dtype=np.uint32)
    turns = steps[::-1] if reverse else steps  # how many calls went before

    def step(carry: Any, element: Any) -> Any:
        turn, *x = element
        with keys(start + draws * turn):
            outputs = body.arrays([*carry, *x])
        return outputs[:n_carry], (outputs[n_carry:], carry)

    last, (ys, states) = jax.lax.scan(step, carry, [turns, *xs], reverse=reverse)
    trace.draws = start + draws * count
    inexact = [w and jnp.issubdtype(s.dtype, jnp.inexact) for w, s in zip(body.out_wrapped, body.shapes, strict=True)]

    def backward(*flat: Any) -> list[Any]:
        n = n_carry + len(xs)
        first_carry, elements = flat[:n_carry], flat[n_carry:n]
        held, given = flat[n : n + len(captured)], iter(flat[n + len(captured) :])
        g_last = [next(given) if c else None for c in inexact[:n_carry]]
        g_ys = [next(given) if c else None for c in inexact[n_carry:]]
        if any(a is not b for a, b in zip((*first_carry, *elements), (*carry, *xs), strict=True)) or any(
            h is not v._array for h, v in zip(held, captured, strict=True)
        ):  # differentiated again: the states are a function of the inputs
            with in_place(captured, held):
                # a function of its own: JAX keeps what it traced by function, with what that captured
                _, (_, kept) = jax.lax.scan(
                    lambda c, e: step(c, e), list(first_carry), [turns, *elements], reverse=reverse
                )
        else:
            kept = states
        floating = [jnp.issubdtype(a.dtype, jnp.inexact) for a in (*carry, *elements, *held)]

        def back(sums: Any, element: Any) -> Any:
            g_state, g_held = sums
            turn, at, x, g_y = element
            given_state, given_y = iter(g_state), iter(g_y)
            gys = [next(given_state) if c else None for c in inexact[:n_carry]]
            gys += [next(given_y) if c else None for c in inexact[n_carry:]]
            with keys(start + draws * turn):
                grads = body.gradients([*at, *x], gys, captured)
            new = [g for g, c in zip(grads[:n_carry], inexact[:n_carry], strict=True) if c]
            of_x = [g for g, w in zip(grads[n_carry:n], floating[n_carry:n], strict=True) if w]
            return (new, [a + b for a, b in zip(g_held, grads[n:], strict=True)]), of_x

        zeros = [jnp.zeros(h.shape, h.dtype) for h in held]
        with in_place(captured, held):
            (g_first, g_held), g_xs = jax.lax.scan(
                back,
                ([g for g in g_last if g is not None], zeros),
                (turns, kept, list(elements), [g for g in g_ys if g is not None]),
                reverse=not reverse,
            )
        of_first, of_xs = iter(g_first), iter(g_xs)
        result = [next(of_first) if c else None for c in inexact[:n_carry]]
        return [*result, *(next(of_xs) if w else None for w in floating[n_carry:n]), *g_held]

    inputs = [*carry_leaves, *leaves, *captured]
    results = record("scan", inputs, [*last, *ys], body.out_wrapped, backward)
    final = jax.tree_util.tree_unflatten(body.out_tree, results)
    return final[0], final[1]
