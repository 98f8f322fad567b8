"""In-place writes of Chainer's programs on immutable arrays: `param.array[...] = w` becomes an assignment.

The program's syntax tree is changed when it is loaded, where an element of something is assigned to, where something is
filled, and where `copyto` writes into something. That something is a *place*: an attribute, or a name that is given new
arrays only (`FRESH`, operators) and its own, moved (`MOVES`), no views. If it holds a JAX array, it is assigned a
changed copy; anything else is written to in place.

Other names for the old array would keep its old values. For the attributes `array`, `data` and `grad` it is left at
that; anywhere else, an array that others hold, too, is not changed, and the error says so.
"""

from __future__ import annotations

import ast
import importlib.machinery
import operator
import sys
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.compat import is_tracer
from jaxchain.core.variable import as_array

ATTRIBUTES = ("array", "data", "grad")
WRITE, READ, UPDATE, FILL, INDEX = (f"__jaxchain_{name}__" for name in ("write", "read", "update", "fill", "index"))
FRESH = frozenset(
    "zeros ones empty full zeros_like ones_like empty_like full_like arange linspace eye identity copy array astype "
    "tile repeat concatenate stack hstack vstack where".split()
)
"""Functions and methods whose results are nobody's views."""
MOVES = frozenset("to_cpu to_gpu to_chx from_chx to_device asnumpy".split())
"""Functions that move an array: `x = to_cpu(x)` leaves the name what it was."""


class _Index:
    """``_Index()[a:b, c]`` is the index itself: slices cannot be written as arguments."""

    def __getitem__(self, index: Any) -> Any:
        return index


def _look_up(owner: Any, name: str | None) -> Any:
    return owner if name is None else getattr(owner, name)


def write(value: Any, owner: Any, name: str | None, index: Any) -> Any:
    """Do ``place[index] = value``.

    Args:
        value: What is assigned.
        owner: The place's owner, or the array.
        name: Its attribute.
        index: The index.

    Returns:
        The array that is in the place now.

    Raises:
        TypeError: It is a JAX array that has other names.
    """
    array = _look_up(owner, name)
    if not isinstance(array, jax.Array):
        array[index] = value
        return array
    if name is None:
        owner = None  # one name less for the array
    traced = is_tracer(array)  # which the trace holds, too
    if name not in ATTRIBUTES and not traced and sys.getrefcount(array) > 3:  # the place, `array`, the argument
        raise TypeError(
            "arrays of the array module are immutable, and this one has other names, which would keep the old values: "
            "write into a copy (x = x.copy()) or into a NumPy array"
        )
    value = as_array(value)
    if traced or is_tracer(value):
        changed = array.at[index].set(jnp.asarray(value, array.dtype))
    else:  # on the host: NumPy's rules for indices, shapes and types
        buffer = np.array(array)
        buffer[index] = np.asarray(value)
        changed = jax.device_put(jnp.array(buffer), array.sharding)
    if name is not None:
        setattr(owner, name, changed)
    return changed


def read(owner: Any, name: str | None, index: Any) -> list[Any]:
    """Return what `update` needs, before the right side is evaluated.

    Args:
        owner: The place's owner, or the array.
        name: Its attribute.
        index: The index.
    """
    array = _look_up(owner, name)
    at = jnp.asarray(index) if isinstance(array, jax.Array) and isinstance(index, list) else index
    return [owner, name, index, array[at]]


def update(held: list[Any], value: Any, operation: str) -> Any:
    """Do ``place[index] += value``, or another operation.

    Args:
        held: What `read` returned; it is emptied.
        value: The right side.
        operation: Name of the operator, e.g. ``iadd``.

    Returns:
        The array that is in the place now.
    """
    value = getattr(operator, operation)(held.pop(), value)
    index, name = held.pop(), held.pop()
    return write(value, held.pop(), name, index)


def fill(value: Any, owner: Any, name: str | None) -> Any:
    """Do ``place.fill(value)``, for an array or an object of the program.

    Args:
        value: What it is filled with.
        owner: The place's owner, or the array.
        name: Its attribute.

    Returns:
        What is in the place now.
    """
    filled = _look_up(owner, name)
    if isinstance(filled, jax.Array):
        del filled
        held = [owner]
        del owner
        return write(value, held.pop(), name, ...)
    filled.fill(value)
    return filled


HELPERS = {WRITE: write, READ: read, UPDATE: update, FILL: fill, INDEX: _Index()}
_OPERATIONS = {
    ast.Add: "iadd",
    ast.Sub: "isub",
    ast.Mult: "imul",
    ast.Div: "itruediv",
    ast.FloorDiv: "ifloordiv",
    ast.Mod: "imod",
    ast.Pow: "ipow",
    ast.MatMult: "imatmul",
    ast.BitAnd: "iand",
    ast.BitOr: "ior",
    ast.BitXor: "ixor",
    ast.LShift: "ilshift",
    ast.RShift: "irshift",
}


