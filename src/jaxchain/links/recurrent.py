"""Recurrent layers that take one step at a time, with and without a state of their own."""

from __future__ import annotations

from typing import Any

from jaxchain import functions as F
from jaxchain.core.arrays import zeros
from jaxchain.core.variable import Variable
from jaxchain.initializers.base import Blocks, Gates
from jaxchain.initializers.conversion import get_initializer
from jaxchain.link import Chain
from jaxchain.links.linear import Linear


class Stateful(Chain):
    """Base of the layers that keep a state between calls: None at the start, then a Variable."""

    _state_names: tuple[str, ...] = ("h",)

    def reset_state(self) -> None:
        """Forget the state: the next call starts from zeros."""
        for name in self._state_names:
            setattr(self, name, None)

    def _set_state(self, *values: Any) -> None:
        for name, value in zip(self._state_names, values, strict=True):
            if not isinstance(value, Variable):
                raise TypeError(
                    f"{type(self).__name__}.set_state: {name}: expected a Variable, got {type(value).__name__}"
                )
            setattr(self, name, value)

    def device_resident_accept(self, visitor: Any) -> None:
        """Show a visitor the state, too."""
        super().device_resident_accept(visitor)
        for name in self._state_names:
            state = getattr(self, name)
            if state is not None:
                visitor.visit_variable(state)


def zero_state(x: Any, size: int) -> Variable:
    """Return zeros ``(n, size)`` for an input of `n` rows, in its dtype."""
    return Variable(zeros((x.shape[0], size), x.dtype))


class LSTMBase(Chain):
    """The two linear layers of an LSTM. Row ``4 j + k`` of their weights is gate ``k`` (a, i, f, o) of unit ``j``."""

    def __init__(
        self,
        in_size: int | None,
        out_size: int | None = None,
        lateral_init: Any = None,
        upward_init: Any = None,
        bias_init: Any = None,
        forget_bias_init: Any = None,
    ) -> None:
        if out_size is None:
            in_size, out_size = None, in_size
        assert out_size is not None
        super().__init__()
        self.state_size = out_size
        bias = get_initializer(bias_init, 0)
        forget_bias = get_initializer(forget_bias_init, 1)
        with self.init_scope():
            self.upward = Linear(
                in_size,
                4 * out_size,
                initialW=Blocks(get_initializer(upward_init), 4),
                initial_bias=Gates(bias, bias, forget_bias, bias),
            )
            self.lateral = Linear(
                out_size, 4 * out_size, nobias=True, initialW=Blocks(get_initializer(lateral_init), 4)
            )

    def _initialize_params(self) -> None:
        """Do nothing: the parameters have their values from initializers. Subclasses that copy Chainer's call it."""


class StatelessLSTM(LSTMBase):
    """LSTM layer that is given its state.

    Args:
        in_size: Size of the input vectors, or None: taken from the first input. May be left out.
        out_size: Size of the state and the output.
        lateral_init: Initializer of ``lateral.W``, called once for each gate. None: `LeCunNormal`.
        upward_init: Initializer of ``upward.W``, called once for each gate. None: `LeCunNormal`.
        bias_init: Initializer of the biases but the forget gate's. None: 0.
        forget_bias_init: Initializer of the forget gate's bias. None: 1.

    Attributes:
        upward: `Linear` from the input, ``W`` ``(4 out, in)``, ``b`` ``(4 out,)``.
        lateral: `Linear` from the last output, ``W`` ``(4 out, out)``.
        state_size: ``out``.

    Source:
        Hochreiter & Schmidhuber 1997, Neural Computation 9(8); Gers et al. 2000 (forget gate).

    Examples:
        >>> x = np.zeros((1, 10), np.float32)
        >>> c, h = L.StatelessLSTM(10, 20)(None, None, x)
        >>> c.shape, h.shape
        ((1, 20), (1, 20))
    """

    def forward(self, c: Any, h: Any, x: Any) -> tuple[Variable, Variable]:
        """Take one step.

        Args:
            c: Cell ``(n, out)``, or None for zeros.
            h: Last output ``(n, out)``, or None for zeros.
            x: Input ``(n, in)``.

        Returns:
            New cell and output, each ``(n, out)``.
        """
        gates = self.upward(x)
        if h is not None:
            gates += self.lateral(h)
        return F.lstm(zero_state(x, self.state_size) if c is None else c, gates)


