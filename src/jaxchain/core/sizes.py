"""Sizes that vary from call to call: a policy that pads arguments, so that many sizes are a few programs."""

from __future__ import annotations

import bisect
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxchain.core.arrays import ARRAY_LIKE
from jaxchain.core.errors import format_source, warn
from jaxchain.core.op import op
from jaxchain.core.traced import Traced
from jaxchain.core.variable import Variable

ARRAYS = (Variable, *ARRAY_LIKE)
Floats = Float[Array, "..."]
BY_BATCH = ("batch_normalization", "batch_renormalization", "decorrelated_batch_normalization")


class PaddingCounts(UserWarning):
    """A layer takes statistics over an axis that `bucket` pads: what it gives is not what eager mode does.

    Cause: batch normalisation in training, which knows no mask. Ways out: statistics of the data alone, by the mask
    (the page on sizes that vary has a link to copy); a normalisation of each example; no `bucket` for such a step.
    """


class bucket:
    """Pad arguments to the next of a few sizes before they are compiled for.

    Used as ``@jaxchain.static(sizes=jaxchain.bucket({"x": 0, "t": 0}, fill={"t": -1}))``. All padded arguments of a
    call have one size; they are padded at the end. A function that has a parameter called `mask` is given a boolean
    array (size,): true where there is data. Elements that are padding must not count: multiply by the mask, or fill
    with a label that the loss ignores. Arrays are padded in host memory. A Variable gets its part of the gradient.

    Args:
        axes: The axis that varies of each argument, by the argument's name. Lists and trees of arrays are padded leaf
            by leaf, to the bucket of the longest.
        sizes: The sizes to pad to; a size larger than all of them is left as it is. None: powers of two.
        fill: What to pad with: a number, or one per argument by name (0 where it is not named).
        mask: Name of the parameter that is given the mask, or masks if the argument is a list.

    Raises:
        ValueError: `sizes` is empty or not positive; a call's padded arguments differ in size; an argument of that name
            does not exist.
    """

    def __init__(
        self,
        axes: Mapping[str, int],
        sizes: Sequence[int] | None = None,
        fill: float | Mapping[str, float] = 0,
        mask: str = "mask",
    ) -> None:
        self.axes, self.fill, self.mask = dict(axes), fill, mask
        self.sizes = None if sizes is None else sorted(set(sizes))
        if self.sizes is not None and (not self.sizes or self.sizes[0] < 1):
            raise ValueError(f"bucket: sizes: expected positive integers, got {sizes!r}")

    def size(self, n: int) -> int:
        """Return the size that `n` is padded to."""
        if self.sizes is not None:
            at = bisect.bisect_left(self.sizes, n)
            return self.sizes[at] if at < len(self.sizes) else n
        return 1 << (n - 1).bit_length() if n > 0 else n

    def apply(self, function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Return a call's arguments, padded.

        Args:
            function: What is called: its parameters have the names.
            args: Positional arguments.
            kwargs: Keyword arguments.
        """
        args, kwargs, _ = self.padded(function, args, kwargs)
        return args, kwargs

    def padded(self, function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Any, list[Padded]]:
        """Return the same as `apply`, and the Variables among the arguments for which others stand."""
        signature = inspect.signature(function)
        bound = signature.bind_partial(*args, **kwargs)
        lengths: dict[str, list[int]] = {}
        for name, axis in self.axes.items():
            if name not in signature.parameters:
                raise ValueError(f"bucket: {name!r} is not a parameter of {getattr(function, '__name__', function)}")
            if name in bound.arguments:
                lengths[name] = [_length(name, leaf, axis) for leaf in _leaves(bound.arguments[name])]
        longest = {name: max(found) for name, found in lengths.items() if found}
        if len(set(longest.values())) > 1:
            raise ValueError(f"bucket: expected arguments of one size, got {longest}")
        if not longest:
            return args, kwargs, []
        padded: dict[Any, Padded] = {}  # a Variable that is given twice stays one
        size = self.size(next(iter(longest.values())))
        for name in longest:
            fill = self.fill.get(name, 0) if isinstance(self.fill, Mapping) else self.fill
            axis = self.axes[name]
            bound.arguments[name] = jax.tree_util.tree_map(
                lambda leaf, axis=axis, fill=fill: _pad(leaf, axis, size, fill, padded), bound.arguments[name]
            )
        if self.mask in signature.parameters and self.mask not in bound.arguments:
            name = next(iter(longest))
            masks = [np.arange(size) < n for n in lengths[name]]
            bound.arguments[self.mask] = masks[0] if isinstance(bound.arguments[name], ARRAYS) else masks
        return bound.args, bound.kwargs, [*padded.values()]

    def warn_of_statistics(self, function: Callable[..., Any], args: Any, kwargs: Any, traced: Traced) -> None:
        """Warn if the program of a padded call takes statistics over an axis of a padded size."""
        given = inspect.signature(function).bind_partial(*args, **kwargs).arguments
        sizes = {leaf.shape[axis] for name, axis in self.axes.items() for leaf in _leaves(given.get(name))}
        for eqn in traced.jaxpr.jaxpr.eqns:
            name = eqn.params.get("name")
            if name in BY_BATCH and not sizes.isdisjoint(eqn.invars[0].aval.shape):
                source = next((n.source for n in traced.nodes if n.op == name), None)
                warn(
                    f"{traced.name}: F.{name} counts the padding of bucket among its statistics. Take those of the "
                    f"data by the mask (docs/how-to/varying-sizes.md), or leave such a step without a bucket\n"
                    f"at {format_source(source)}",
                    PaddingCounts,
                )
                return


class Padded(NamedTuple):
    """A Variable and one that stands for it in a call, with the array that this had before the call."""

    given: Variable
    stand_in: Variable
    array: Any


def give_back(padded: Sequence[Padded]) -> None:
    """Give Variables their parts of what a call left in those that stood for them: gradients, and new arrays."""
    for given, _, _ in padded:
        given.grad = None
    for given, stand_in, array in padded:
        part = tuple(map(slice, given.shape))
        if stand_in.array is not array:
            given.array = np.asarray(stand_in.array)[part]
        if stand_in.grad is not None:
            grad = np.asarray(stand_in.grad)[part]
            given.grad = grad if given.grad is None else given.grad + grad


def _leaves(value: Any) -> list[Any]:
    return jax.tree_util.tree_leaves(value)


def _length(name: str, leaf: Any, axis: int) -> int:
    if not isinstance(leaf, ARRAYS) or not -leaf.ndim <= axis < leaf.ndim:
        raise ValueError(f"bucket: {name}: expected arrays with an axis {axis}, got {type(leaf).__name__}")
    return leaf.shape[axis]


@op(label="Pad")
def _pad_in_graph(x: Floats, widths: tuple[tuple[int, int], ...], fill: float) -> Floats:
    return jnp.pad(x, widths, constant_values=jnp.asarray(fill).astype(x.dtype))


def _pad(leaf: Any, axis: int, size: int, fill: float, padded: dict[Any, Padded]) -> Any:
    missing = size - leaf.shape[axis]
    if missing <= 0:
        return leaf
    widths = [(0, 0)] * leaf.ndim
    widths[axis] = (0, missing)
    if not isinstance(leaf, Variable):
        return np.pad(np.asarray(leaf), widths, constant_values=fill)
    if leaf.creator_node is not None and leaf.requires_grad:  # a gradient goes on to what it was made of
        return _pad_in_graph(leaf, tuple(widths), fill)
    key = (id(leaf), axis, fill)
    if key not in padded:
        array = np.pad(np.asarray(leaf.array), widths, constant_values=fill)
        stand_in = Variable(array, name=leaf.name, requires_grad=leaf.requires_grad)
        if leaf.grad is not None and all(p.given is not leaf for p in padded.values()):
            stand_in.grad = np.pad(np.asarray(leaf.grad), widths)
        padded[key] = Padded(leaf, stand_in, stand_in.array)
    return padded[key].stand_in
