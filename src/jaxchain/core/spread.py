"""Types of arrays, as JAX has them: shape, dtype, and how an array is spread over the devices of a mesh."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, auto_axes, reshard, use_abstract_mesh


def struct_of(value: Any, weak_type: bool = False) -> jax.ShapeDtypeStruct:
    """Return the type of an array or tracer, or of an aval or struct: shape, dtype, and what JAX's types say besides.

    That is how an array is spread over the `Explicit` axes of a mesh, and over which axes of `jax.shard_map` it varies.
    An array that is whole on every device has the type of one on a single device: JAX takes either for the other.
    """
    kind = getattr(value, "aval", value)
    if isinstance(kind, jax.ShapeDtypeStruct) and kind.sharding is not None:
        kind = jax.typeof(kind)
    spec = getattr(getattr(kind, "sharding", None), "spec", ())
    manual = getattr(kind, "manual_axis_type", None)
    if any(axis is not None for axis in spec) or getattr(spec, "unreduced", None) or (manual and manual.varying):
        spread = {"sharding": kind.sharding, "manual_axis_type": manual}
        return jax.ShapeDtypeStruct(kind.shape, kind.dtype, weak_type=weak_type, **spread)
    return jax.ShapeDtypeStruct(kind.shape, kind.dtype, weak_type=weak_type)


def exact_type(value: Any) -> jax.ShapeDtypeStruct:
    """Return the type of an array or tracer, or of an aval, and whether it is weak: then others' dtypes decide."""
    return struct_of(value, getattr(getattr(value, "aval", value), "weak_type", False))


def is_on_mesh(value: Any) -> bool:
    """Return whether a type, or that of an array, is one of a mesh with `Explicit` axes."""
    kind = getattr(value, "aval", value)
    return AxisType.Explicit in getattr(getattr(getattr(kind, "sharding", None), "mesh", None), "axis_types", ())


def explicit_mesh(structs: Iterable[jax.ShapeDtypeStruct]) -> Any:
    """Return the mesh over whose `Explicit` axes arrays of these types are spread, or None."""
    meshes = [s.sharding.mesh for s in structs if s.sharding is not None]
    return next((mesh for mesh in meshes if AxisType.Explicit in mesh.axis_types), None)


def spec_of(struct: jax.ShapeDtypeStruct) -> PartitionSpec:
    """Return how an array of a type is spread."""
    return PartitionSpec() if struct.sharding is None else struct.sharding.spec


def left_to_xla(function: Any, mesh: Any, specs: Any) -> Any:
    """Return a function inside which XLA decides how arrays are spread, not their types.

    Args:
        function: The function.
        mesh: What its arrays are spread over.
        specs: How its results are to be, a `PartitionSpec` for each.
    """
    is_leaf = lambda spec: isinstance(spec, PartitionSpec)  # noqa: E731
    return auto_axes(function, out_sharding=jax.tree.map(lambda s: NamedSharding(mesh, s), specs, is_leaf=is_leaf))


def spec(aval: Any, value: Any = None) -> jax.ShapeDtypeStruct:
    """Return what an input of a jaxpr looks like, spread over devices as a value of it was."""
    struct, sharding = exact_type(aval), getattr(value, "sharding", None)
    return struct.update(sharding=sharding) if isinstance(sharding, NamedSharding) else struct


def str_of(struct: jax.ShapeDtypeStruct) -> str:
    """Return a type as messages show it: ``float32[8,4]``, or ``float32[8@data,4]`` where it says how it is spread."""
    if struct.sharding is not None:
        return str(jax.typeof(struct))
    return f"{'~' * struct.weak_type}{struct.dtype}[{','.join(map(str, struct.shape))}]"


def spread_as(value: Any, kind: Any) -> Any:
    """Return an array of a program as a type (an aval or struct) says that it is spread; what is no array as it is."""
    if not isinstance(value, jax.Array):
        return value
    own, struct = struct_of(value), struct_of(kind)
    if struct.manual_axis_type is not None:
        known = () if own.manual_axis_type is None else own.manual_axis_type.varying
        missing = tuple(struct.manual_axis_type.varying.difference(known))
        value = jax.lax.pcast(value, missing, to="varying") if missing else value
    mesh = None if own.sharding == struct.sharding else explicit_mesh((own, struct))
    return value if mesh is None else reshard(value, NamedSharding(mesh, spec_of(struct)))


def zeros_of(kind: Any, beside: Iterable[Any] = ()) -> Any:
    """Return zeros of a type.

    Args:
        kind: The type: an aval or struct, or an array of it.
        beside: Arrays on the same devices, for outside traces: types know none.
    """
    kind = struct_of(kind)
    sharding = kind.sharding
    if sharding is None:
        return jax.numpy.zeros(kind.shape, kind.dtype)
    for array in beside:
        mesh = getattr(getattr(array, "sharding", None), "mesh", None)
        if isinstance(mesh, Mesh):  # that of an array, not of a tracer
            return jax.device_put(np.zeros(kind.shape, kind.dtype), NamedSharding(mesh, sharding.spec))
    with use_abstract_mesh(sharding.mesh):
        zeros = jax.numpy.zeros(kind.shape, kind.dtype, out_sharding=sharding)
    varying = tuple(kind.manual_axis_type.varying)
    return jax.lax.pcast(zeros, varying, to="varying") if varying else zeros
