"""The examples in the docstrings of the data rooms are run."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

from jaxchain import dataset, datasets, iterators
from jaxchain.dataset import tabular

ROOMS = (dataset, tabular, datasets, iterators)
MODULES = [f"{room.__name__}.{module.name}" for room in ROOMS for module in pkgutil.iter_modules(room.__path__)]
NAMES = {"np": np, **vars(iterators)}


def cases():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in MODULES:
        for test in finder.find(importlib.import_module(name), extraglobs=NAMES):
            if test.examples:
                yield pytest.param(test, id=test.name)


def test_there_are_examples():
    assert len(list(cases())) >= 8


@pytest.mark.parametrize("case", list(cases()))
def test_docstring(case):
    out: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(case, out=out.append)
    assert runner.failures == 0, "".join(out)
