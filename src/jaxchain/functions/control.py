"""Control flow that stays one program: `cond`, `while_loop` and `scan` on Variables.

In eager mode they are Python, and every op is in the graph, inside a cluster. In static mode they become `lax.cond`,
`lax.while_loop` and `lax.scan`, one node of the tape: its gradient runs the body once more with the tape on and walks
it backward, so it is the gradient of eager mode. A body that does what the lax primitives cannot repeat (writes state,
cuts the graph that leads to it, draws random numbers in one branch only, looks at values, changes shapes) is run as
Python in static mode, too: then its branches are guarded variants and its loops are unrolled.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.arrays import ARRAY_LIKE
from jaxchain.core.compat import is_tracer
from jaxchain.core.config import thread_state
from jaxchain.core.errors import InvalidType, expect, user_line
from jaxchain.core.variable import Variable, as_array, as_jax, on_tape
from jaxchain.functions.bodies import (
    Body,
    Irregular,
    as_it_is_now,
    cluster,
    in_place,
    is_inexact,
    keys,
    one_program,
    record,
    with_arrays,
)
from jaxchain.functions.indexing import get_item
from jaxchain.functions.shape import stack

# -- cond --------------------------------------------------------------------------------------------------------------


def _taken(holds: bool, true_fun: Callable[..., Any], false_fun: Callable[..., Any], operands: tuple[Any, ...]) -> Any:
    with cluster("cond_true" if holds else "cond_false"):
        return with_arrays((true_fun if holds else false_fun)(*operands))


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
        What the function returned, with arrays in the place of numbers.

    Raises:
        InvalidType: `pred` has more than one element.

    Source: `jax.lax.cond`.
    """
    value = as_array(pred)
    expect(np.size(value) == 1, "pred.size == 1", np.size(value))
    state = thread_state()
    if state.trace is None or not is_tracer(value):
        return _taken(bool(value), true_fun, false_fun, operands)
    with one_program():
        return _lax_cond(value, true_fun, false_fun, operands)
    return _taken(bool(value), true_fun, false_fun, operands)


def _lax_cond(value: Any, true_fun: Any, false_fun: Any, operands: tuple[Any, ...]) -> Any:
    leaves, _ = jax.tree.flatten(operands)
    if not all(isinstance(x, (Variable, *ARRAY_LIKE, int, float, complex)) for x in leaves):
        raise Irregular("an operand is no array")
    leaves = [x if isinstance(x, Variable) else jnp.asarray(x) for x in leaves]
    arrays = [as_jax(on_tape(x)) for x in leaves]
    bodies = [Body(f, operands, name) for f, name in ((false_fun, "cond_false"), (true_fun, "cond_true"))]
    for body in bodies:
        body.examine(arrays)
    first, second = bodies
    same = first.out_tree == second.out_tree and first.out_wrapped == second.out_wrapped
    if not same or [(s.shape, s.dtype) for s in first.shapes] != [(s.shape, s.dtype) for s in second.shapes]:
        raise Irregular("the branches return different shapes")
    if first.draws or second.draws:
        raise Irregular("a branch draws random numbers")
    if thread_state().record and first.reached != second.reached:
        raise Irregular("the branches have gradients of different Variables")
    captured = list({id(v): v for body in bodies for v in body.captured}.values())
    which = jnp.reshape(value, ()).astype(bool)
    outputs = jax.lax.cond(which, bodies[1].arrays, bodies[0].arrays, arrays)

    def gradient() -> Callable[..., Any]:
        held = [v._array for v in captured]
        gys = [s if w and is_inexact(s) else None for w, s in zip(first.out_wrapped, first.shapes, strict=True)]

        def branch(body: Body) -> Callable[..., Any]:
            def run(xs: Any, held: Any, gys: Any) -> list[Any]:
                with in_place(captured, held):
                    return body.gradients(xs, gys, captured)

            return as_it_is_now(run, arrays, held, gys)

        branches = branch(bodies[1]), branch(bodies[0])

        def backward(*flat: Any) -> list[Any]:
            rest = iter(flat)
            xs, held = [next(rest) for _ in arrays], [next(rest) for _ in captured]
            return jax.lax.cond(which, *branches, xs, held, [None if g is None else next(rest) for g in gys])

        return backward

    results = record("cond", [*leaves, *captured], outputs, first, gradient)
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
        The first state for which the condition does not hold, with arrays in the place of numbers.

    Source: `jax.lax.while_loop`.
    """
    state = thread_state()
    if state.trace is not None:
        leaves, tree = jax.tree.flatten(init)
        arrays = [
            as_jax(on_tape(x)) if isinstance(x, Variable | jax.Array | np.ndarray) else jnp.asarray(x) for x in leaves
        ]
        test, body = Body(cond_fun, (init,), "while"), Body(body_fun, (init,), "while")
        with one_program():
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
                    Variable(y, requires_grad=False) if v else y for y, v in zip(outputs, body.out_wrapped, strict=True)
                ]
                return jax.tree_util.tree_unflatten(tree, results)
    current = init
    with cluster("while"):
        while bool(as_array(cond_fun(current))):
            current = body_fun(current)
    return with_arrays(current)


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
        of the same size; the gradient keeps the states and runs `f` once more. Numbers come out as arrays.

    Raises:
        InvalidType: The `xs` differ in length, or their length is not `length`, or there is neither; `f` gives no pair.

    Source: `jax.lax.scan`.
    """
    leaves, xs_tree = jax.tree.flatten(xs)
    sizes = {np.shape(as_array(x))[0] if np.ndim(as_array(x)) else -1 for x in leaves} | ({length} - {None})
    if len(sizes) != 1 or -1 in sizes:
        raise InvalidType("scan: one common length of xs", f"{sorted(sizes, key=str)}", f"at {user_line()}")
    count = int(max(s for s in sizes if s is not None))
    if thread_state().trace is not None and count:
        with one_program():
            return _lax_scan(f, init, leaves, xs_tree, count, reverse)
    order = range(count - 1, -1, -1) if reverse else range(count)
    state, collected = init, {}
    with cluster("scan"):
        for i in order:
            x = jax.tree_util.tree_unflatten(xs_tree, [_at(leaf, i) for leaf in leaves])
            pair = f(state, x)
            if not (isinstance(pair, tuple | list) and len(pair) == 2):
                raise InvalidType("scan: f returns (state, y)", type(pair).__name__, f"at {user_line()}")
            state, collected[i] = pair
        if not collected:
            return with_arrays(state), None
        ys = [jax.tree.flatten(collected[i])[0] for i in range(count)]
        columns = [
            stack(column) if any(isinstance(y, Variable) for y in column) else jnp.stack(column)
            for column in zip(*ys, strict=True)
        ]
    return with_arrays(state), jax.tree_util.tree_unflatten(jax.tree.flatten(collected[0])[1], columns)