class LSTM(Stateful, LSTMBase):
    """LSTM layer that keeps its state between calls.

    The batch may shrink from step to step (sequences sorted by falling length): only the first rows of the state go on.

    Args:
        in_size: Size of the input vectors, or None: taken from the first input. May be left out.
        out_size: Size of the state and the output.
        lateral_init: Initializer of ``lateral.W``, called once for each gate. None: `LeCunNormal`.
        upward_init: Initializer of ``upward.W``, called once for each gate. None: `LeCunNormal`.
        bias_init: Initializer of the biases but the forget gate's. None: 0.
        forget_bias_init: Initializer of the forget gate's bias. None: 1.

    Attributes:
        upward: `Linear` from the input, ``W`` ``(4 out, in)``, ``b`` ``(4 out,)``.
        lateral: `Linear` from the last output, ``W`` ``(4 out, out)``.
        c: Cell ``(n, out)``, or None at the start.
        h: Last output ``(n, out)``, or None at the start.
        state_size: ``out``.

    Source:
        Hochreiter & Schmidhuber 1997, Neural Computation 9(8); Gers et al. 2000 (forget gate).

    Examples:
        >>> L.LSTM(None, 20)(np.zeros((1, 10), np.float32)).shape
        (1, 20)
    """

    _state_names = ("c", "h")
    c: Variable | None
    h: Variable | None

    def __init__(
        self,
        in_size: int | None,
        out_size: int | None = None,
        lateral_init: Any = None,
        upward_init: Any = None,
        bias_init: Any = None,
        forget_bias_init: Any = None,
    ) -> None:
        super().__init__(in_size, out_size, lateral_init, upward_init, bias_init, forget_bias_init)
        self.reset_state()

    def set_state(self, c: Variable, h: Variable) -> None:
        """Set the state.

        Args:
            c: Cell ``(n, out)``.
            h: Last output ``(n, out)``.

        Raises:
            TypeError: They are not Variables.
        """
        self._set_state(c, h)

    def forward(self, x: Any) -> Variable:
        """Take one step.

        Args:
            x: Input ``(m, in)``, ``m`` at most the batch of the last call.

        Returns:
            Output ``(m, out)``.

        Raises:
            TypeError: The batch has grown.
        """
        batch = x.shape[0]
        gates = self.upward(x)
        rest = None
        if self.h is not None:
            size = self.h.shape[0]
            if size < batch:
                raise TypeError(
                    "The batch size of x must be equal to or less than the size of the previous state h. "
                    f"Actual: {batch} > {size}. Sort the sequences by falling length, or call reset_state()"
                )
            if batch == 0:
                rest = self.h
            elif size > batch:
                h, rest = F.split_axis(self.h, [batch], 0)
                gates += self.lateral(h)
            else:
                gates += self.lateral(self.h)
        self.c, y = F.lstm(zero_state(x, self.state_size) if self.c is None else self.c, gates)
        if rest is None:
            self.h = y
        else:
            self.h = rest if batch == 0 else F.concat([y, rest], 0)
        return y


