"""Comparison of arrays and Variables."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxchain.core.variable import Variable


def assert_allclose(x: Any, y: Any, atol: float = 1e-5, rtol: float = 1e-4, verbose: bool = True) -> None:
    """Assert that two arrays are close.

    Args:
        x: Array or Variable.
        y: The expected one.
        atol: Absolute tolerance.
        rtol: Tolerance as a share of `y`.
        verbose: Whether the message shows the arrays.

    Raises:
        AssertionError: They are not, or their shapes differ.
    """
    x, y = (np.asarray(v.array if isinstance(v, Variable) else v) for v in (x, y))
    np.testing.assert_allclose(x, y, atol=atol, rtol=rtol, verbose=verbose)
