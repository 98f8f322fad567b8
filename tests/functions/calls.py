"""How a line of calls.txt is run. Plain NumPy, like rows.py: the recorder reads it in Chainer's own Python."""

import importlib
import re
from pathlib import Path

import numpy as np

LINES = [
    line for line in (Path(__file__).parent / "calls.txt").read_text().splitlines() if line and not line.startswith("#")
]


def subject(line):
    """Return the function that a line calls, or 'Variable'."""
    found = re.match(r"F\.(\w+)", line)
    return found.group(1) if found else "Variable"


def array(*shape, d="f", lo=-1.0, hi=1.0):
    """Return the fractional parts of multiples of the golden ratio, between lo and hi: no two are equal."""
    spread = (np.arange(int(np.prod(shape))) * 0.6180339887 + 0.37) % 1
    return (lo + (hi - lo) * spread).reshape(shape).astype(d)


def integers(*values, d="i"):
    return np.array(values[0] if len(values) == 1 else values, d)


def booleans(values):
    return np.array(values, bool)


def run(line, library, leaf):
    """Run a line.

    Args:
        line: The line.
        library: chainer or jaxchain.
        leaf: Array -> the Variable to use for it.

    Returns:
        The outputs, in one list, and the gradients of the leaves; None if there are none.
    """
    leaves = []

    def variable(x):
        leaves.append(leaf(x))
        return leaves[-1]

    names = {
        "F": library.functions,
        "utils": importlib.import_module(f"{library.__name__}.utils"),
        "np": np,
        "V": library.Variable,
        "a": array,
        "I": integers,
        "B": booleans,
        "v": lambda *shape, **kw: variable(array(*shape, **kw)),
        "p": lambda *shape, **kw: variable(array(*shape, lo=0.2, hi=2.0, **kw)),
        "L": lambda values, d="f": variable(np.array(values, d)),
    }
    outputs = flat(eval(line, names))
    tops = [y for y in outputs if isinstance(y, library.Variable) and y.dtype.kind == "f" and y.creator_node]
    arrays = [y.array if isinstance(y, library.Variable) else y for y in outputs]
    if not tops or not leaves:
        return arrays, None
    seeds = [library.Variable((np.arange(y.size) % 3 + 1.0).reshape(y.shape).astype(y.dtype)) for y in tops]
    try:
        return arrays, library.grad(tops, leaves, seeds)
    except Exception:
        if library.__name__ == "chainer":  # its gradients of what is empty, for one
            return arrays, None
        raise


def flat(value):
    return [leaf for v in value for leaf in flat(v)] if isinstance(value, list | tuple) else [value]
