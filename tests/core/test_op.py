"""`@op`: what a declaration may look like, and what is said of calls that do not fit."""

import pickle
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Float

import jaxchain.functions as F
from jaxchain import Variable
from jaxchain.core.op import Array, op


def v(*values):
    return Variable(np.array(values, np.float32))


@op
def by_name(x: Float[Array, "..."], *, scale: float = 2.0, shift: int) -> Float[Array, "..."]:
    """Keyword-only parameters."""
    return x * scale + shift


@op
def by_place(
    x: Float[Array, "..."], y: Float[Array, "..."] | None = None, /, *, a: float | None = None
) -> Float[Array, "..."]:
    """Positional-only parameters."""
    total = x if y is None else x + y
    return total if a is None else total * a


@op
def clashing(_apply: Float[Array, "..."], scalar: float = 2.0, apply: int = 3) -> Float[Array, "..."]:
    """Names that only look free."""
    return _apply * scalar + apply


@op
def none_by_default(x: Float[Array, "..."], a: float = None) -> Float[Array, "..."]:  # noqa: RUF013
    """A default that its annotation does not name."""
    return x if a is None else x * a


@op
def tree(xs: tuple[Float[Array, "..."], ...], *, power: int = 2) -> tuple[Float[Array, "..."], ...]:
    """A tuple of arrays and a keyword-only parameter."""
    return tuple(x**power for x in xs)


@op
def ruled(x: Float[Array, "..."], *, scale: float = 2.0) -> Float[Array, "..."]:
    """With a gradient of its own."""
    return x * scale


@ruled.vjp
def _(gy, y, x, *, scale):
    return 10 * gy * scale


@pytest.mark.parametrize(
    ("call", "value", "gradient"),
    [
        (lambda x: by_name(x, shift=3), [5, 7], [2, 2]),
        (lambda x: by_name(x, shift=3, scale=1.5), [4.5, 6], [1.5, 1.5]),
        (lambda x: by_place(x), [1, 2], [1, 1]),
        (lambda x: by_place(x, x), [2, 4], [2, 2]),
        (lambda x: by_place(x, a=3), [3, 6], [3, 3]),
        (lambda x: by_place(x, x, a=3.0), [6, 12], [6, 6]),
        (lambda x: clashing(x), [5, 7], [2, 2]),
        (lambda x: clashing(x, 1, apply=4), [5, 6], [1, 1]),
        (lambda x: none_by_default(none_by_default(x, 3)), [3, 6], [3, 3]),
        (lambda x: tree((x, x), power=3)[0], [1, 8], [3, 12]),
        (lambda x: ruled(x, scale=3), [3, 6], [30, 30]),
    ],
)
def test_parameters_of_every_kind(call, value, gradient):
    x = v(1, 2)
    y = call(x)
    np.testing.assert_array_equal(y.array, np.array(value, np.float32))
    F.sum(y).backward()
    np.testing.assert_array_equal(x.grad, np.array(gradient, np.float32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: by_name(v(1)), r"by_name\(\) missing 1 required keyword-only argument: 'shift'"),
        (lambda: by_name(v(1), 2), r"by_name\(\) takes 1 positional argument but 2 were given"),
        (lambda: by_place(x=v(1)), r"by_place\(\) got some positional-only arguments passed as keyword arguments: 'x'"),
        (lambda: by_place(v(1), b=1), r"by_place\(\) got an unexpected keyword argument 'b'"),
        (lambda: F.relu("abc"), r"relu: expected Variables, arrays and numbers, got str.*\nat .*test_op.py"),
        (
            lambda: F.relu(v(1)) + F.exp("abc"),
            r"exp: expected Variables, .*, got str.*\nat .*test_op.py",
        ),
        (
            lambda: clashing(v(1), apply={1}),
            r"clashing: apply: expected a value that has a hash, got set\nat .*test_op",
        ),
        (lambda: tree((v(1),), power={}), r"tree: power: expected a value that has a hash.* dict\nat .*test_op.py"),
    ],
)
def test_calls_that_do_not_fit_name_the_function(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize("function", [lambda *xs: xs, lambda x, **more: x])
def test_parameters_without_names_are_refused(function):
    with pytest.raises(TypeError, match=r"expected parameters that have names, got \*+(xs|more)[^@]*\nat .*test_op.py"):
        op(function)


def test_functions_are_pickled_by_name():
    assert pickle.loads(pickle.dumps(F.linear)) is F.linear
    assert pickle.loads(pickle.dumps(by_name)) is by_name


def test_threads_that_ask_for_a_node_get_the_same():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    x = Variable(jnp.ones((600, 600)))
    try:
        for _ in range(300):
            y = F.relu(x)  # large: run at once, and its node is made on demand
            nodes = []
            start = threading.Barrier(4)

            def ask(y=y, nodes=nodes, start=start):
                start.wait()
                nodes.append(y.node)

            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert all(node is y.node for node in nodes)
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize(
    ("call", "shape"),
    [
        (lambda x: F.expand_dims(x, np.array(0)), (1, 2, 3)),
        (lambda x: F.softmax(x, axis=np.array(1)), (2, 3)),
        (lambda x: F.transpose(x, [1, 0]), (3, 2)),
        (lambda x: F.pad(x, [[1, 1], [0, 0]], "constant"), (4, 3)),
    ],
)
def test_lists_and_numpy_arrays_are_taken_for_tuples_and_numbers(call, shape):
    assert call(np.ones((2, 3), np.float32)).shape == shape


@op
def shifted(x: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, "..."]:
    return x + b


def test_jaxs_strict_settings_are_for_functions_of_the_users():
    x, b = Variable(np.ones((3, 5), np.float32)), Variable(np.ones(5, np.float32))
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        y = F.sum(F.linear(x, np.ones((5, 5), np.float32), b) + b)
        y.backward()
        with pytest.raises(ValueError, match="jax_numpy_rank_promotion"):
            shifted(x, b)
    np.testing.assert_array_equal(b.grad, [6] * 5)


def test_the_order_of_calls_does_not_matter():
    """Equal numbers are one key: the first of them does not decide for those that come after it."""
    for axis in (1.0, True, np.float32(1), 1):
        F.softmax.op.plans.clear()
        for later in (1, 1.0):
            assert F.softmax(np.ones((2, 4), np.float32), axis).array[0, 0] == 0.25
            assert F.softmax(np.ones((2, 4), np.float32), later).creator.static_args == {"axis": 1}
    with pytest.raises(TypeError, match=r"at .*test_op"):
        F.softmax(np.ones((2, 4), np.float32), 1.5)
