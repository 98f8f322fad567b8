"""Programs that write into arrays: what `jaxchain run` makes of an assignment to an element."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxchain import cuda
from jaxchain.interop.stores import HELPERS, compile_program


def run(source, **names):
    exec(compile_program(source, "program.py"), names := {**HELPERS, "xp": jnp, "np": np, **names})
    return names


class Holder:
    """Anything with attributes."""


PLACES = [
    ("a = xp.zeros((2, 2), 'f')\na[0] = 1", "a", [[1, 1], [0, 0]]),
    ("a = xp.zeros(3, 'f')\na[1:] += 2\na[[0, 2]] *= 3\na[a > 5] -= 1", "a", [0, 2, 5]),
    ("a = xp.zeros(2, 'f')\na.fill(4)", "a", [4, 4]),
    ("def f():\n  a = xp.zeros(2, 'f')\n  for i in range(2): a[i] = i\n  return a\na = f()", "a", [0, 1]),
    ("def f(a):\n  a = a + 1\n  a[0] = 5\n  return a\na = f(xp.zeros(2))", "a", [5, 1]),
    ("o.h = xp.zeros(2, 'f')\no.h[1] = 7\na = o.h", "a", [0, 7]),
    ("o.array = b = xp.zeros(2, 'f')\no.array[0] = 1\na = o.array", "a", [1, 0]),
    ("a = xp.zeros(2, 'f')\na[0] = 1\na = cuda.to_cpu(a)\na[1] = 2", "a", [1, 2]),
    ("a = xp.zeros(2, 'f')\na[0] = 1\nif len(a) == 1: a = cuda.to_gpu(a, device=0)", "a", [1, 0]),
    ("a = np.zeros(2)\nb = a\nb[0] = 3\nb[1:] += 1", "a", [3, 1]),
    ("a = [0]\ndef f(n):\n  if n: a[0] += f(n - 1)\n  return 1\nf(3)", "a", [1]),  # the left side is read first
    ("a = {}\na['n'] = 1\na['n'] += 1\na = [a['n']]", "a", [2]),
    ("a = []\nclass Bucket:\n  def fill(self, x): a.append(x)\nb = Bucket()\nb.fill(3)", "a", [3]),
]


@pytest.mark.parametrize(("source", "name", "expected"), PLACES, ids=[s for s, _, _ in PLACES])
def test_places(source, name, expected):
    assert np.asarray(run(source, o=Holder(), cuda=cuda)[name]).tolist() == expected


@pytest.mark.parametrize(
    "source",
    [
        "a = xp.zeros(2)\nb = a\na[0] = 1",
        "a = xp.zeros(2)\ndef f(b): b.h[0] = 1\no.h = a\nf(o)",
        "o.h = b = xp.zeros(2)\no.h[0] = 1",
        "o.h = b = xp.zeros(2)\no.h.fill(1)",
    ],
)
def test_an_array_with_other_names_is_not_changed_behind_them(source):
    with pytest.raises(TypeError, match="has other names"):
        run(source, o=Holder())


@pytest.mark.parametrize(
    "source",
    [
        "a = xp.zeros((2, 2))\nb = a[0]\nb[0] = 1",
        "a = xp.zeros((2, 2))\nfor b in a: b[0] = 1",
        "[xp.zeros(2)][0][0] = 1",
    ],
)
def test_views_are_not_written_into(source):
    with pytest.raises(TypeError, match="immutable"):
        run(source)


def test_a_global_that_a_function_only_writes_into_stays_global():
    names = run("a = np.zeros(2)\ndef f(): a[0] = 1\nf()")
    assert names["a"].tolist() == [1, 0]


def test_under_a_trace():
    f = run("def f(x):\n  a = xp.zeros(3, 'f')\n  a[1] = x\n  a[2] += 2 * x\n  return a")["f"]
    assert jax.jit(f)(2.0).tolist() == [0, 2, 4]
