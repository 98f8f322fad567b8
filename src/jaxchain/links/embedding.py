"""Embedding of integer ids: `F.embed_id` with a parameter."""

from __future__ import annotations

from typing import Any

from jaxchain import functions as F
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable, as_array
from jaxchain.initializers import Normal
from jaxchain.initializers.conversion import get_initializer
from jaxchain.link import Link


class EmbedID(Link):
    """A vector for each id.

    Args:
        in_size: Number of ids.
        out_size: Size of the vectors.
        initialW: Initializer, scalar or array ``(in, out)``. None: ``Normal(1)``.
        ignore_label: An id whose vector is 0, or None.

    Attributes:
        W: Parameter ``(in, out)``.

    Examples:
        >>> L.EmbedID(3, 2, initialW=np.arange(6.).reshape(3, 2))(np.array([2, 0], np.int32)).array
        Array([[4., 5.],
               [0., 1.]], dtype=float32)
    """

    ignore_label: int | None = None

    def __init__(self, in_size: int, out_size: int, initialW: Any = None, ignore_label: int | None = None) -> None:
        super().__init__()
        self.ignore_label = ignore_label
        with self.init_scope():
            initializer = get_initializer(initialW, Normal(1.0))
            self.W = Parameter(initializer, (in_size, out_size))

    @classmethod
    def from_params(cls, W: Any, ignore_label: int | None = None) -> EmbedID:
        """Return a layer with given vectors.

        Args:
            W: ``(in, out)``.
            ignore_label: As in the class.
        """
        in_size, out_size = W.shape
        return cls(in_size, out_size, initialW=as_array(W), ignore_label=ignore_label)

    def forward(self, x: Any) -> Variable:
        """Look the ids up.

        Args:
            x: Ids, any shape, integer.

        Returns:
            ``(*x.shape, out)``.
        """
        return F.embed_id(x, self.W, ignore_label=self.ignore_label)