_INNER = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.Lambda,
    ast.ClassDef,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is in a scope; of inner scopes only their heads."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _INNER):
            yield from _inside(child)


def _called(call: ast.Call) -> str | None:
    """Return the last name of what is called."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)


def _is_fresh(value: ast.expr) -> bool:
    """Return whether an expression makes a new array, if it makes one."""
    if isinstance(value, ast.Call):
        return _called(value) in FRESH
    return isinstance(value, ast.BinOp | ast.UnaryOp | ast.Compare)


def _moves(value: ast.expr, name: str) -> bool:
    """Return whether an expression is what a name has, moved."""
    if not isinstance(value, ast.Call) or _called(value) not in MOVES or not value.args:
        return False
    moved = value.args[0]
    return isinstance(moved, ast.Name) and moved.id == name


def _places(scope: ast.AST) -> set[str]:
    """Return the names that a scope assigns to, and only new arrays or their own."""
    places: set[str] = set()
    others: set[str] = set()
    fresh: set[int] = set()
    for node in _inside(scope):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            if _is_fresh(node.value):
                places.add(node.targets[0].id)
                fresh.add(id(node.targets[0]))
            elif _moves(node.value, node.targets[0].id):
                fresh.add(id(node.targets[0]))
        elif isinstance(node, ast.AugAssign):
            fresh.add(id(node.target))
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and id(node) not in fresh:
            others.add(node.id)
    return places - others


class _Rewriter(ast.NodeTransformer):
    def __init__(self) -> None:
        self.places: set[str] = set()

    def _visit_scope(self, node: Any) -> Any:
        outer, self.places = self.places, _places(node)
        self.generic_visit(node)
        self.places = outer
        return node

    visit_Module = visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _visit_scope

    def _place(self, node: Any) -> tuple[ast.expr, ast.expr] | None:
        """Return owner and attribute of what is written into; None: it is no place."""
        if isinstance(node, ast.Name) and node.id in self.places:
            return ast.Name(node.id, ast.Load()), ast.Constant(None)
        if isinstance(node, ast.Attribute):
            return node.value, ast.Constant(node.attr)
        return None

    @staticmethod
    def _index(node: ast.Subscript) -> ast.expr:
        return ast.Subscript(ast.Name(INDEX, ast.Load()), node.slice, ast.Load())

    @staticmethod
    def _statement(node: ast.stmt, written: Any, helper: str, *arguments: ast.expr) -> ast.stmt:
        call = ast.Call(ast.Name(helper, ast.Load()), list(arguments), [])
        new = ast.Assign([ast.Name(written.id, ast.Store())], call) if isinstance(written, ast.Name) else ast.Expr(call)
        for inner in ast.walk(new):
            if not hasattr(inner, "lineno"):
                ast.copy_location(inner, node)
        return ast.fix_missing_locations(new)

    def visit_Assign(self, node: ast.Assign) -> Any:
        self.generic_visit(node)
        target = node.targets[0]
        if len(node.targets) == 1 and isinstance(target, ast.Subscript) and (place := self._place(target.value)):
            return self._statement(node, target.value, WRITE, node.value, *place, self._index(target))
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        self.generic_visit(node)
        target = node.target
        if isinstance(target, ast.Subscript) and (place := self._place(target.value)):
            held = ast.Call(ast.Name(READ, ast.Load()), [*place, self._index(target)], [])
            operation = ast.Constant(_OPERATIONS[type(node.op)])
            return self._statement(node, target.value, UPDATE, held, node.value, operation)
        return node

    def visit_Expr(self, node: ast.Expr) -> Any:
        self.generic_visit(node)
        call = node.value
        if not isinstance(call, ast.Call) or call.keywords or any(isinstance(a, ast.Starred) for a in call.args):
            return node
        function, name = call.func, _called(call)
        if name == "fill" and isinstance(function, ast.Attribute) and len(call.args) == 1:
            if place := self._place(function.value):
                return self._statement(node, function.value, FILL, call.args[0], *place)
        elif name == "copyto" and len(call.args) == 2:
            target = call.args[0]
            if isinstance(target, ast.Attribute) and target.attr in ATTRIBUTES and (place := self._place(target)):
                return self._statement(node, target, WRITE, call.args[1], *place, ast.Constant(...))
        return node


def compile_program(source: bytes | str, filename: str) -> Any:
    """Return the code of a program, its in-place writes rewritten. `HELPERS` must be among the builtins.

    Args:
        source: The program.
        filename: Its file, for tracebacks.
    """
    return compile(_Rewriter().visit(ast.parse(source, filename)), filename, "exec", dont_inherit=True)


class ProgramLoader(importlib.machinery.SourceFileLoader):
    """Loads the program's own modules, rewritten; nothing is cached on disk."""

    def get_code(self, fullname: str) -> Any:
        """Return the code of a module."""
        path = self.get_filename(fullname)
        return compile_program(self.get_data(path), path)
