"""Sums of products in Einstein's notation."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Float

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, op
from jaxchain.functions.checks import left_to_numpy
from jaxchain.functions.composed import composed

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
REST = "@"  # stands for "..." while the subscripts are read: one character an axis, or a group of them


def _letters(sublist: Any) -> str:
    """Return a list of axis numbers as letters."""
    out = ""
    for axis in sublist:
        if axis is Ellipsis:
            out += REST
        elif isinstance(axis, int):
            out += LETTERS[axis]
        else:
            raise TypeError(f"einsum: sublists must contain int or Ellipsis, got {axis!r}")
    return out


def _parse(operands: Sequence[Any]) -> tuple[str, str, list[Any]]:
    """Return (input subscripts, output subscripts, arrays) of either form of call."""
    if not operands:
        raise ValueError("einsum: no input operands")
    if isinstance(operands[0], str):
        subscripts = operands[0].replace(" ", "").replace("...", REST)
        arrays = list(operands[1:])
        inputs, arrow, output = subscripts.partition("->")
        if "-" in inputs + output or ">" in inputs + output:
            raise ValueError(f"einsum: subscripts can only contain one '->', got {operands[0]!r}")
        if "." in subscripts:
            raise ValueError(f"einsum: invalid ellipses in {operands[0]!r}")
        for character in inputs + output:
            if character not in LETTERS + REST + ",":
                raise ValueError(f"einsum: character {character} is not a valid symbol")
    else:
        arrays = list(operands[0 : len(operands) // 2 * 2 : 2])
        inputs = ",".join(_letters(sublist) for sublist in operands[1::2])
        arrow = "->" if len(operands) % 2 else ""
        output = _letters(operands[-1]) if arrow else ""
    if not arrow:
        counted = inputs.replace(",", "")
        output = "".join(c for c in sorted(set(counted)) if c == REST or counted.count(c) == 1)
    for character in output:
        if character not in inputs:
            name = "..." if character == REST else character
            raise ValueError(f"einsum: output character {name} did not appear in the input")
        if output.count(character) > 1:
            raise ValueError(f"einsum: output character {character} appears twice")
    if len(inputs.split(",")) != len(arrays):
        raise ValueError(
            f"einsum: number of subscripts must equal the number of operands, got {inputs} for {len(arrays)}"
        )
    return inputs, output, arrays


def _sizes(subscript: str, shape: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """Yield each character with the size of its axis; of all its axes for the ellipsis."""
    left, rest, right = subscript.partition(REST)
    yield from zip(left, shape, strict=False)
    if rest:
        yield REST, shape[len(left) : len(shape) - len(right)]
        yield from zip(right, shape[len(shape) - len(right) :], strict=False)


@op(label="EinSum")
def _einsum(xs: Sequence[Float[Array, "..."]], inputs: str, output: str) -> Float[Array, "..."]:
    known: dict[str, Any] = {}
    for i, (subscript, x) in enumerate(zip(inputs.split(","), xs, strict=True)):
        expect(jnp.issubdtype(x.dtype, jnp.floating), f"x{i}.dtype is floating", x.dtype)
        letters = len(subscript.replace(REST, ""))
        fits = x.ndim >= letters if REST in subscript else x.ndim == letters
        with left_to_numpy():
            expect(fits, f"x{i} has the axes {subscript.replace(REST, '...')}", f"x{i}.ndim = {x.ndim}")
        for character, size in _sizes(subscript, x.shape):
            first = known.setdefault(character, size)
            name = "..." if character == REST else character
            expect(first == size, f"one size for {name}", f"{first} != {size}")
    return jnp.einsum(f"{inputs}->{output}".replace(REST, "..."), *xs)


@composed
def einsum(*operands: Any):
    """Sum of products over the axes that the output does not name.

    Args:
        operands: ``einsum("ij,jk->ik", a, b)``: subscripts and arrays; or ``einsum(a, [0, 1], b, [1, 2], [0, 2])``:
            each array with its axes' numbers, then the output's. Without an output: the axes that appear once, in
            alphabetical order. ``...`` (Ellipsis) stands for any axes; they must agree and stay in the output.

    Returns:
        The axes that the output names; the widest dtype of the arrays.

    Raises:
        InvalidType: An axis has two sizes, an array another number of axes, or a dtype is not floating.
        TypeError: A sublist contains something else than int and Ellipsis.
        ValueError: The subscripts are malformed.

    Source: as `numpy.einsum`.

    Examples:
        >>> F.einsum("ij,ij->i", np.float32([[1, 2], [3, 4]]), np.float32([[1, 1], [2, 2]])).array
        Array([ 3., 14.], dtype=float32)
    """
    inputs, output, arrays = _parse(operands)
    if REST in inputs and REST not in output:
        for subscript, x in zip(inputs.split(","), arrays, strict=True):
            if REST in subscript and x.ndim > len(subscript) - 1:
                raise ValueError("einsum: the output must contain '...': no sum is taken over it")
    return _einsum(arrays, inputs, output)
