"""Forward and backward of every function in one program, with neighbours that XLA would fuse: the same bits."""

import warnings

import numpy as np
import pytest
from test_functions import ROWS, rows

import jaxchain
import jaxchain.functions as F
from jaxchain import Variable
from jaxchain.core import background, forms


def step(case):
    """Return the outputs, the loss and the gradients of the leaves, as far as they are; None without a gradient."""
    jaxchain.seed(0)
    leaves = []

    def leaf_and_neighbour(array):
        leaves.append(Variable(array))
        return leaves[-1] * 1.0

    args, kwargs, inputs = rows.materialise(f"{case.name}/0", case.samples[0], "float32", leaf_and_neighbour)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ys = rows.evaluate(case, F, args, kwargs)
    outputs = [y for y in ys if isinstance(y, Variable) and y.creator is not None and y.dtype.kind == "f"]
    if not outputs or not inputs:
        return None
    loss = sum(F.sum(F.sin(y) * y) for y in outputs)
    loss.backward()
    found = [*(y.array for y in outputs), loss.array, *(leaf.grad for leaf in leaves)]
    return [None if a is None else np.asarray(a) for a in found]


@pytest.mark.cpu
@pytest.mark.slow
@pytest.mark.parametrize("case", ROWS)
def test_the_program_has_the_bits_of_the_ops(case, monkeypatch):
    monkeypatch.setattr(forms, "AFTER", 1)
    monkeypatch.setattr(forms, "_forms", {})
    background.settle()  # one is compiled at a time: nothing of the test before this
    one_by_one = step(case)
    if one_by_one is None:
        pytest.skip("no gradient")
    background.settle()
    compiled = step(case)
    for known, found in zip(one_by_one, compiled, strict=True):
        np.testing.assert_array_equal(found, known)
    assert not forms._forms or any(form.program is not None for form in forms._forms.values())  # copy is no op
