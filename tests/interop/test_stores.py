"""Programs that write into arrays: what `jaxchain run` makes of an assignment to an element."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
from jaxchain import cuda
from jaxchain.interop.rewriting import HELPERS, compile_program


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
    ("o.grad = xp.ones(2, 'f')\ng = o.grad\ng += 2\ng *= 2\na = o.grad", "a", [6, 6]),
    ("o.data, o.grad = xp.ones(2, 'f'), xp.ones(2)\np, g = o.data, o.grad\ng += p\ng[0] = 5\na = o.grad", "a", [5, 2]),
    ("o.h = {'m': xp.ones(2, 'f')}\nm = o.h['m']\nm[...] -= 3\nm /= 2\na = o.h['m']", "a", [-1, -1]),
    ("o.h = [xp.ones(2, 'f')]\nfor i in range(1):\n  m = o.h[i]\n  m += 1\na = o.h[0]", "a", [2, 2]),
    ("o.h = xp.ones(2, 'f')\na = o.h\no.h = xp.zeros(2)\na += 1\na = a + o.h", "a", [2, 2]),  # the origin has another
    ("o.h = a = 1\nb = o.h\nb += 1\na = [o.h, b]", "a", [1, 2]),  # a number is no array
    ("o.data = xp.ones(2, 'i')\ng = o.data\ng *= 2\na = [o.data.dtype == 'i', g is o.data]", "a", [1, 1]),
    ("a = xp.zeros(4, 'f')\na[0] = 1\na = a[xp.array([0, 1])]\na[1] = 2", "a", [1, 2]),  # of an array: a copy
    (
        "a = xp.zeros((2, 2), 'f')\nfor i in range(2):\n  b = a.copy()\n  b[i] = 1\n  a = b\n  b = b[0]",
        "a",
        [[1, 1], [1, 1]],
    ),
    ("a = xp.zeros((2, 2), 'f')\na = a.reshape(-1)\na[0] = 1\na = xp.reshape(a, (2, 2))[:, 0]\na[1] = 2", "a", [1, 2]),
    ("def f(): return xp.zeros(2, 'f')\na = f()\na[0] = 1", "a", [1, 0]),
    ("def f(): return xp.zeros(2, 'f'), 1\na, b = f()\na[0] = b", "a", [1, 0]),
    ("a = xp.zeros(3, 'f')\nnp.add.at(a, [1, 1], xp.ones(2))\nxp.add.at(a, [2], 5)", "a", [0, 2, 5]),
    ("a = xp.zeros((2, 2), 'f')\nscatter_add = np.add.at\nscatter_add(a.ravel(), [1, 1], 1)", "a", [[0, 2], [0, 0]]),
    ("o.h = xp.zeros((2, 2), 'f')\nnp.add.at(o.h[1], [0, 0], 1)\na = o.h", "a", [[0, 0], [2, 0]]),
    ("a = np.zeros((2, 2), 'f')\nnp.add.at(a.T[1], [0, 0], 1)", "a", [[0, 2], [0, 0]]),
    ("a = xp.zeros((2, 2), 'f')\nnp.fill_diagonal(a, 3)\nxp.put(a, [1], [7])", "a", [[3, 7], [0, 3]]),
    ("o.grad = xp.ones(2, 'f')\nnp.subtract.at(o.grad, [0], 3)\na = o.grad", "a", [-2, 1]),
    ("a = xp.ones(2, 'f')\nnp.copyto(a, xp.zeros(2))", "a", [0, 0]),
    ("a = xp.ones(2, 'f')\nnp.putmask(a, mask=a > 0, values=4)", "a", [4, 4]),
    ("a = np.zeros(2)\nb = a\nnp.add.at(b, [0, 0], 1)", "a", [2, 0]),
    ("a = xp.zeros((2, 2), 'f')\na[0][1] = 3\na[1][a[0] > 0] += 2\na[[0, 1]][0] = 9", "a", [[0, 3], [0, 2]]),
    ("o.h = [xp.zeros(2, 'f')]\no.h[0][xp.array([True, False])] = 5\na = o.h[0]", "a", [5, 0]),
    (
        "a = {'k': [xp.zeros((2, 2), 'f')]}\nfor i in 0, 1: a['k'][0][i][i] += i + 1\na = a['k'][0]",
        "a",
        [[1, 0], [0, 2]],
    ),
    ("def f(l):\n  l[0][1] = 4\n  l[1].fill(2)\n  return l\na = f([xp.zeros(2), xp.zeros(2)])", "a", [[0, 4], [2, 2]]),
    ("a = [[0] * 2 for _ in range(2)]\na[1][0] = 1\na[0][1] -= 1", "a", [[0, -1], [1, 0]]),
    ("a = []\nclass Queue:\n  def put(self, x): a.append(x)\nb = xp.ones(1)\nQueue().put(b)\na = [len(a)]", "a", [1]),
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
        "o.h = c = xp.zeros(2)\nb = o.h\nb[0] = 1",
        "a = xp.zeros(2)\nb = a\nnp.add.at(a, [0], 1)",
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
        "(xp.zeros(2), 1)[0][0] = 1",
        "def f(b): b[0][0] = 1\nf(xp.zeros((2, 2)))",
        "a = xp.zeros((2, 2))\nb = xp.zeros(2)\nb[0] = 1\nb = a[0]\nb[0] = 1",
        "a = xp.zeros((2, 2))\nb, c = a.ravel(), 1\nb[0] = 1",
        "a = xp.zeros((2, 2))\nb, c = xp.split(a, 2)\nb[0] = 1",
        "a = xp.zeros((2, 2))\nb = a\nb = b[0]\nb[0] = 1",
        "o.h = xp.zeros((2, 2))\ndef f(): return o.h[0]\nb = f()\nb[0] = 1",
        "o.h = xp.zeros((2, 2))\nb = o.h.T\nnp.add.at(b, [0], 1)",
    ],
)
def test_views_are_not_written_into(source):
    with pytest.raises(TypeError, match="immutable"):
        run(source, o=Holder())


def test_a_global_that_a_function_only_writes_into_stays_global():
    names = run("a = np.zeros(2)\ndef f(): a[0] = 1\nf()")
    assert names["a"].tolist() == [1, 0]


STATISTICS = """
class Conditional(chainer.Chain):
    def __init__(self):
        super().__init__()
        self.mean, self.var = np.zeros(2, "f"), np.ones(2, "f")
        self.register_persistent("mean")
        self.register_persistent("var")

    def forward(self, x, gamma):
        one, zero = xp.ones(2, "f"), xp.zeros(2, "f")
        return gamma * F.batch_normalization(x, one, zero, running_mean=self.mean, running_var=self.var, decay=0.5)

