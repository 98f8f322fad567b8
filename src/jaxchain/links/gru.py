"""Gated units with one state: the GRU and the minimal gated unit, with and without a state of their own."""

from __future__ import annotations

from typing import Any

from jaxchain import functions as F
from jaxchain.core.arrays import zeros
from jaxchain.core.config import get_dtype
from jaxchain.core.variable import Variable
from jaxchain.link import Chain
from jaxchain.links.linear import Linear
from jaxchain.links.recurrent import Stateful


class GRUBase(Chain):
    """The six linear layers of a GRU."""

    def __init__(
        self, in_size: int | None, out_size: int, init: Any = None, inner_init: Any = None, bias_init: Any = None
    ) -> None:
        super().__init__()
        with self.init_scope():
            self.W_r = Linear(in_size, out_size, initialW=init, initial_bias=bias_init)
            self.U_r = Linear(out_size, out_size, initialW=inner_init, initial_bias=bias_init)
            self.W_z = Linear(in_size, out_size, initialW=init, initial_bias=bias_init)
            self.U_z = Linear(out_size, out_size, initialW=inner_init, initial_bias=bias_init)
            self.W = Linear(in_size, out_size, initialW=init, initial_bias=bias_init)
            self.U = Linear(out_size, out_size, initialW=inner_init, initial_bias=bias_init)


class StatelessGRU(GRUBase):
    """GRU layer that is given its state.

    Args:
        in_size: Size of the input vectors, or None: taken from the first input.
        out_size: Size of the state and the output.
        init: Initializer of the weights of the input. None: `LeCunNormal`.
        inner_init: Initializer of the weights of the state. None: `LeCunNormal`.
        bias_init: Initializer of all biases. None: 0.

    Attributes:
        W_r: `Linear` from the input to the reset gate, ``W`` ``(out, in)``, ``b`` ``(out,)``.
        W_z: `Linear` from the input to the update gate, the same shapes.
        W: `Linear` from the input to the candidate, the same shapes.
        U_r: `Linear` from the state to the reset gate, ``W`` ``(out, out)``, ``b`` ``(out,)``.
        U_z: `Linear` from the state to the update gate, the same shapes.
        U: `Linear` from the reset state to the candidate, the same shapes.

    Source:
        Cho et al. 2014, arXiv:1406.1078; Chung et al. 2014, arXiv:1412.3555.

    Examples:
        >>> h, x = np.zeros((1, 20), np.float32), np.zeros((1, 10), np.float32)
        >>> L.StatelessGRU(10, 20)(h, x).shape
        (1, 20)
    """

    def forward(self, h: Any, x: Any) -> Variable:
        """Take one step.

        Args:
            h: State ``(n, out)``.
            x: Input ``(n, in)``.

        Returns:
            New state ``(n, out)``, which is the output.
        """
        r = F.sigmoid(self.W_r(x) + self.U_r(h))
        z = F.sigmoid(self.W_z(x) + self.U_z(h))
        return F.linear_interpolate(z, F.tanh(self.W(x) + self.U(r * h)), h)


class StatefulGRU(Stateful, GRUBase):
    """GRU layer that keeps its state between calls.

    Args:
        in_size: Size of the input vectors, or None: taken from the first input.
        out_size: Size of the state and the output.
        init: Initializer of the weights of the input. None: `LeCunNormal`.
        inner_init: Initializer of the weights of the state. None: `LeCunNormal`.
        bias_init: Initializer of all biases.

    Attributes:
        W_r: `Linear` from the input to the reset gate, ``W`` ``(out, in)``, ``b`` ``(out,)``.
        W_z: `Linear` from the input to the update gate, the same shapes.
        W: `Linear` from the input to the candidate, the same shapes.
        U_r: `Linear` from the state to the reset gate, ``W`` ``(out, out)``, ``b`` ``(out,)``.
        U_z: `Linear` from the state to the update gate, the same shapes.
        U: `Linear` from the reset state to the candidate, the same shapes.
        h: State ``(n, out)``, or None at the start.
        state_size: ``out``.

    Source:
        Cho et al. 2014, arXiv:1406.1078; Chung et al. 2014, arXiv:1412.3555.

    Examples:
        >>> L.StatefulGRU(10, 20)(np.zeros((1, 10), np.float32)).shape
        (1, 20)
    """

    h: Variable | None

    def __init__(
        self, in_size: int | None, out_size: int, init: Any = None, inner_init: Any = None, bias_init: Any = 0
    ) -> None:
        super().__init__(in_size, out_size, init, inner_init, bias_init)
        self.state_size = out_size
        self.reset_state()

    def set_state(self, h: Variable) -> None:
        """Set the state.

        Args:
            h: State ``(n, out)``.

        Raises:
            TypeError: It is not a Variable.
        """
        self._set_state(h)

    def forward(self, x: Any) -> Variable:
        """Take one step.

        Args:
            x: Input ``(n, in)``.

        Returns:
            New state ``(n, out)``, which is the output.
        """
        z, candidate, h = self.W_z(x), self.W(x), self.h
        if h is None:
            h = F.sigmoid(z) * F.tanh(candidate)
        else:
            r = F.sigmoid(self.W_r(x) + self.U_r(h))
            z = F.sigmoid(z + self.U_z(h))
            h = F.linear_interpolate(z, F.tanh(candidate + self.U(r * h)), h)
        self.h = h
        return h


