"""What JAX differentiates gives our gradients, at ties and ends, too: rules go along.

That are JAX's own transformations over our functions, and second gradients through compiled links.
"""

import os
import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_functions import ROWS, rows, run

import jaxchain
import jaxchain.functions as F
from jaxchain import Chain, Variable
from jaxchain.core.op_node import OpNode

EVERY_CALL = bool(os.environ.get("JAXCHAIN_EVERY_CALL"))


def calls(case):
    found = [(key, sample) for key, sample, dtype in case.calls() if dtype == "float32"]
    if EVERY_CALL:
        return found
    edges = [c for c in found if c[0].rsplit("/")[-1] in ("edge0", "ties")]
    return [found[0], *edges[:1]]


@pytest.mark.slow
@pytest.mark.parametrize("case", ROWS)
def test_jax_differentiates_to_our_gradients(case):
    for key, sample in calls(case):
        with np.errstate(all="ignore"):
            jaxchain.seed(0)
            ys, inputs, gxs = run(case, key, sample, "float32")
        at = [i for i, y in enumerate(ys) if np.issubdtype(y.dtype, np.floating) and y.creator_node is not None]
        if not at or not inputs or all(g is None for g in gxs):
            continue

        def outputs(*arrays, key=key, sample=sample, at=at):
            jaxchain.seed(0)
            queue = iter(arrays)
            args, kwargs, _ = rows.materialise(key, sample, "float32", lambda _: Variable(next(queue)))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                found = rows.evaluate(case, F, args, kwargs)
            return tuple(found[i].array for i in at)

        gys = tuple(jnp.asarray(rows.cotangent(key, i, ys[i].shape, ys[i].dtype)) for i in at)
        try:  # compiled: one program
            found = jax.jit(lambda gys, *xs, of=outputs: jax.vjp(of, *xs)[1](gys))(gys, *(x.array for x in inputs))
        except jax.errors.ConcretizationTypeError:
            pytest.skip("looks at values")
        for i, (expected, got) in enumerate(zip(gxs, found, strict=True)):
            if expected is None:
                assert not np.asarray(got).any(), f"{key}: gradient {i}"
                continue
            expected = np.asarray(expected.array, np.float64)
            scale = np.abs(expected[np.isfinite(expected)]).max(initial=0)
            np.testing.assert_allclose(
                np.asarray(got, np.float64), expected, rtol=2e-5, atol=2e-6 * min(scale, 1e4), err_msg=f"{key}: {i}"
            )


class Call(Chain):
    """A link that calls a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *xs):
        return self.function(*xs)


def has_a_rule(ys):
    """Return whether JAX would know a derivative of its own of something that led to outputs."""
    nodes, seen = [y.creator_node for y in ys], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        if not isinstance(node, OpNode) or node.plan.op.rule is not None:
            return True
        seen.add(node)
        nodes += [v.creator_node for v in node.inputs]
    return False


def twice(model, arrays):
    """Return the gradients of a sum over what a model gives, and those of a sum over them."""
    jaxchain.seed(0)
    xs, weights = [Variable(a) for a in arrays], np.random.RandomState(0)
    ys = [y for y in model(*xs) if np.issubdtype(y.dtype, np.floating)]
    if not ys:
        return None
    loss = sum(F.sum(y * (y * 0.3 + np.float32(weights.randn(*y.shape)))) for y in ys)
    gxs = jaxchain.grad([loss], xs, enable_double_backprop=True)
    found = [g for g in gxs if g is not None]
    if not found:
        return None
    return [*gxs, *jaxchain.grad([sum(F.sum(g * (0.2 * g + 1)) for g in found)], xs)]


@pytest.mark.slow
@pytest.mark.parametrize("case", ROWS)
def test_second_gradients_through_a_compiled_link_are_ours(case):
    for key, sample in calls(case) if EVERY_CALL else calls(case)[-1:]:
        arrays = []
        rows.materialise(key, sample, "float32", lambda a, to=arrays: to.append(np.asarray(a)) or Variable(a))

        def function(*xs, key=key, sample=sample):
            queue = iter(xs)
            args, kwargs, _ = rows.materialise(key, sample, "float32", lambda _: next(queue))
            return tuple(y for y in rows.evaluate(case, F, args, kwargs) if isinstance(y, Variable))

        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not arrays or not has_a_rule(function(*map(Variable, arrays))):
                continue
            try:
                expected = twice(Call(function), arrays)
            except RuntimeError as error:
                with pytest.raises(RuntimeError, match=re.escape(str(error))):
                    twice(Call(function).static(), arrays)
                continue
            got = twice(Call(function).static(), arrays)
        for i, (a, b) in enumerate(zip(expected or (), got or (), strict=True)):
            a, b = (np.zeros(()) if v is None else np.asarray(v.array, np.float64) for v in (a, b))
            scale = np.abs(a[np.isfinite(a)]).max(initial=1e-3)
            np.testing.assert_allclose(b, np.broadcast_to(a, b.shape), 1e-3, 1e-4 * scale, err_msg=f"{key}: {i}")
