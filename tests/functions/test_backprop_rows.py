"""The compiled backward pass of every function, between neighbours that XLA would fuse it with: the same bits."""

import warnings

import numpy as np
import pytest
from test_functions import ROWS, rows

import jaxchain.functions as F
from jaxchain import Variable
from jaxchain.core import backprop


@pytest.mark.slow
@pytest.mark.parametrize("case", ROWS)
def test_the_compiled_gradient_has_the_bits_of_the_op(case, monkeypatch):
    monkeypatch.setattr(backprop, "AFTER", 1)
    monkeypatch.setattr(backprop, "_forms", {})
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
        pytest.skip("no gradient")
    loss = sum(F.sum(F.sin(y) * y) for y in outputs)

    def gradients():
        for leaf in leaves:
            leaf.cleargrad()
        loss.backward()
        return [None if leaf.grad is None else np.asarray(leaf.grad) for leaf in leaves]

    one_by_one = gradients()
    backprop.settle()
    (form,) = backprop._forms.values() or [None]
    compiled = gradients()
    for known, found in zip(one_by_one, compiled, strict=True):
        np.testing.assert_array_equal(found, known)
    assert form is None or form.program is not None
