"""Ten steps of each optimizer against real Chainer, to 1e-6."""

from __future__ import annotations

import pathlib

import numpy as np
import optimizer_cases
import pytest

import jaxchain

CONFORMANCE = pathlib.Path(__file__).parent.parent / "conformance"


GOLDEN = np.load(CONFORMANCE / "golden" / "optimizers.npz")


def _available(case):
    optimizers, hooks = optimizer_cases.names_of(case)
    return set(optimizers) <= set(dir(jaxchain.optimizers)) and set(hooks) <= set(dir(jaxchain.optimizer_hooks))


CASES = [case for case in optimizer_cases.CASES if _available(case)]


# the variance of the first gradients is nothing but rounding, times 1e4
TOLERANCE = {"msvag": 1e-3}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_ten_steps(case):
    found = optimizer_cases.run(case, jaxchain, np.asarray)
    expected = {k[len(case.name) + 1 :]: GOLDEN[k] for k in GOLDEN.files if k.startswith(case.name + "/")}
    found = {k: v for k, v in found.items() if not k.endswith("/updates")}  # MSVAG's; Chainer loses it
    assert sorted(found) == sorted(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-6, atol=TOLERANCE.get(case.name, 1e-6), err_msg=key)


OPTIMIZERS = [
    n for n in dir(jaxchain.optimizers) if isinstance(getattr(jaxchain.optimizers, n), type) and n != "Optax"
]  # Optax is not Chainer's


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_rows_cover(name):
    assert any(name in optimizer_cases.names_of(case)[0] for case in CASES)


def test_the_rows_cover_hooks():
    used = {h for case in CASES for h in optimizer_cases.names_of(case)[1]}
    assert {"WeightDecay", "GradientClipping"} <= used
