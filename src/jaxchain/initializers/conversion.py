"""From what programs give as an initializer, ``initialW=0.1`` say, to the initializer that it stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxchain.core.arrays import ARRAY_TYPES
from jaxchain.initializers.constant import Constant
from jaxchain.initializers.random import LeCunNormal


def get_initializer(initializer: Any, default: Any = None) -> Callable[..., Any]:
    """Return the initializer that an argument such as ``initialW`` stands for.

    Args:
        initializer: Scalar or array (Constant), callable (itself), or None (the default).
        default: One of these; None: LeCunNormal.

    Raises:
        TypeError: None of these.
    """
    if initializer is None:
        initializer = LeCunNormal() if default is None else default
    if isinstance(initializer, ARRAY_TYPES) or (np.isscalar(initializer) and not isinstance(initializer, str)):
        return Constant(initializer)
    if not callable(initializer):
        raise TypeError(f"invalid type of initializer: expected an Initializer, number or array, got {initializer!r}")
    return initializer
