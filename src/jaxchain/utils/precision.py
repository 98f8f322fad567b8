"""Half precision, computed in single precision."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np


def _fp16_mixed_precision_helper(fn: Callable[[Any, tuple[Any, ...]], tuple[Any, ...]]) -> Callable[..., Any]:
    """Return a `forward` method that is given float32 for float16, and whose float32 outputs are given as float16.

    They stay float32 if one of the inputs is in another floating dtype.

    Args:
        fn: The method, of self and a tuple of arrays.
    """

    @functools.wraps(fn)
    def wrapper(self: Any, in_data: tuple[Any, ...]) -> tuple[Any, ...]:
        half = all(x.dtype.kind != "f" or x.dtype == np.float16 for x in in_data)
        outputs = fn(self, tuple(x.astype(np.float32) if x.dtype == np.float16 else x for x in in_data))
        if not half:
            return outputs
        return tuple(y.astype(np.float16) if y is not None and y.dtype == np.float32 else y for y in outputs)

    return wrapper
