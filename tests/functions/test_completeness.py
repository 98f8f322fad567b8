"""F has every function of Chainer's F, with its arguments. golden/signatures.json was recorded from Chainer 7.8.1."""

import importlib.util
import inspect
import json
from pathlib import Path

import pytest

import jaxchain.functions as F

SIGNATURES = json.loads((Path(__file__).parent / "golden" / "signatures.json").read_text())


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_the_function_is_there(name):
    function = getattr(F, name, None)
    assert inspect.isfunction(function), f"F.{name} is {function!r}"
    assert function.__name__ == name


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_arguments_are_chainers(name):
    """Same names, order and defaults. Where Chainer has ``**kwargs`` ours are spelled out, by keyword."""
    ours = list(inspect.signature(getattr(F, name)).parameters.values())
    theirs = [(kind, parameter, default) for kind, parameter, default in SIGNATURES[name] if kind != "VAR_KEYWORD"]
    for p, (kind, parameter, default) in zip(ours, theirs, strict=False):
        assert (p.name, p.kind.name) == (parameter, kind)
        known = None if p.default is p.empty else repr(p.default)
        same = known == default or (None not in (known, default) and float(known) == float(default))
        assert same, f"{name}({parameter}={known}): Chainer has {default}"
    assert len(ours) >= len(theirs)
    extra = ours[len(theirs) :]
    assert not extra or len(theirs) < len(SIGNATURES[name])
    assert all(p.kind is p.KEYWORD_ONLY for p in extra)


def test_every_function_is_measured():
    path = Path(__file__).parents[2] / "benchmarks" / "function_cases.py"
    spec = importlib.util.spec_from_file_location("function_cases", path)
    cases = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cases)
    assert set(SIGNATURES) - set(cases.CASES) == set()