link, x = Conditional(), np.float32([[1, 2], [3, 6]])
for _ in range(3):
    y = link(x, 2)
answer = [np.round(a, 4).tolist() for a in (y.array, link.mean, link.var)]
def unnamed(running_mean): return running_mean is link.mean
answer.append(unnamed(running_mean=link.mean))
"""


def test_running_statistics_that_are_attributes_are_updated(mode):
    with jaxchain.using_config("mode", mode):
        answer = run(STATISTICS, chainer=jaxchain, F=F)["answer"]
    assert answer == [[[-2, -2], [2, 2]], [1.75, 3.5], [1.875, 7.125], True]  # Chainer's


def test_what_was_written_into_is_bound_to_no_device():
    """Else all that it goes into would be, and be compiled for each shape."""
    assert not run("a = xp.zeros(3, 'f')\na[:] += 2")["a"].committed


def test_under_a_trace():
    f = run("def f(x):\n  a = xp.zeros(3, 'f')\n  a[1] = x\n  a[2] += 2 * x\n  return a")["f"]
    assert jax.jit(f)(2.0).tolist() == [0, 2, 4]


def test_under_a_trace_an_origin_gets_the_tracer():
    f = run("def f(x):\n  o.data = x\n  d = o.data\n  d *= 2\n  d[0] = 1\n  return o.data", o=Holder())["f"]
    assert jax.jit(f)(np.float32([3, 3])).tolist() == [1, 6]


ANSWERS = [
    ("xp is np", True),
    ("xp == numpy", True),
    ("np is not xp", False),
    ("xp != np", False),
    ("np is np", True),
    ("cuda is np", False),
    ("cuda != np", True),
    ("1 == 1.0 and None is None", True),
    ("isinstance(xp.ones(1), np.ndarray)", True),
    ("isinstance(np.ones(1), (int, xp.ndarray))", True),
    ("isinstance(np.float32(1), np.ndarray)", False),
    ("isinstance(xp.ones(1), cuda.ndarray)", False),
    ("isinstance(xp.ones(1), (int, np.generic))", False),
]


@pytest.mark.parametrize(("source", "expected"), ANSWERS, ids=[s for s, _ in ANSWERS])
def test_the_array_module_is_numpy_to_a_program(source, expected):
    assert run(f"import numpy\nimport numpy as np\nanswer = {source}", cuda=cuda)["answer"] is expected


def test_a_name_for_numpy_that_came_with_another_file():
    """`from common import *` gives it. Whatever else has the name `np` is asked as ever."""
    answer = run("answer = xp is np, np is not xp, np is None", np=np)["answer"]
    assert answer == (True, False, False)
    answer = run("np = 1000\nanswer = np == 10 * 100, np != 1, np is None, np is not None")["answer"]
    assert answer == (True, True, False, True)