class StatefulPeepholeLSTM(Stateful):
    """LSTM layer whose gates also look at the cell, and which keeps its state between calls.

    Args:
        in_size: Size of the input vectors, or None: taken from the first input.
        out_size: Size of the state and the output.

    Attributes:
        upward: `Linear` from the input, ``W`` ``(4 out, in)``, ``b`` ``(4 out,)``; rows as in `LSTM`.
        lateral: `Linear` from the last output, ``W`` ``(4 out, out)``.
        peep_i: `Linear` from the last cell to the input gate, ``W`` ``(out, out)``.
        peep_f: `Linear` from the last cell to the forget gate, ``W`` ``(out, out)``.
        peep_o: `Linear` from the new cell to the output gate, ``W`` ``(out, out)``.
        c: Cell ``(n, out)``, or None at the start.
        h: Last output ``(n, out)``, or None at the start.
        state_size: ``out``.

    Source:
        Gers & Schmidhuber 2000, Recurrent nets that time and count.

    Examples:
        >>> L.StatefulPeepholeLSTM(10, 20)(np.zeros((1, 10), np.float32)).shape
        (1, 20)
    """

    _state_names = ("c", "h")
    c: Variable | None
    h: Variable | None

    def __init__(self, in_size: int | None, out_size: int) -> None:
        super().__init__()
        self.state_size = out_size
        self.reset_state()
        with self.init_scope():
            self.upward = Linear(in_size, 4 * out_size)
            self.lateral = Linear(out_size, 4 * out_size, nobias=True)
            self.peep_i = Linear(out_size, out_size, nobias=True)
            self.peep_f = Linear(out_size, out_size, nobias=True)
            self.peep_o = Linear(out_size, out_size, nobias=True)

    def forward(self, x: Any) -> Variable:
        """Take one step.

        Args:
            x: Input ``(n, in)``.

        Returns:
            Output ``(n, out)``.
        """
        gates = self.upward(x)
        if self.h is not None:
            gates += self.lateral(self.h)
        c = zero_state(x, self.state_size) if self.c is None else self.c
        a, i, f, o = F.separate(F.reshape(gates, (gates.shape[0], self.state_size, 4)), 2)
        c = F.tanh(a) * F.sigmoid(i + self.peep_i(c)) + F.sigmoid(f + self.peep_f(c)) * c
        self.c = c
        h = self.h = F.sigmoid(o + self.peep_o(c)) * F.tanh(c)
        return h


class StatefulZoneoutLSTM(Stateful):
    """LSTM layer that keeps parts of its state as they were, at random, while training.

    Args:
        in_size: Size of the input vectors, or None: taken from the first input.
        out_size: Size of the state and the output.
        c_ratio: Probability that an element of the cell stays.
        h_ratio: Probability that an element of the output stays.

    Attributes:
        upward: `Linear` from the input, ``W`` ``(4 out, in)``, ``b`` ``(4 out,)``; rows as in `LSTM`.
        lateral: `Linear` from the last output, ``W`` ``(4 out, out)``.
        c: Cell ``(n, out)``, or None at the start.
        h: Last output ``(n, out)``, or None at the start.
        state_size: ``out``.
        c_ratio: The same.
        h_ratio: The same.

    Source:
        Krueger et al. 2016, arXiv:1606.01305.

    Examples:
        >>> L.StatefulZoneoutLSTM(10, 20)(np.zeros((1, 10), np.float32)).shape
        (1, 20)
    """

    _state_names = ("c", "h")
    c: Variable | None
    h: Variable | None

    def __init__(self, in_size: int | None, out_size: int, c_ratio: float = 0.5, h_ratio: float = 0.5) -> None:
        super().__init__()
        self.state_size = out_size
        self.c_ratio = c_ratio
        self.h_ratio = h_ratio
        self.reset_state()
        with self.init_scope():
            self.upward = Linear(in_size, 4 * out_size)
            self.lateral = Linear(out_size, 4 * out_size, nobias=True)

    def set_state(self, c: Variable, h: Variable) -> None:
        """Set the state.

        Args:
            c: Cell ``(n, out)``.
            h: Last output ``(n, out)``.

        Raises:
            TypeError: They are not Variables.
        """
        self._set_state(c, h)

    def forward(self, x: Any) -> Variable:
        """Take one step.

        Args:
            x: Input ``(n, in)``.

        Returns:
            Output ``(n, out)``.
        """
        gates = self.upward(x)
        if self.h is not None:
            gates += self.lateral(self.h)
        c, h = (zero_state(x, self.state_size) if s is None else s for s in (self.c, self.h))
        new_c, new_h = F.lstm(c, gates)
        self.c = F.zoneout(c, new_c, self.c_ratio)
        h = self.h = F.zoneout(h, new_h, self.h_ratio)
        return h
