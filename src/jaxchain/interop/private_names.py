"""Names of Chainer's files that are no part of its API, and that programs import: they copied the code around them.

Updaters copy `_call_converter` and `gather_grads`, converters `_concat_arrays`, LSTM cells `_extract_gates`, layers
`_pair`, models of sequences `permutate_list`.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxchain import backend
from jaxchain import functions as F
from jaxchain.core import type_check
from jaxchain.core.config import thread_state
from jaxchain.dataset import convert as _convert
from jaxchain.links.n_step_recurrent import by_falling_length
from jaxchain.optimizers.hooks import exponential_decay_noise
from jaxchain.testing import assert_allclose
from jaxchain.training.updaters.base import convert
from jaxchain.utils import conv, conv_nd


def call_converter(converter: Callable[..., Any], batch: Any, device: Any) -> Any:
    """Return a batch as arrays.

    Args:
        converter: ``converter(batch, device)``.
        batch: What an iterator yields.
        device: A device, its number or None.
    """
    return convert(converter, batch, device)


def extract_gates(x: Any) -> list[Any]:
    """Return the four gates of an LSTM, which are interleaved along axis 1.

    Args:
        x: Shape (B, 4 D, ...).

    Returns:
        Four arrays of shape (B, D, ...).
    """
    x = x.reshape(x.shape[0], x.shape[1] // 4, 4, *x.shape[2:])
    return [x[:, :, i] for i in range(4)]


def permutate_list(values: Sequence[Any], indices: Sequence[int], inv: bool) -> list[Any]:
    """Return a list in another order.

    Args:
        values: The list.
        indices: Where each element of the result comes from.
        inv: They say where each element goes instead.
    """
    order = np.argsort(indices, kind="stable") if inv else indices
    return [values[i] for i in order]


def pair(x: Any) -> Any:
    """Return two sizes for one; what can be indexed stays."""
    return x if hasattr(x, "__getitem__") else (x, x)


def as_vec(x: Any) -> Any:
    """Return an array flat."""
    return x.reshape(-1)


def refuse_pickle(*_: Any) -> Any:
    """Stand for what a pickle of Chainer's Variables and Parameters calls.

    Raises:
        UnpicklingError: Always.
    """
    raise pickle.UnpicklingError(
        "this is a pickle of Chainer's objects, which hold Chainer's attributes. Load it with Chainer, save it with "
        "chainer.serializers.save_npz(file, model), and load that file here with load_npz"
    )


def as_mat(x: Any) -> Any:
    """Return an array with two axes: all but the first are one."""
    return x.reshape(x.shape[0], x.size // x.shape[0])


def gather(of: str, link: Any) -> Any:
    """Return what a link's parameters hold in one flat array of float32, by their names.

    Args:
        of: ``"grad"`` (zeros where there is none) or ``"data"``.
        link: The link.
    """
    held = [(p.array, getattr(p, of)) for _, p in sorted(link.namedparams()) if p.array is not None]
    flat = [jnp.zeros(a.size, np.float32) if v is None else v.ravel().astype(np.float32) for a, v in held]
    return jnp.concatenate([jnp.zeros(0, np.float32), *flat])


def scatter(of: str, link: Any, array: Any) -> None:
    """Give a link's parameters what `gather` returned of another.

    Args:
        of: ``"grad"`` or ``"data"``.
        link: The link.
        array: The flat array.
    """
    start = 0
    for _, p in sorted(link.namedparams()):
        if p.array is not None:
            setattr(p, of, array[start : start + p.size].reshape(p.shape).astype(p.dtype))
            start += p.size


def n_step_base(one_way: Callable[..., Any], both_ways: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that Chainer makes both of: its last argument says whether it runs in both directions.

    Args:
        one_way: The function of one direction.
        both_ways: That of both.
    """

    def base(*args: Any, use_bi_direction: bool | None = None, **kwargs: Any) -> Any:
        if use_bi_direction is None:
            *args, use_bi_direction = args  # type: ignore[assignment]
        return (both_ways if use_bi_direction else one_way)(*args, **kwargs)

    return base


def constant(value: Any) -> type_check.Expr:
    """Return an expression of a value.

    Args:
        value: The value, which is its text, too.
    """
    return type_check.Expr(lambda: value, str(value))


NAMES: dict[str, Any] = {
    "_get_link_hooks": lambda: thread_state().link_hooks,
    "backends.cuda.numpy": np,
    "cuda.numpy": np,
    "dataset.convert._call_converter": call_converter,
    "dataset.convert._concat_arrays": _convert._stack,
    "dataset.convert._concat_arrays_with_padding": _convert._pad,
    "functions.connection.convolution_2d._pair": pair,
    "functions.pooling.pooling_2d._pair": pair,
    "functions.rnn.lstm._extract_gates": extract_gates,
    "functions.rnn.n_step_gru.n_step_gru_base": n_step_base(F.n_step_gru, F.n_step_bigru),
    "functions.rnn.n_step_lstm.n_step_lstm_base": n_step_base(F.n_step_lstm, F.n_step_bilstm),
    "functions.rnn.n_step_rnn.n_step_rnn_base": n_step_base(F.n_step_rnn, F.n_step_birnn),
    "gradient_check.assert_allclose": assert_allclose,
    "links.connection.convolution_2d._pair": pair,
    "links.rnn.n_step_rnn.argsort_list_descent": by_falling_length,
    "links.rnn.n_step_rnn.permutate_list": permutate_list,
    "optimizer_hooks.gradient_noise.exponential_decay_noise": exponential_decay_noise,
    "utils.array.as_mat": as_mat,
    "training.updaters.multiprocess_parallel_updater.gather_grads": functools.partial(gather, "grad"),
    "training.updaters.multiprocess_parallel_updater.gather_params": functools.partial(gather, "data"),
    "training.updaters.multiprocess_parallel_updater.scatter_grads": functools.partial(scatter, "grad"),
    "training.updaters.multiprocess_parallel_updater.scatter_params": functools.partial(scatter, "data"),
    "utils.array.as_vec": as_vec,
    "utils.conv.col2im_gpu": conv.col2im,
    "utils.conv.im2col_gpu": conv.im2col,
    "utils.conv_nd.col2im_nd_gpu": conv_nd.col2im_nd,
    "utils.conv_nd.im2col_nd_gpu": conv_nd.im2col_nd,
    "utils.type_check.Constant": constant,
    "utils.type_check.Variable": type_check.make_variable,
    "utils.type_check.in_light_mode": lambda: False,  # types are always expressions here
    "variable._create_variable": refuse_pickle,
    "variable._recover_parameter": refuse_pickle,
}
"""By Chainer's path."""
MODULES = {"_backend": backend}
"""Files of Chainer's, and the modules of jaxchain that have their names."""