class GRU(StatefulGRU):
    """`StatefulGRU` that says so when it is called with a state, as `StatelessGRU` is.

    Args:
        in_size: Size of the input vectors, or None: taken from the first input.
        out_size: Size of the state and the output.
        init: Initializer of the weights of the input. None: `LeCunNormal`.
        inner_init: Initializer of the weights of the state. None: `LeCunNormal`.
        bias_init: Initializer of all biases.

    Attributes:
        W_r, W_z, W, U_r, U_z, U: As in `StatefulGRU`.
        h: State ``(n, out)``, or None at the start.
        state_size: ``out``.

    Examples:
        >>> L.GRU(10, 20)(np.zeros((1, 10), np.float32)).shape
        (1, 20)
    """

    def forward(self, x: Any = None, *others: Any) -> Variable:
        """Take one step.

        Args:
            x: Input ``(n, in)``.
            *others: Nothing.

        Returns:
            New state ``(n, out)``, which is the output.

        Raises:
            ValueError: There is more than the input, or nothing.
        """
        if x is None or others:
            count = len(others) + (x is not None)
            way_out = " It keeps its state: use StatelessGRU to give one." if count == 2 else ""
            raise ValueError(f"Invalid argument. The length of GRU.forward must be 1. But {count} is given.{way_out}")
        return super().forward(x)


class MGUBase(Chain):
    """The two linear layers of a minimal gated unit."""

    def __init__(self, n_inputs: int, n_units: int) -> None:
        super().__init__()
        with self.init_scope():
            self.W_f = Linear(n_inputs + n_units, n_units)
            self.W_h = Linear(n_inputs + n_units, n_units)

    def _call_mgu(self, h: Any, x: Any) -> Variable:
        f = F.sigmoid(self.W_f(F.concat([h, x])))
        return F.linear_interpolate(f, F.tanh(self.W_h(F.concat([f * h, x]))), h)


class StatelessMGU(MGUBase):
    """Minimal gated unit that is given its state.

    Args:
        n_inputs: Size of the input vectors.
        n_units: Size of the state and the output.

    Attributes:
        W_f: `Linear` from state and input to the gate, ``W`` ``(out, out + in)``, ``b`` ``(out,)``.
        W_h: `Linear` from gated state and input to the candidate, the same shapes.

    Source:
        Zhou et al. 2016, arXiv:1603.09420.

    Examples:
        >>> h, x = np.zeros((1, 20), np.float32), np.zeros((1, 10), np.float32)
        >>> L.StatelessMGU(10, 20)(h, x).shape
        (1, 20)
    """

    def forward(self, h: Any, x: Any) -> Variable:
        """Take one step.

        Args:
            h: State ``(n, out)``.
            x: Input ``(n, in)``.

        Returns:
            New state ``(n, out)``, which is the output.
        """
        return self._call_mgu(h, x)


class StatefulMGU(Stateful, MGUBase):
    """Minimal gated unit that keeps its state between calls.

    Args:
        in_size: Size of the input vectors.
        out_size: Size of the state and the output.

    Attributes:
        W_f: `Linear` from state and input to the gate, ``W`` ``(out, out + in)``, ``b`` ``(out,)``.
        W_h: `Linear` from gated state and input to the candidate, the same shapes.
        h: State ``(n, out)``, or None at the start.

    Source:
        Zhou et al. 2016, arXiv:1603.09420.

    Examples:
        >>> L.StatefulMGU(10, 20)(np.zeros((1, 10), np.float32)).shape
        (1, 20)
    """

    h: Variable | None

    def __init__(self, in_size: int, out_size: int) -> None:
        super().__init__(in_size, out_size)
        self._state_size = out_size
        self.reset_state()

    def set_state(self, h: Variable) -> None:
        """Set the state.

        Args:
            h: State ``(n, out)``.

        Raises:
            TypeError: It is not a Variable.
        """
        self._set_state(h)

    def forward(self, x: Any) -> Variable:
        """Take one step.

        Args:
            x: Input ``(n, in)``.

        Returns:
            New state ``(n, out)``, which is the output.
        """
        h = Variable(zeros((x.shape[0], self._state_size), get_dtype())) if self.h is None else self.h
        h = self.h = self._call_mgu(h, x)
        return h
