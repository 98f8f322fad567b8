"""Recurrent layers over whole sequences of different lengths, stacked, in one or two directions."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxchain import functions as F
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable
from jaxchain.initializers.conversion import get_initializer
from jaxchain.link import ChainList, Link


def by_falling_length(xs: Any) -> np.ndarray:
    """Return the order that puts sequences of falling length: sequence ``order[i]`` comes at place `i`."""
    return np.argsort([-len(x) for x in xs], kind="stable").astype(np.int32)


class NStepRNNBase(ChainList):
    """Base of the stacked layers; a subclass names the function and the number of weights of a layer.

    Args:
        n_layers: Number of layers.
        in_size: Size of the input vectors.
        out_size: Size of the states and, in one direction, of the output.
        dropout: Dropout ratio between layers.
        initialW: Initializer, scalar or array of every weight. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array of every bias. None: 0.
    """

    n_weights: int
    n_cells = 1
    use_bi_direction = False

    def __init__(
        self,
        n_layers: int,
        in_size: int,
        out_size: int,
        dropout: float,
        *,
        initialW: Any = None,
        initial_bias: Any = None,
    ) -> None:
        direction = 2 if self.use_bi_direction else 1
        W = get_initializer(initialW)
        b = get_initializer(initial_bias, 0)
        super().__init__()
        for layer in range(n_layers):
            for _ in range(direction):
                weight = Link()
                with weight.init_scope():
                    for j in range(self.n_weights):
                        upward = j < self.n_weights // 2
                        size = out_size if not upward else in_size if layer == 0 else out_size * direction
                        setattr(weight, f"w{j}", Parameter(W, (out_size, size)))
                        setattr(weight, f"b{j}", Parameter(b, out_size))
                self.add_link(weight)
        self.n_layers = n_layers
        self.dropout = dropout
        self.out_size = out_size
        self.direction = direction

    @property
    def ws(self) -> list[list[Any]]:
        """Weights of each layer."""
        return [[getattr(layer, f"w{j}") for j in range(self.n_weights)] for layer in self]

    @property
    def bs(self) -> list[list[Any]]:
        """Biases of each layer."""
        return [[getattr(layer, f"b{j}") for j in range(self.n_weights)] for layer in self]

    def init_hx(self, xs: Any) -> Variable:
        """Return a state of zeros for a batch of sequences."""
        return Variable(np.zeros((self.n_layers * self.direction, len(xs), self.out_size), xs[0].dtype))

    def rnn(self, *args: Any) -> Any:
        """Apply the function to (n_layers, dropout, states..., ws, bs, steps)."""
        raise NotImplementedError

    def _call(self, states: list[Any], xs: Any) -> tuple[list[Variable], list[Variable]]:
        """Sort by falling length, run step by step, put back in order."""
        if not isinstance(xs, list | tuple):
            raise TypeError(f"xs must be a list or tuple of sequences, but is {type(xs).__name__}")
        empty = [i for i, x in enumerate(xs) if len(x) == 0]
        if empty:
            raise ValueError(f"xs[{empty[0]}] is empty: a sequence has at least one step")
        order = by_falling_length(xs)
        ordered = [xs[i] for i in order]
        sorted_states = [self.init_hx(ordered) if s is None else F.get_item(s, (slice(None), order)) for s in states]
        *ends, steps = self.rnn(
            self.n_layers, self.dropout, *sorted_states, self.ws, self.bs, F.transpose_sequence(ordered)
        )
        outputs: list[Any] = [None] * len(xs)
        for i, y in zip(order, F.transpose_sequence(steps), strict=True):
            outputs[i] = y
        back = np.argsort(order)
        return [F.get_item(h, (slice(None), back)) for h in ends], outputs

    def forward(self, hx: Any, xs: Any) -> tuple[Variable, list[Variable]]:
        """Run over the sequences.

        Args:
            hx: First state ``(layers, n, out)`` (both directions: ``(2 layers, n, out)``), or None for zeros.
            xs: `n` sequences ``(length_i, in)``, in any order.

        Returns:
            Last state, and the outputs ``(length_i, out)`` (both directions: ``2 out``) of the last layer.
        """
        (hy,), ys = self._call([hx], xs)
        return hy, ys


class NStepLSTMBase(NStepRNNBase):
    """Base of the stacked LSTMs: two states."""

    n_weights = 8
    n_cells = 2

    def forward(  # type: ignore[override]
        self, hx: Any, cx: Any, xs: Any
    ) -> tuple[Variable, Variable, list[Variable]]:
        """Run over the sequences.

        Args:
            hx: First state ``(layers, n, out)`` (both directions: ``(2 layers, n, out)``), or None for zeros.
            cx: First cell, the same shape, or None for zeros.
            xs: `n` sequences ``(length_i, in)``, in any order.

        Returns:
            Last state, last cell, and the outputs ``(length_i, out)`` (both directions: ``2 out``) of the last layer.
        """
        (hy, cy), ys = self._call([hx, cx], xs)
        return hy, cy, ys


class NStepLSTM(NStepLSTMBase):
    """Stacked LSTM over sequences of different lengths.

    Args:
        n_layers: Number of layers.
        in_size: Size of the input vectors.
        out_size: Size of the states and of the output.
        dropout: Dropout ratio between layers.
        initialW: Initializer, scalar or array of every weight. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array of every bias. None: 0.

    Attributes:
        0, 1, ...: One link a layer with ``w0`` ... ``w3`` (input to i, f, a, o), ``w4`` ... ``w7`` (state to the same),
            and their biases ``b0`` ... ``b7``, as cuDNN orders them.

    Examples:
        >>> xs = [np.ones((n, 3), np.float32) for n in (2, 4)]
        >>> hy, cy, ys = L.NStepLSTM(1, 3, 5, 0.0)(None, None, xs)
        >>> hy.shape, [y.shape for y in ys]
        ((1, 2, 5), [(2, 5), (4, 5)])
    """

    def rnn(self, *args: Any) -> Any:
        """Apply `F.n_step_lstm`."""
        return F.n_step_lstm(*args)


class NStepBiLSTM(NStepLSTMBase):
    """Stacked LSTM in both directions, over sequences of different lengths.

    Args:
        n_layers: Number of layers.
        in_size: Size of the input vectors.
        out_size: Size of the states.
        dropout: Dropout ratio between layers.
        initialW: Initializer, scalar or array of every weight. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array of every bias. None: 0.

    Attributes:
        0, 1, ...: One link a layer and direction, forward first, with ``w0`` ... ``w3`` (input to i, f, a, o), ``w4``
            ... ``w7`` (state to the same), and their biases ``b0`` ... ``b7``, as cuDNN orders them.

    Source:
        Graves & Schmidhuber 2005, Neural Networks 18.

    Examples:
        >>> xs = [np.ones((n, 3), np.float32) for n in (2, 4)]
        >>> hy, cy, ys = L.NStepBiLSTM(1, 3, 5, 0.0)(None, None, xs)
        >>> hy.shape, [y.shape for y in ys]
        ((2, 2, 5), [(2, 10), (4, 10)])
    """

    use_bi_direction = True

    def rnn(self, *args: Any) -> Any:
        """Apply `F.n_step_bilstm`."""
        return F.n_step_bilstm(*args)


class NStepGRUBase(NStepRNNBase):
    """Base of the stacked GRUs."""

    n_weights = 6


class NStepGRU(NStepGRUBase):
    """Stacked GRU over sequences of different lengths.

    Args:
        n_layers: Number of layers.
        in_size: Size of the input vectors.
        out_size: Size of the states and of the output.
        dropout: Dropout ratio between layers.
        initialW: Initializer, scalar or array of every weight. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array of every bias. None: 0.

    Attributes:
        0, 1, ...: One link a layer with ``w0`` ... ``w2`` (input to r, z, candidate),
            ``w3`` ... ``w5`` (state to the same), and their biases ``b0`` ... ``b5``, as cuDNN orders them.

    Source:
        Cho et al. 2014, arXiv:1406.1078, as in cuDNN.

    Examples:
        >>> xs = [np.ones((n, 3), np.float32) for n in (2, 4)]
        >>> hy, ys = L.NStepGRU(1, 3, 5, 0.0)(None, xs)
        >>> hy.shape, [y.shape for y in ys]
        ((1, 2, 5), [(2, 5), (4, 5)])
    """

    def rnn(self, *args: Any) -> Any:
        """Apply `F.n_step_gru`."""
        return F.n_step_gru(*args)


class NStepBiGRU(NStepGRUBase):
    """Stacked GRU in both directions, over sequences of different lengths.

    Args:
        n_layers: Number of layers.
        in_size: Size of the input vectors.
        out_size: Size of the states.
        dropout: Dropout ratio between layers.
        initialW: Initializer, scalar or array of every weight. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array of every bias. None: 0.

    Attributes:
        0, 1, ...: One link a layer and direction, forward first, with ``w0`` ... ``w2`` (input to r, z, candidate),
            ``w3`` ... ``w5`` (state to the same), and their biases ``b0`` ... ``b5``, as cuDNN orders them.

    Source:
        Cho et al. 2014, arXiv:1406.1078, as in cuDNN.

    Examples:
        >>> xs = [np.ones((n, 3), np.float32) for n in (2, 4)]
        >>> hy, ys = L.NStepBiGRU(1, 3, 5, 0.0)(None, xs)
        >>> hy.shape, [y.shape for y in ys]
        ((2, 2, 5), [(2, 10), (4, 10)])
    """

    use_bi_direction = True

    def rnn(self, *args: Any) -> Any:
        """Apply `F.n_step_bigru`."""
        return F.n_step_bigru(*args)


class NStepRNNTanh(NStepRNNBase):
    """Stacked plain recurrent network with tanh, over sequences of different lengths.

    Args:
        n_layers: Number of layers.
        in_size: Size of the input vectors.
        out_size: Size of the states and of the output.
        dropout: Dropout ratio between layers.
        initialW: Initializer, scalar or array of every weight. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array of every bias. None: 0.

    Attributes:
        0, 1, ...: One link a layer with ``w0`` (input), ``w1`` (state),
            and their biases ``b0`` and ``b1``.

    Source:
        Elman 1990, Finding structure in time.

    Examples:
        >>> xs = [np.ones((n, 3), np.float32) for n in (2, 4)]
        >>> hy, ys = L.NStepRNNTanh(1, 3, 5, 0.0)(None, xs)
        >>> hy.shape, [y.shape for y in ys]
        ((1, 2, 5), [(2, 5), (4, 5)])
    """

    n_weights = 2

    def rnn(self, *args: Any) -> Any:
        """Apply `F.n_step_rnn`."""
        return F.n_step_rnn(*args, activation="tanh")


class NStepBiRNNTanh(NStepRNNBase):
    """Stacked plain network with tanh in both directions, over sequences of different lengths.

    Args:
        n_layers: Number of layers.
        in_size: Size of the input vectors.
        out_size: Size of the states.
        dropout: Dropout ratio between layers.
        initialW: Initializer, scalar or array of every weight. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array of every bias. None: 0.

    Attributes:
        0, 1, ...: One link a layer and direction, forward first, with ``w0`` (input), ``w1`` (state),
            and their biases ``b0`` and ``b1``.

    Source:
        Schuster & Paliwal 1997, IEEE Transactions on Signal Processing 45.

    Examples:
        >>> xs = [np.ones((n, 3), np.float32) for n in (2, 4)]
        >>> hy, ys = L.NStepBiRNNTanh(1, 3, 5, 0.0)(None, xs)
        >>> hy.shape, [y.shape for y in ys]
        ((2, 2, 5), [(2, 10), (4, 10)])
    """

    n_weights = 2
    use_bi_direction = True

    def rnn(self, *args: Any) -> Any:
        """Apply `F.n_step_birnn`."""
        return F.n_step_birnn(*args, activation="tanh")


class NStepRNNReLU(NStepRNNBase):
    """Stacked plain recurrent network with a rectifier, over sequences of different lengths.

    Args:
        n_layers: Number of layers.
        in_size: Size of the input vectors.
        out_size: Size of the states and of the output.
        dropout: Dropout ratio between layers.
        initialW: Initializer, scalar or array of every weight. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array of every bias. None: 0.

    Attributes:
        0, 1, ...: One link a layer with ``w0`` (input), ``w1`` (state),
            and their biases ``b0`` and ``b1``.

    Source:
        Elman 1990, Finding structure in time.

    Examples:
        >>> xs = [np.ones((n, 3), np.float32) for n in (2, 4)]
        >>> hy, ys = L.NStepRNNReLU(1, 3, 5, 0.0)(None, xs)
        >>> hy.shape, [y.shape for y in ys]
        ((1, 2, 5), [(2, 5), (4, 5)])
    """

    n_weights = 2

    def rnn(self, *args: Any) -> Any:
        """Apply `F.n_step_rnn`."""
        return F.n_step_rnn(*args, activation="relu")


class NStepBiRNNReLU(NStepRNNBase):
    """Stacked plain network with a rectifier in both directions, over sequences of different lengths.

    Args:
        n_layers: Number of layers.
        in_size: Size of the input vectors.
        out_size: Size of the states.
        dropout: Dropout ratio between layers.
        initialW: Initializer, scalar or array of every weight. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array of every bias. None: 0.

    Attributes:
        0, 1, ...: One link a layer and direction, forward first, with ``w0`` (input), ``w1`` (state),
            and their biases ``b0`` and ``b1``.

    Source:
        Schuster & Paliwal 1997, IEEE Transactions on Signal Processing 45.

    Examples:
        >>> xs = [np.ones((n, 3), np.float32) for n in (2, 4)]
        >>> hy, ys = L.NStepBiRNNReLU(1, 3, 5, 0.0)(None, xs)
        >>> hy.shape, [y.shape for y in ys]
        ((2, 2, 5), [(2, 10), (4, 10)])
    """

    n_weights = 2
    use_bi_direction = True

    def rnn(self, *args: Any) -> Any:
        """Apply `F.n_step_birnn`."""
        return F.n_step_birnn(*args, activation="relu")
