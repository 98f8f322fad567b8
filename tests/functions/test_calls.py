"""Every line of calls.txt: Chainer's values and gradients, or its class of error; in static mode the same."""

import warnings

import calls
import numpy as np
import pytest
from test_functions import ACCIDENTS, golden

import jaxchain
from jaxchain import Variable

SUBJECTS = sorted({calls.subject(line) for line in calls.LINES})
part = pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def outcome(function):
    """Return ('', result) or (name of the error's class, the error)."""
    try:
        return "", function()
    except Exception as error:
        return type(error).__name__, error


def same(actual, expected, what):
    expected = np.asarray(expected)
    if expected.dtype == object:
        return
    actual = np.asarray(actual)
    assert actual.dtype == expected.dtype or expected.dtype.itemsize == 8, what
    assert actual.shape == expected.shape, what
    rtol = 1e-2 if expected.dtype == np.float16 else 1e-4
    np.testing.assert_allclose(
        actual.astype("float64"), expected.astype("float64"), rtol=rtol, atol=rtol / 10, err_msg=what
    )


def lines_of(subject, every):
    """Return lines that call a function: all that Chainer refuses, which compile nothing, and each so many-th other."""
    known, mine = golden("calls"), [line for line in calls.LINES if calls.subject(line) == subject]
    good = [line for line in mine if not known.get(f"{line}/error")][::every]
    return [line for line in mine if line in good or known.get(f"{line}/error")]


@part
@pytest.mark.parametrize("subject", SUBJECTS)
def test_calls_do_what_chainers_do_in_both_modes(subject, every):
    known = golden("calls")
    for line in lines_of(subject, every):
        arrays = []

        def leaf(x, arrays=arrays):
            arrays.append(x)
            return Variable(x)

        @jaxchain.static
        def step(values, line=line):
            queue = iter(values)
            outputs, gradients = calls.run(line, jaxchain, lambda _: Variable(next(queue)))
            return outputs, [None if g is None else g.array for g in gradients or []]

        kind, result = outcome(lambda line=line, leaf=leaf: calls.run(line, jaxchain, leaf))
        static_kind, got = outcome(lambda step=step, arrays=arrays: step(arrays))
        assert kind == static_kind, f"{line}: {result!r}, {got!r}"
        theirs = known.get(f"{line}/error")
        if theirs or kind:
            assert theirs and kind, f"{line}: {result!r}, Chainer: {theirs}"
            assert theirs in ACCIDENTS or theirs in [c.__name__ for c in type(result).__mro__], line
            continue
        for k, (y, z) in enumerate(zip(result[0], got[0], strict=True)):
            same(y, known.get(f"{line}/y{k}"), line)
            same(z, y, line)
        assert known.get(f"{line}/y{len(result[0])}") is None, line
        for i, (g, h) in enumerate(zip(result[1] or [], got[1], strict=True)):
            expected = known.get(f"{line}/g{i}")
            assert (g is None) == (h is None), line
            if g is not None:
                same(h, g.array, line)
            if g is not None and expected is not None:
                same(g.array, expected, line)
            elif expected is not None:
                assert not expected.any(), line
