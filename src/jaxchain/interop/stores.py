"""In-place writes of Chainer's programs on immutable arrays: `param.array[...] = w` becomes an assignment.

The program's syntax tree is changed when it is loaded: a subscript of an attribute `array`, `data` or `grad` that is
assigned to, its `fill`, and `copyto` into it. If the attribute is a JAX array, the attribute is assigned a changed
copy; anything else is written to in place. Other names for the old array keep its old values.
"""

from __future__ import annotations

import ast
import importlib.machinery
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.compat import is_tracer
from jaxchain.core.variable import as_array

ATTRIBUTES = ("array", "data", "grad")
STORE, UPDATE, INDEX = "__jaxchain_store__", "__jaxchain_update__", "__jaxchain_index__"


class _Index:
    """``_Index()[a:b, c]`` is the index itself: slices cannot be written as arguments."""

    def __getitem__(self, index: Any) -> Any:
        return index


def store(value: Any, owner: Any, name: str, index: Any) -> None:
    """Do ``owner.name[index] = value``.

    Args:
        value: What is assigned.
        owner: The object.
        name: Its attribute.
        index: The index.
    """
    array = getattr(owner, name)
    if not isinstance(array, jax.Array):
        array[index] = value
    elif is_tracer(array) or is_tracer(as_array(value)):
        setattr(owner, name, array.at[index].set(jnp.asarray(as_array(value), array.dtype)))
    else:  # on the host: NumPy's rules for indices, shapes and types
        changed = np.array(array)
        changed[index] = np.asarray(value)
        setattr(owner, name, jax.device_put(jnp.array(changed), array.sharding))


def update(owner: Any, name: str, index: Any, value: Any, operation: str) -> None:
    """Do ``owner.name[index] += value``, or another operation.

    Args:
        owner: The object.
        name: Its attribute.
        index: The index.
        value: The right side.
        operation: Name of the operator, e.g. ``iadd``.
    """
    array = getattr(owner, name)
    old = array[jnp.asarray(index)] if isinstance(array, jax.Array) and isinstance(index, list) else array[index]
    store(getattr(operator, operation)(old, value), owner, name, index)


HELPERS = {STORE: store, UPDATE: update, INDEX: _Index()}
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


def _is_array(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ATTRIBUTES


class _Rewriter(ast.NodeTransformer):
    def _call(self, node: ast.stmt, helper: str, *arguments: ast.expr) -> ast.stmt:
        call = ast.Expr(ast.Call(ast.Name(helper, ast.Load()), list(arguments), []))
        new = ast.copy_location(call, node)
        for inner in ast.walk(new):
            if not hasattr(inner, "lineno"):
                ast.copy_location(inner, node)
        return ast.fix_missing_locations(new)

    def _place(self, target: Any) -> tuple[ast.expr, ast.expr, ast.expr]:
        index = ast.Subscript(ast.Name(INDEX, ast.Load()), target.slice, ast.Load())
        return target.value.value, ast.Constant(target.value.attr), index

    def visit_Assign(self, node: ast.Assign) -> Any:
        self.generic_visit(node)
        target = node.targets[0]
        if len(node.targets) == 1 and isinstance(target, ast.Subscript) and _is_array(target.value):
            return self._call(node, STORE, node.value, *self._place(target))
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        self.generic_visit(node)
        if isinstance(node.target, ast.Subscript) and _is_array(node.target.value):
            operation = ast.Constant(_OPERATIONS[type(node.op)])
            return self._call(node, UPDATE, *self._place(node.target), node.value, operation)
        return node

    def visit_Expr(self, node: ast.Expr) -> Any:
        self.generic_visit(node)
        call = node.value
        if not isinstance(call, ast.Call) or call.keywords or any(isinstance(a, ast.Starred) for a in call.args):
            return node
        function: Any = call.func
        everything = ast.Constant(...)
        if isinstance(function, ast.Attribute) and function.attr == "fill" and len(call.args) == 1:
            place: Any = function.value
            if _is_array(place):
                return self._call(node, STORE, call.args[0], place.value, ast.Constant(place.attr), everything)
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
        if name == "copyto" and len(call.args) == 2 and _is_array(call.args[0]):
            place = call.args[0]
            return self._call(node, STORE, call.args[1], place.value, ast.Constant(place.attr), everything)
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
