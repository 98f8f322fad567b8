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
    ours = [(p.kind.name, p.name) for p in list(inspect.signature(getattr(L, name).__init__).parameters.values())[1:]]
    positional = [(k, n) for k, n in SIGNATURES[name] if k == "POSITIONAL_OR_KEYWORD"]
    assert ours[: len(positional)] == [tuple(p) for p in positional]