def _at(leaf: Any, i: int) -> Any:
    return get_item(leaf, i) if isinstance(leaf, Variable) else as_jax(leaf)[i]


def _lax_scan(f: Any, init: Any, leaves: list[Any], xs_tree: Any, count: int, reverse: bool) -> tuple[Any, Any]:
    carry_leaves, carry_tree = jax.tree.flatten(init)
    carry_leaves = [x if isinstance(x, Variable) else jnp.asarray(x) for x in carry_leaves]
    carry = [as_jax(on_tape(x)) for x in carry_leaves]
    xs = [as_jax(on_tape(x)) for x in leaves]
    first = [
        Variable(a[0], requires_grad=x.requires_grad) if isinstance(x, Variable) else a[0]
        for a, x in zip(xs, leaves, strict=True)
    ]
    body = Body(f, (init, jax.tree_util.tree_unflatten(xs_tree, first)), "scan")
    body.examine([*carry, *(a[0] for a in xs)])
    settled = _settled_state(body, carry_leaves, carry, carry_tree)
    if settled is not None:
        return _lax_scan(f, jax.tree_util.tree_unflatten(carry_tree, settled), leaves, xs_tree, count, reverse)
    loop = _Loop(body, carry, xs, count, reverse)
    last, (ys, states) = loop.run(loop.held, carry, xs)
    thread_state().trace.draws = loop.start + body.draws * count
    inputs = [*carry_leaves, *leaves, *body.captured]
    results = record("scan", inputs, [*last, *ys], body, lambda: loop.gradient(states))
    final = jax.tree_util.tree_unflatten(body.out_tree, results)
    return final[0], final[1]


