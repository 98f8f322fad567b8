"""Making an exported program: a target traced once, on symbolic sizes, as a function of its state and arguments.

export(model, x)  ->  Exported, a link  ->  save(path)  ->  load_exported(path)  ->  Exported
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import export as jax_export

from jaxchain.core.arguments import argument_names
from jaxchain.core.arrays import ARRAY_LIKE
from jaxchain.core.attempt import own_errors
from jaxchain.core.calls import refuse_class
from jaxchain.core.cells import count, found_in, take
from jaxchain.core.config import using_config
from jaxchain.core.errors import format_source, traceback_source
from jaxchain.core.guard import NotCompilable
from jaxchain.core.program import Pruned
from jaxchain.core.traced import Traced
from jaxchain.core.tracing import trace_call
from jaxchain.core.variable import Variable, as_array, on_tape
from jaxchain.core.writes import ArrayWrite, GradientWrite, ItemWrite, VariableArrayWrite, VariableGradientWrite, Write
from jaxchain.exported import (
    FORMAT,
    KEY,
    PLATFORMS,
    Exported,
    ExportError,
    Program,
    flatten,
    path_of,
    spec_of,
    unflatten,
)
from jaxchain.link import Link
from jaxchain.links.parameter_tree import ATTRIBUTE, PARAM, STATE

_scope = jax_export.SymbolicScope()  # one for all exports: sizes of the same name are the same everywhere


# -- export ------------------------------------------------------------------------------------------------------------


def export(
    target: Callable[..., Any],
    *args: Any,
    platforms: Sequence[str] = PLATFORMS,
    batch: str | Sequence[str | None] = "symbolic",
    vjp_order: int = 0,
    train: bool = False,
    metadata: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Exported:
    """Export a model, or any function on models, as a program that runs without its code.

    The program is StableHLO for several platforms at once, made on any machine. Parameters, persistent values and all
    other state that a call reads are inputs of the program and part of the file. Choices by value (`if` on data) cannot
    be exported: use `jaxchain.cond` and `jaxchain.while_loop`. Numbers, strings and None among the arguments are part
    of the program.

    Args:
        target: A link, or a function; a whole training step, too.
        *args: Example arguments: arrays, Variables or `jax.ShapeDtypeStruct`, also in tuples, lists and dicts. Only
            their shapes and dtypes count.
        platforms: What it is to run on: of ``"cpu"``, ``"cuda"``, ``"rocm"``, ``"tpu"``.
        batch: ``"symbolic"``: the first axis of all array arguments is one size, which may be any later. ``"fixed"``:
            sizes are those of the examples. Or a shape per array argument, as `jax.export.symbolic_shape` takes it:
            ``["b, t", "b, _"]`` (``_``: the example's size).
        vjp_order: How often the program can be differentiated. Each order about doubles the file without its arrays.
        train: The value of ``config.train`` in the program.
        metadata: Further facts for the manifest, plain JSON data.
        **kwargs: Example arguments by name: the program is called with the same.

    Returns:
        The program as a link: call it, or ``save(path)`` it.

    Raises:
        ExportError: The target, its arguments or its result cannot be exported; the message says why, and where.

    Examples:
        >>> model = L.Linear(3, 2)
        >>> exported = jaxchain.export(model, np.zeros((1, 3), np.float32))
        >>> exported(np.ones((5, 3), np.float32)).shape
        (5, 2)
        >>> [path for path, _ in exported.namedparams()]
        ['/W', '/b']
    """
    _check_options(target, platforms, vjp_order)
    refuse_class(target)
    link = target if isinstance(target, Link) else None
    name = getattr(target, "__name__", type(target).__name__).strip("<>") if link is None else type(target).__name__
    leaves: list[Any] = []
    structure, keywords = flatten(args, leaves, "the arguments"), flatten(kwargs, leaves, "the arguments")
    args, kwargs = unflatten(structure, leaves), unflatten(keywords, leaves)  # dictionaries in the order of their keys
    names = argument_names(target if link is None else link._forward, args, kwargs)  # type: ignore[attr-defined]
    names = [
        n
        for n, leaf in zip(names, jax.tree_util.tree_leaves((args, kwargs), is_leaf=lambda v: v is None), strict=True)
        if isinstance(leaf, (Variable, *ARRAY_LIKE, jax.ShapeDtypeStruct))
    ]
    specs = _symbolic(leaves, names, batch)
    result: dict[str, Any] = {}

    def call(*flat: Any) -> Any:
        values = [Variable(v) if isinstance(leaf, Variable) else v for v, leaf in zip(flat, leaves, strict=True)]
        outputs: list[Any] = []
        value = target(*unflatten(structure, values), **unflatten(keywords, values))
        result["structure"] = flatten(value, outputs, f"the result of {name}")
        # a copy: what does not depend on the inputs, or is another output, too, is an output of its own
        return tuple(jnp.array(on_tape(y), copy=True) for y in outputs)

    with using_config("train", train), _explained(name, specs):
        traced = trace_call(call, tuple(specs), {}, [(name, target)], name, link is None, by_jax=vjp_order > 0)
    if traced.guards:
        raise ExportError(f"export: {name} chooses by the value of its state: {traced.guards[0]}. Use jaxchain.cond")
    facts = {
        "version": importlib.metadata.version("jaxchain"),
        "name": name,
        "platforms": list(platforms),
        "vjp_order": vjp_order,
        "train": train,
        "metadata": dict(metadata or {}),
        "arguments": structure,
        "keywords": keywords,
        "inputs": [spec_of(n, x) for n, x in zip(names, specs, strict=True)],
        "result": result["structure"],
    }
    return _exported(traced, link, specs, facts)


def _check_options(target: Any, platforms: Sequence[str], vjp_order: int) -> None:
    if not callable(target):
        raise ExportError(f"export: expected a link or a function, got {type(target).__name__}")
    unknown = sorted(set(platforms) - {*PLATFORMS, "rocm"})
    if isinstance(platforms, str) or unknown or not platforms:
        raise ExportError(f"export: platforms: expected some of cpu, cuda, rocm, tpu, got {platforms!r}")
    if not isinstance(vjp_order, int) or vjp_order < 0:
        raise ExportError(f"export: vjp_order: expected a number from 0, got {vjp_order!r}")


@contextlib.contextmanager
def _explained(name: str, specs: Sequence[Any]) -> Iterator[None]:
    """Say of what cannot be traced, in the block, why it cannot be exported."""
    try:
        with own_errors():
            yield
    except NotCompilable as error:
        raise ExportError(
            f"export: {name}: {error}. For a choice by value use jaxchain.cond, while_loop or scan"
        ) from error
    except (jax.errors.InconclusiveDimensionOperation, TypeError, ValueError) as error:
        said = {"_DimExpr", *(f"'{size}'" for spec in specs for size in spec.shape)}  # what `int` says of a symbol
        if isinstance(error, TypeError | ValueError) and not any(words in str(error) for words in said):
            raise
        raise ExportError(
            f"export: {name} needs a number where it has a symbolic size{_line(error)}\n"
            f"{str(error).splitlines()[0]}. Write x.shape[0] in the place of len(x), export it with batch='fixed', or "
            "make only other sizes symbolic"
        ) from error


def _line(error: BaseException) -> str:
    line = format_source(traceback_source(error))
    return f": {line}" if line else ", in one of its links"


def _symbolic(leaves: Sequence[Any], names: Sequence[str], batch: str | Sequence[str | None]) -> list[Any]:
    """Return the shapes that the program is traced on."""
    if batch == "symbolic":
        sizes = {n: x.shape[0] for n, x in zip(names, leaves, strict=True) if x.ndim}
        if len(set(sizes.values())) > 1:
            raise ExportError(
                f"export: batch='symbolic' needs arguments with one size of the first axis, got {sizes}: say which "
                "sizes vary, as in batch=['b, _', '_, _']"
            )
        shapes: Sequence[str | None] = ["batch, ..." if x.ndim else None for x in leaves]
    elif batch == "fixed":
        shapes = [None] * len(leaves)
    elif isinstance(batch, str) or len(batch) != len(leaves):
        raise ExportError(
            f"export: batch: expected 'symbolic', 'fixed' or a list of {len(leaves)} shapes, one per array argument "
            f"({', '.join(names)}), got {batch!r}"
        )
    else:
        shapes = batch
    specs = []
    for name, x, shape in zip(names, leaves, shapes, strict=True):
        try:
            sizes = jax_export.symbolic_shape(shape, scope=_scope, like=x.shape)
            if len(sizes) != x.ndim:
                raise ValueError(f"it has {len(sizes)} sizes")
        except ValueError as error:
            raise ExportError(f"export: batch: {shape!r} does not fit {name} of shape {x.shape}: {error}") from None
        if jax.numpy.issubdtype(x.dtype, jax.dtypes.extended):
            raise ExportError(
                f"export: expected numbers, got {name} of type {x.dtype}: pass jax.random.key_data(key), and make it a "
                "key again inside, with jax.random.wrap_key_data"
            )
        specs.append(jax.ShapeDtypeStruct(sizes, jax.dtypes.canonicalize_dtype(x.dtype)))
    return specs


def _clean(name: str, taken: set[str]) -> str:
    """Return the name of a cell as a path of attribute names that is not taken."""
    parts = [re.sub(r"\W+", "_", part).strip("_") for part in re.split(r"[./\[]", name)]
    path = "/" + "/".join(part if not part[:1].isdigit() else f"_{part}" for part in parts if part)
    while path in taken:
        path += "_"
    taken.add(path)
    return path


def _cells_of(traced: Traced, link: Link | None) -> dict[int, tuple[str, str]]:
    """Return (kind, name) of each input of the program that is state; the names are those of the link.

    What a link's own files do not have, such as the ``h`` of an LSTM, is an attribute here, too.
    """
    paths: dict[Any, str] = {}
    for path, inner in link.namedlinks() if link is not None else ():
        prefix = path.rstrip("/")
        paths.update({id(inner.__dict__[n]): f"{prefix}/{n}" for n in inner._params})
        paths.update({(id(inner._home(n)), n): f"{prefix}/{n}" for n in inner._persistent})
    lifted, taken = traced.lifted, set(paths.values())
    names, walk = traced.inputs, lifted.walk
    cells = {0: (KEY, KEY)}
    for at, p in enumerate(lifted.arrays, lifted.bounds["arrays"][0]):
        cells[at] = (PARAM, paths.get(id(p)) or _clean(names[at], taken))
    at = lifted.bounds["places"][0]
    for container, key, template, _ in walk.places:
        known = paths.get((id(container), key)) if count(template) == 1 else None
        for _ in range(count(template)):
            if known or link is None:
                cells[at] = (STATE, known or _clean(names[at], taken))
            else:
                cells[at] = (ATTRIBUTE, _clean(names[at].removeprefix(type(link).__name__), taken))
            at += 1
    return cells


def _probes(traced: Traced) -> list[Variable]:
    """Return stand-ins for the outputs, and behind them for the Variables that come out as they came in."""
    lifted = traced.lifted
    probes = [Variable(jnp.zeros(())) for _ in traced.jaxpr.jaxpr.outvars]
    behind = [Variable(jnp.zeros(())) for _ in (*lifted.leaves, *found_in(lifted.holders))]
    for own, at in lifted.gives_back.items():
        if at >= 0:
            behind[own] = probes[at]
    return [*probes, *behind]


def _left_in(
    write: Write, probes: Sequence[Variable], parameters: dict[int, int], places: dict[Any, tuple[int, Any]]
) -> tuple[int, list[Any]] | None:
    """Return the first input of the cell that a write fills, and the arrays; None: it fills none that is an input.

    Args:
        write: The write.
        probes: What `_probes` returned.
        parameters: The inputs that are parameters, by identity.
        places: The first input of each place, and its template.
    """
    at: Any = write.index  # known where the cell is an array
    if isinstance(write, ArrayWrite) and id(write.container) in parameters:
        return parameters[id(write.container)], [probes[at].array]
    is_variable = isinstance(write, VariableArrayWrite)
    if not (is_variable or isinstance(write, ItemWrite)) or (id(write.container), write.key) not in places:
        return None
    home, template = places[id(write.container), write.key]
    if is_variable:  # of several Variables one: not told which
        return None if template[0] == "tuple" else (home, [probes[at].array])
    values: list[Any] = []
    return (home, values) if take(template, write.build(probes), values) else None


def _writes_of(traced: Traced, name: str, probes: Sequence[Variable], number: dict[int, int]) -> dict[int, int]:
    """Return {input: output} of the state that a call leaves behind. `number`: the outputs by identity of a probe."""
    lifted, writes, lost = traced.lifted, {}, []
    walk = lifted.walk
    avals = [v.aval for v in traced.jaxpr.jaxpr.outvars]
    parameters = {id(p): at for at, p in enumerate(lifted.arrays, lifted.bounds["arrays"][0])}
    places, at = {}, lifted.bounds["places"][0]
    for container, key, template, _ in walk.places:
        places[id(container), key] = at, template
        at += count(template)
    for write in lifted.writes:
        found = _left_in(write, probes, parameters, places)
        if found is None:
            lost += [] if isinstance(write, GradientWrite | VariableGradientWrite) else [write.name]
            continue
        for i, value in enumerate(found[1], found[0]):
            before, after = traced.jaxpr.jaxpr.invars[i].aval, avals[number[id(value)]]
            if (before.shape, before.dtype) == (after.shape, after.dtype):
                writes[i] = number[id(value)]
            elif lifted.live[i]:
                raise ExportError(
                    f"export: {name}: {write.name} changes from {before.str_short()} to {after.str_short()} in a call; "
                    "state must keep its shape: export with batch='fixed', or reset it first"
                )
            else:
                lost.append(write.name)
    if lost:
        warnings.warn(
            f"export: {name} also sets {', '.join(sorted(set(lost)))}, which the program leaves out: every call starts "
            "as the first one did",
            stacklevel=4,
        )
    return writes


def _exported(traced: Traced, link: Link | None, specs: Sequence[Any], facts: dict[str, Any]) -> Exported:
    """Return the program of a trace."""
    lifted, name = traced.lifted, facts["name"]
    jaxpr, live = traced.jaxpr, lifted.live
    probes = _probes(traced)
    number = {id(v.array): i for i, v in enumerate(probes[: len(jaxpr.jaxpr.outvars)])}
    cells, writes = _cells_of(traced, link), _writes_of(traced, name, probes, number)
    first = len(live) - len(specs)
    gradients = [traced.inputs[i] for i in range(first) if live[i] and i not in cells]
    if gradients:
        raise ExportError(f"export: {name} reads {gradients[0]} of before the call: clear gradients in it first")
    if not lifted.draws:
        del cells[0]  # a loop may name the key that it does not draw with
    state = sorted(
        (i for i in cells if live[i] or i in writes), key=lambda i: (cells[i][0] == KEY, path_of(cells[i][1]))
    )
    results = [number[id(as_array(v))] for v in lifted.result(probes)]
    wanted = [*results, *writes.values()]
    order = [*state, *range(first, len(live))]
    run = Pruned.of(jaxpr, order)

    def program(*flat: Any) -> Any:
        outputs = run(*flat)
        return tuple(outputs[i] for i in wanted)

    program.__name__ = name
    arrays = [jnp.asarray(traced.values[i], jaxpr.jaxpr.invars[i].aval.dtype) for i in state]
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in arrays]
    try:
        made = jax_export.export(jax.jit(program, keep_unused=True), platforms=facts["platforms"])(*shapes, *specs)
    except NotImplementedError as error:  # callbacks into Python are
        raise ExportError(f"export: {name}: JAX cannot export it: {str(error).splitlines()[0]}") from error
    places = {i: at for at, i in enumerate(state)}
    manifest = {
        "format": FORMAT,
        "jaxchain": facts.pop("version"),
        "jax": jax.__version__,
        "calling_convention_version": made.calling_convention_version,
        **facts,
        "outputs": [spec_of(f"result {i}", a) for i, a in enumerate(made.out_avals[: len(results)])],
        "state": [{"kind": cells[i][0], **spec_of(cells[i][1], a)} for i, a in zip(state, arrays, strict=True)],
        "writes": [{"state": places[i], "output": at} for at, i in enumerate(writes, len(results))],
        "draws": lifted.draws if live[0] else 0,
    }
    values = [a for i, a in zip(state, arrays, strict=True) if cells[i][0] != KEY]
    return Exported(Program(made, json.loads(json.dumps(manifest))), values)
