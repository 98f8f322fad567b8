"""Estimates from shapes: floating point operations of an equation, elements and bytes of a type."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from jaxchain.views.model import Cluster, Node

_TYPE = re.compile(r"^([a-z]+\d*)\w*\[([\d,]*)\]$")
FREE = frozenset(
    "broadcast_in_dim reshape squeeze transpose convert_element_type slice dynamic_slice concatenate gather pad iota "
    "copy copy_p stop_gradient expand_dims rev bitcast_convert_type split select_n stack unstack tile jit pjit "
    "dynamic_update_slice scatter optimization_barrier sharding_constraint".split()
)


@lru_cache
def size_of(type_: str) -> tuple[int, int]:
    """Return the elements and bytes of ``float32[3,4]``."""
    found = _TYPE.match(type_)
    if found is None:
        return 0, 0
    n = math.prod(int(d) for d in found.group(2).split(",") if d)
    bits = re.search(r"\d+", found.group(1))
    return n, n * max(1, int(bits.group()) // 8 if bits else 1)


def flops_of(equation: Node, inputs: Sequence[str]) -> int:
    """Return the estimated operations of one run of an equation: a multiply-add is two, another result is one.

    Args:
        equation: From the jaxpr's graph.
        inputs: Types of what it reads.
    """
    primitive = str(equation.attributes.get("primitive"))
    if primitive in FREE or equation.kind == "control":
        return 0
    result = sum(size_of(t)[0] for t in equation.attributes.get("outputs", ()))
    params = equation.attributes.get("params", {})
    shapes = [[int(d) for d in m.group(2).split(",") if d] for t in inputs if (m := _TYPE.match(t))]
    if primitive == "dot_general" and shapes:
        axes = re.match(r"\(\(\(([\d, ]*)\)", str(params.get("dimension_numbers", "")))
        contracted = _numbers(axes.group(1)) if axes else [-1]
        return 2 * result * math.prod(shapes[0][a] for a in contracted)
    if primitive == "conv_general_dilated" and len(shapes) > 1:
        spec = re.search(r"rhs_spec=\((\d+), (\d+)", str(params.get("dimension_numbers", "")))
        out, into = (int(spec.group(1)), int(spec.group(2))) if spec else (0, 1)
        if (
            math.prod(_numbers(str(params.get("lhs_dilation", "")))) > 1
        ):  # transposed: each input meets the whole filter
            return 2 * math.prod(shapes[0]) * math.prod(shapes[1]) // max(1, shapes[1][into])
        return 2 * result * math.prod(shapes[1]) // max(1, shapes[1][out])
    if primitive.startswith("scatter") and len(shapes) > 2:
        return math.prod(shapes[2])  # what is added, not what it is added to
    if primitive.startswith("reduce_window"):
        return result * math.prod(_numbers(str(params.get("window_dimensions", ""))))
    if primitive.startswith(("reduce_", "cum", "arg")):
        read = max([result, *(size_of(t)[0] for t in inputs)])
        return 0 if primitive.startswith("reduce_") and read == result else read
    return result


def rounds_of(equation: Node, frames: Mapping[str, Cluster]) -> int:
    """Return how often an equation runs: the lengths of the scans around it. A ``while`` counts once."""
    rounds, at = 1, equation.cluster
    while at is not None:
        frame = frames[at]
        if frame.kind == "scan":
            rounds *= int(frame.attributes.get("params", {}).get("length", 1))
        at = frame.parent
    return rounds


def _numbers(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", text)]