def _settled_state(body: Body, leaves: list[Any], arrays: list[Any], tree: Any) -> list[Any] | None:
    """Return what to begin with in the place of the first state, so that every turn gives the kind of state that it is
    given; None if it does.

    Raises:
        Irregular: There is none.
    """
    n, parts = len(leaves), body.out_tree.children()
    if len(parts) != 2:
        raise Irregular("it returns no pair")
    got = [(s.shape, s.dtype) for s in body.shapes[:n]]
    if got != [(a.shape, a.dtype) for a in arrays] or parts[0] != tree:
        raise Irregular("the state changes its structure, shape or dtype")
    was, is_ = body.wrapped[:n], body.out_wrapped[:n]
    if any(w and not i for (w, _), i in zip(was, is_, strict=True)):
        raise Irregular("the state is no Variable any more")
    begins = [  # an array, or without a gradient, to begin with; a Variable, or with one, from the second call on
        (i and not w) or (g and not had) for (w, had), i, g in zip(was, is_, body.out_requires, strict=False)
    ]
    if not any(begins):
        return None
    return [
        Variable(a, requires_grad=g) if b else x
        for a, x, b, g in zip(arrays, leaves, begins, body.out_requires, strict=False)
    ]


class _Loop:
    """A body as the step of `lax.scan`, and its gradient, which goes back over the states that `run` keeps.

    Args:
        body: The body, examined: (state, x) -> (state, y).
        carry: The first state.
        xs: What is scanned over.
        count: How many turns.
        reverse: From the last element to the first.

    Attributes:
        held: The arrays of what the body captured.
        start: How many keys were drawn before.
    """

    def __init__(self, body: Body, carry: list[Any], xs: list[Any], count: int, reverse: bool) -> None:
        self.body, self.carry, self.xs, self.reverse = body, carry, xs, reverse
        self.held = [v._array for v in body.captured]
        self.start = thread_state().trace.draws
        steps = jnp.arange(count, dtype=np.uint32)
        self.turns = steps[::-1] if reverse else steps  # how many calls went before
        self.step = as_it_is_now(self._step, self.held, carry, self.turns[0], [a[0] for a in xs])

    @contextlib.contextmanager
    def _turn(self, held: Any, turn: Any) -> Iterator[None]:
        with in_place(self.body.captured, held), keys(self.start + self.body.draws * turn):
            yield

    def _step(self, held: Any, carry: Any, turn: Any, x: Any) -> Any:
        with self._turn(held, turn):
            outputs = self.body.arrays([*carry, *x])
        return outputs[: len(carry)], (outputs[len(carry) :], carry)

    def run(self, held: Any, carry: Any, xs: Any) -> Any:
        """Return the last state, and of every turn (y, the state before it)."""
        return jax.lax.scan(lambda c, e: self.step(held, c, *e), carry, (self.turns, xs), reverse=self.reverse)

    def gradient(self, states: list[Any]) -> Callable[..., list[Any]]:
        """Return the gradient as `record` wants it. `states`: those that `run` gave for these inputs."""
        body, n = self.body, len(self.carry)
        gys = [s if w and is_inexact(s) else None for w, s in zip(body.out_wrapped, body.shapes, strict=True)]

        def of_turn(held: Any, turn: Any, at: Any, x: Any, g_state: Any, g_y: Any) -> Any:
            with self._turn(held, turn):
                grads = body.gradients([*at, *x], [*g_state, *g_y], body.captured)
            # where the state is no Variable, or none that has a gradient, nothing goes on
            state = [g if w is not None else None for g, w in zip(grads[:n], g_state, strict=True)]
            return state, grads[n : n + len(x)], grads[n + len(x) :]

        example = self.held, self.turns[0], self.carry, [a[0] for a in self.xs], gys[:n], gys[n:]
        pull = as_it_is_now(of_turn, *example)

        def backward(*flat: Any) -> list[Any]:
            inputs = self.carry, self.xs, self.held
            rest = iter(flat)
            carry, xs, held = ([next(rest) for _ in part] for part in inputs)
            known = all(a is b for a, b in zip(flat, itertools.chain(*inputs), strict=False))
            # differentiated again, the states are a function of the inputs
            kept = states if known else self.run(held, carry, xs)[1][1]
            g_last, g_ys = ([None if g is None else next(rest) for g in part] for part in (gys[:n], gys[n:]))

            def back(sums: Any, element: Any) -> Any:
                (g_state, g_held), (turn, at, x, g_y) = sums, element
                g_state, g_x, more = pull(held, turn, at, x, g_state, g_y)
                return (g_state, [a + b for a, b in zip(g_held, more, strict=True)]), g_x

            sums, elements = (g_last, [jnp.zeros_like(h) for h in held]), (self.turns, kept, xs, g_ys)
            (g_first, g_held), g_xs = jax.lax.scan(back, sums, elements, reverse=not self.reverse)
            return [*g_first, *g_xs, *g_held]

        return backward
