"""The examples in docstrings are run, in the namespace that they are written for."""

import doctest
import importlib
import pkgutil
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L

ROOMS = (
    "jaxchain.core",
    "jaxchain.functions",
    "jaxchain.initializers",
    "jaxchain.link",
    "jaxchain.links",
    "jaxchain.optimizers",
)
FILES = ("jaxchain.exporting", "jaxchain.reporter", "jaxchain.verification")
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def modules():
    for room in ROOMS:
        package = importlib.import_module(room)
        yield from (f"{room}.{m.name}" for m in pkgutil.iter_modules(package.__path__))
    yield from FILES


def cases():
    finder = doctest.DocTestFinder(recurse=True, exclude_empty=True)
    names = {"F": F, "L": L, "np": np, "jnp": jnp, "jax": jax, "jaxchain": jaxchain}
    for name in modules():
        module = importlib.import_module(name)
        tests = {t.name: t for t in finder.find(module, extraglobs=names)}
        for attribute, value in vars(module).items():  # ops are callables that the finder takes for data
            if getattr(value, "__module__", None) == name and f"{name}.{attribute}" not in tests and callable(value):
                for test in finder.find(value, f"{name}.{attribute}", module, extraglobs=names):
                    tests[test.name] = test
        yield from (pytest.param(t, id=t.name) for t in tests.values() if t.examples)


CASES = list(cases())


def test_there_are_examples():
    assert len(CASES) > 50


@pytest.mark.parametrize("case", CASES)
def test_docstring(case):
    out: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # some of Chainer's functions warn of themselves
        runner.run(case, out=out.append)
    assert runner.failures == 0, "".join(out)
