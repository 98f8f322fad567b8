"""The examples in the docstrings of these rooms are true, and every public class says what its arguments are."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L

ROOMS = ["initializers", "links", "link_hooks", "serializers", "dataset", "datasets", "iterators"]


def _modules(room):
    package = importlib.import_module(f"jaxchain.{room}")
    return [importlib.import_module(m.name) for m in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")]


OWN = ("dataset", "datasets", "iterators")  # tests/datasets runs their examples


@pytest.mark.parametrize(
    "module", [m for room in ROOMS if room not in OWN for m in _modules(room)], ids=lambda m: m.__name__
)
def test_examples(module):
    names = {"np": np, "jnp": jnp, "L": L, "F": F, "jaxchain": jaxchain}
    result = doctest.testmod(module, extraglobs=names, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.REPORT_NDIFF)
    assert result.failed == 0


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_documented(room):
    package = importlib.import_module(f"jaxchain.{room}")
    assert sorted(package.__all__) == sorted(n for n in vars(package) if n in package.__all__)
    for name in package.__all__:
        thing = getattr(package, name)
        text = inspect.getdoc(thing)
        assert text, name
        if inspect.isclass(thing) and len(inspect.signature(thing.__init__).parameters) > 3:
            assert "Args:" in text, name


@pytest.mark.parametrize("name", L.__all__)
def test_links_say_what_they_hold(name):
    text = inspect.getdoc(getattr(L, name))
    assert "Attributes:" in text
    assert inspect.getdoc(getattr(L, name).forward)
