"""Every link of Chainer is there, with its arguments. conformance/make_golden_link_tables.py records the list."""

import inspect
import json
from pathlib import Path

import pytest

import jaxchain.links as L

SIGNATURES = json.loads(
    (Path(__file__).resolve().parent.parent / "conformance/golden/link_signatures.json").read_text()
)
# a link on Theano's graphs; what it was for, layers of another framework, is FlaxFunction
NEVER = ("TheanoFunction",)


@pytest.mark.parametrize("name", sorted(set(SIGNATURES) - set(NEVER)))
def test_the_link_is_there_with_its_arguments(name):
    for method, arguments in SIGNATURES[name].items():
        parameters = list(inspect.signature(getattr(getattr(L, name), method)).parameters.values())[1:]
        theirs = [tuple(argument) for argument in arguments]
        positional = [a for a in theirs if a[0] == "POSITIONAL_OR_KEYWORD"]
        assert [(p.kind.name, p.name) for p in parameters][: len(positional)] == positional, method
        if ("VAR_POSITIONAL", "args") in theirs:
            assert any(p.kind is p.VAR_POSITIONAL for p in parameters), method
        for p in parameters[len(positional) :]:  # what we add must not be asked for
            assert p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or p.default is not p.empty, (method, p.name)
