"""LSTM layers for the nodes of trees."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxchain import functions as F
from jaxchain.core.variable import Variable
from jaxchain.link import Chain
from jaxchain.links.linear import Linear
from jaxchain.links.recurrent import zero_state


class _TreeLSTM(Chain):
    in_size: int | None
    state_size: int

    def _input(self, states: tuple[Any, ...], x: Any) -> Any:
        """Return the input, zeros if the node has none."""
        if x is not None:
            return x
        known = next((s for s in states if s is not None), None)
        if known is None:
            raise ValueError("All inputs (cs, hs, x) are None.")
        return np.zeros((known.shape[0], self.in_size or 0), known.dtype)

    def _filled(self, states: tuple[Any, ...], x: Any) -> list[Any]:
        """Return the states, zeros for children that are not there."""
        return [zero_state(x, self.state_size) if s is None else s for s in states]


class ChildSumTreeLSTM(_TreeLSTM):
    """LSTM layer for a node with any number of children, in no order.

    Args:
        in_size: Size of the input vectors.
        out_size: Size of the state and the output.

    Attributes:
        W_x: `Linear` from the input, ``W`` ``(4 out, in)``, ``b`` ``(4 out,)``; blocks a, i, o, f.
        W_h_aio: `Linear` from the sum of the children's outputs, ``W`` ``(3 out, out)``.
        W_h_f: `Linear` from each child's output to its forget gate, ``W`` ``(out, out)``.
        in_size: The same.
        state_size: ``out``.

    Source:
        Tai et al. 2015, arXiv:1503.00075, section 3.1.

    Examples:
        >>> x = np.zeros((1, 10), np.float32)
        >>> node = L.ChildSumTreeLSTM(10, 20)
        >>> c1, h1 = node(x)
        >>> c, h = node(c1, c1, h1, h1, x)
        >>> h.shape
        (1, 20)
    """

    def __init__(self, in_size: int | None, out_size: int) -> None:
        super().__init__()
        with self.init_scope():
            self.W_x = Linear(in_size, 4 * out_size)
            self.W_h_aio = Linear(out_size, 3 * out_size, nobias=True)
            self.W_h_f = Linear(out_size, out_size, nobias=True)
        self.in_size = in_size
        self.state_size = out_size

    def forward(self, *cshsx: Any) -> tuple[Variable, Variable]:
        """Compute a node.

        Args:
            *cshsx: Cells of the `k` children ``(n, out)``, their outputs ``(n, out)``, and the input ``(n, in)``. Each
                may be None, for zeros, but not all.

        Returns:
            Cell and output of the node, each ``(n, out)``.

        Raises:
            AssertionError: There are not as many cells as outputs.
            ValueError: All are None.
        """
        if len(cshsx) % 2 != 1:
            raise AssertionError(f"ChildSumTreeLSTM: expected as many cells as outputs and an input, got {len(cshsx)}")
        k = len(cshsx) // 2
        x = self._input(cshsx[:-1], cshsx[-1])
        from_x, f_x = F.split_axis(self.W_x(x), [3 * self.state_size], 1)
        if k == 0:
            a, i, o = F.split_axis(from_x, 3, 1)
            c = F.sigmoid(i) * F.tanh(a)
            return c, F.sigmoid(o) * F.tanh(c)
        cs, hs = self._filled(cshsx[:k], x), self._filled(cshsx[k:-1], x)
        aio = self.W_h_aio(hs[0] if k == 1 else F.add(*hs)) + from_x
        f_h = self.W_h_f(F.concat(hs, 0))
        forgets = [f + f_x for f in F.split_axis(f_h, k, 0)]
        return F.tree_lstm(*cs, F.concat([aio, *forgets], 1))


class NaryTreeLSTM(_TreeLSTM):
    """LSTM layer for a node with a fixed number of children, each with weights of its own.

    Args:
        in_size: Size of the input vectors.
        out_size: Size of the state and the output.
        n_ary: Number of children.

    Attributes:
        W_x: `Linear` from the input, ``W`` ``((3 + n_ary) out, in)`` and a bias; blocks a, i, o, then the forget gates.
        W_h1, W_h2, ...: `Linear` from each child's output, ``W`` ``((3 + n_ary) out, out)``.
        in_size: The same.
        state_size: ``out``.
        n_ary: The same.

    Source:
        Tai et al. 2015, arXiv:1503.00075, section 3.2, as Bowman et al. 2016, arXiv:1603.06021, extend it.

    Examples:
        >>> x, c, h = np.zeros((1, 10), np.float32), np.zeros((1, 20), np.float32), np.zeros((1, 20), np.float32)
        >>> c, h = L.NaryTreeLSTM(10, 20)(c, c, h, h, x)
        >>> h.shape
        (1, 20)
    """

    def __init__(self, in_size: int | None, out_size: int, n_ary: int = 2) -> None:
        if n_ary < 1:
            raise AssertionError(f"NaryTreeLSTM: expected n_ary >= 1, got {n_ary}")
        super().__init__()
        with self.init_scope():
            self.W_x = Linear(in_size, (3 + n_ary) * out_size)
            for i in range(1, n_ary + 1):
                setattr(self, f"W_h{i}", Linear(out_size, (3 + n_ary) * out_size, nobias=True))
        self.in_size = in_size
        self.state_size = out_size
        self.n_ary = n_ary

    def forward(self, *cshsx: Any) -> tuple[Variable, Variable]:
        """Compute a node.

        Args:
            *cshsx: Cells of the children ``(n, out)``, their outputs ``(n, out)``, and the input ``(n, in)``. Each may
                be None, for zeros, but not all.

        Returns:
            Cell and output of the node, each ``(n, out)``.

        Raises:
            AssertionError: There are not `n_ary` cells and outputs.
            ValueError: All are None.
        """
        k = self.n_ary
        if len(cshsx) != 2 * k + 1:
            raise AssertionError(f"NaryTreeLSTM: expected {k} cells, {k} outputs and an input, got {len(cshsx)}")
        x = self._input(cshsx[:-1], cshsx[-1])
        gates = self.W_x(x)
        for i, h in enumerate(cshsx[k:-1], 1):
            if h is not None:
                gates += getattr(self, f"W_h{i}")(h)
        return F.tree_lstm(*self._filled(cshsx[:k], x), gates)
