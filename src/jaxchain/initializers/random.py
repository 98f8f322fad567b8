"""Random initializers: each class is a formula for the scale of a law.

The draws are NumPy's, from a generator of the stream of initialisers (`core.random.next_init_rng`): the same seed gives
the same parameters in either mode, and no shape needs a program of its own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jaxchain.core.random import next_init_rng
from jaxchain.initializers.base import Draw, get_fans


class _Random(Draw):
    """A random initializer: `scale`, and the `rng` to use instead of jaxchain's own stream.

    Args:
        scale: See the subclass.
        dtype: Data type.
        rng: A `numpy.random.RandomState` to draw from, as in Chainer. None: jaxchain's stream (`jaxchain.seed`).
    """

    def __init__(self, scale: float = 1.0, dtype: Any = None, *, rng: Any = None) -> None:
        self.scale = scale
        self.rng = rng
        super().__init__(dtype)

    def _scale(self, shape: tuple[int, ...]) -> float:
        return self.scale

    def _generator(self) -> Any:
        return next_init_rng() if self.rng is None else self.rng


class _Normal(_Random):
    def draw(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Return the draw."""
        scale = self._scale(shape)
        return np.asarray(self._generator().normal(loc=0.0, scale=scale, size=shape)).astype(dtype)


class _Uniform(_Random):
    def draw(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Return the draw."""
        scale = self._scale(shape)
        return np.asarray(self._generator().uniform(low=-scale, high=scale, size=shape)).astype(dtype)


class Normal(_Normal):
    """Draw from the normal distribution of mean 0 and standard deviation `scale`.

    Args:
        scale: Standard deviation.
        dtype: Data type.
        rng: A `numpy.random.RandomState` to draw from. None: jaxchain's stream.
    """

    def __init__(self, scale: float = 0.05, dtype: Any = None, *, rng: Any = None) -> None:
        super().__init__(scale, dtype, rng=rng)


class LeCunNormal(_Normal):
    r"""Draw from the normal distribution of standard deviation :math:`scale \sqrt{1 / fan_{in}}`.

    Args:
        scale: Multiple of the standard deviation.
        dtype: Data type.
        rng: A `numpy.random.RandomState` to draw from. None: jaxchain's stream.

    Source:
        LeCun et al. 1998, Efficient BackProp.
    """

    def _scale(self, shape: tuple[int, ...]) -> float:
        return self.scale * math.sqrt(1.0 / get_fans(shape)[0])


class GlorotNormal(_Normal):
    r"""Draw from the normal distribution of standard deviation :math:`scale \sqrt{2 / (fan_{in} + fan_{out})}`.

    Args:
        scale: Multiple of the standard deviation.
        dtype: Data type.
        rng: A `numpy.random.RandomState` to draw from. None: jaxchain's stream.

    Source:
        Glorot & Bengio 2010, AISTATS, Understanding the difficulty of training deep feedforward neural networks.
    """

    def _scale(self, shape: tuple[int, ...]) -> float:
        return self.scale * math.sqrt(2.0 / sum(get_fans(shape)))


class HeNormal(_Normal):
    r"""Draw from the normal distribution of standard deviation :math:`scale \sqrt{2 / fan}`.

    Args:
        scale: Multiple of the standard deviation.
        dtype: Data type.
        fan_option: ``'fan_in'`` or ``'fan_out'``: which fan to divide by.
        rng: A `numpy.random.RandomState` to draw from. None: jaxchain's stream.

    Raises:
        ValueError: At the draw: `fan_option` is neither of the two.

    Source:
        He et al. 2015, arXiv:1502.01852, eq. 10 and 14.
    """

    def __init__(self, scale: float = 1.0, dtype: Any = None, fan_option: str = "fan_in", *, rng: Any = None) -> None:
        self.fan_option = fan_option
        super().__init__(scale, dtype, rng=rng)

    def _scale(self, shape: tuple[int, ...]) -> float:
        if self.fan_option not in ("fan_in", "fan_out"):
            raise ValueError("fan_option should be either 'fan_in' or 'fan_out'.")
        return self.scale * math.sqrt(2.0 / get_fans(shape)[self.fan_option == "fan_out"])


class Uniform(_Uniform):
    """Draw from the uniform distribution on ``[-scale, scale)``.

    Args:
        scale: Half the width.
        dtype: Data type.
        rng: A `numpy.random.RandomState` to draw from. None: jaxchain's stream.
    """

    def __init__(self, scale: float = 0.05, dtype: Any = None, *, rng: Any = None) -> None:
        super().__init__(scale, dtype, rng=rng)


class LeCunUniform(_Uniform):
    r"""Draw from the uniform distribution on :math:`[-s, s)`, :math:`s = scale \sqrt{3 / fan_{in}}`.

    Args:
        scale: Multiple of the half width.
        dtype: Data type.
        rng: A `numpy.random.RandomState` to draw from. None: jaxchain's stream.

    Source:
        LeCun et al. 1998, Efficient BackProp.
    """

    def _scale(self, shape: tuple[int, ...]) -> float:
        return self.scale * math.sqrt(3.0 / get_fans(shape)[0])


class GlorotUniform(_Uniform):
    r"""Draw from the uniform distribution on :math:`[-s, s)`, :math:`s = scale \sqrt{6 / (fan_{in} + fan_{out})}`.

    Args:
        scale: Multiple of the half width.
        dtype: Data type.
        rng: A `numpy.random.RandomState` to draw from. None: jaxchain's stream.

    Source:
        Glorot & Bengio 2010, AISTATS, eq. 16.
    """

    def _scale(self, shape: tuple[int, ...]) -> float:
        return self.scale * math.sqrt(6.0 / sum(get_fans(shape)))


class HeUniform(_Uniform):
    r"""Draw from the uniform distribution on :math:`[-s, s)`, :math:`s = scale \sqrt{6 / fan_{in}}`.

    Args:
        scale: Multiple of the half width.
        dtype: Data type.
        rng: A `numpy.random.RandomState` to draw from. None: jaxchain's stream.

    Source:
        He et al. 2015, arXiv:1502.01852.
    """

    def _scale(self, shape: tuple[int, ...]) -> float:
        return self.scale * math.sqrt(6.0 / get_fans(shape)[0])


# mode -> (as many rows as columns at least, as many columns as rows at least)
_ORTHOGONAL_MODES = {
    "auto": (False, False),
    "projection": (False, True),
    "embedding": (True, False),
    "basis": (True, True),
}


class Orthogonal(_Random):
    """Make orthogonal rows or columns, whichever are fewer, times `scale`.

    All axes but the first are taken as one. The matrix is uniform over the orthogonal ones.

    Args:
        scale: Length of the rows or columns.
        dtype: Data type.
        mode: Which shapes are allowed: ``'auto'`` all, ``'projection'`` no more rows than columns, ``'embedding'`` no
            more columns than rows, ``'basis'`` square.
        rng: A `numpy.random.RandomState` to draw from. None: jaxchain's stream.

    Raises:
        ValueError: Unknown `mode`; at the draw: the shape is empty or not allowed.

    Source:
        Saxe et al. 2013, arXiv:1312.6120.
    """

    def __init__(self, scale: float = 1.1, dtype: Any = None, mode: str = "auto", *, rng: Any = None) -> None:
        if mode not in _ORTHOGONAL_MODES:
            raise ValueError(f"Invalid mode: {mode!r}. Choose from {', '.join(map(repr, _ORTHOGONAL_MODES))}.")
        self.mode = mode
        super().__init__(scale, dtype, rng=rng)

    def draw(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Return the draw."""
        if not shape:
            return np.asarray(self.scale * (2 * int(self._generator().randint(2)) - 1), dtype)
        if not math.prod(shape):
            raise ValueError("Array to be initialized must be non-empty.")
        rows, columns = shape[0], math.prod(shape[1:])
        not_wide, not_tall = _ORTHOGONAL_MODES[self.mode]
        if (columns > rows and not_wide) or (columns < rows and not_tall):
            raise ValueError(
                f"Cannot make orthogonal {self.mode}. shape = {shape}, interpreted as "
                f"{columns}-dim input and {rows}-dim output."
            )
        a = self._generator().normal(size=(rows, columns))
        q, r = np.linalg.qr(a.T if columns > rows else a)
        q = q * np.copysign(self.scale, np.diag(r))  # unique, hence a uniform law (Edelman & Rao 2005)
        return (q.T if columns > rows else q).reshape(shape).astype(dtype)
