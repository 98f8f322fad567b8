"""What Chainer's programs ask about NumPy: on the CPU, Chainer's array module is NumPy, and here it is JAX's.

Programs have branches for NumPy and for CuPy (``if xp is numpy: ... else: cuda.cupy...``), and look whether an array is
NumPy's (``isinstance(x, xp.ndarray)``). The branch for NumPy is the one that can run on JAX's arrays. So the array
module equals NumPy in such a comparison, and arrays of both modules are instances of both types.
"""

from __future__ import annotations

import ast
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SAME, IS_INSTANCE = "__jaxchain_same__", "__jaxchain_is_instance__"
_MODULES = (np, jnp)
_ARRAYS = (np.ndarray, jax.Array)


def same(left: Any, right: Any) -> bool:
    """Return whether two things are the same object; NumPy and the array module are.

    Args:
        left: Anything.
        right: Anything.
    """
    return left is right or all(any(value is m for m in _MODULES) for value in (left, right))


def is_instance(value: Any, kind: Any) -> bool:
    """Do ``isinstance(value, kind)``; arrays of NumPy and of the array module are of both types.

    Args:
        value: Anything.
        kind: A class, or a tuple of classes.
    """
    if isinstance(value, kind):
        return True
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return isinstance(value, _ARRAYS) and any(k in _ARRAYS for k in kinds)


HELPERS = {SAME: same, IS_INSTANCE: is_instance}


class Rewriter(ast.NodeTransformer):
    """Lets a program's questions about NumPy be answered by `HELPERS`, which must be among the builtins."""

    def __init__(self) -> None:
        self._names = {"numpy"}

    def visit_Import(self, node: ast.Import) -> ast.AST:
        """Learn the program's names for NumPy."""
        self._names.update(a.asname for a in node.names if a.name == "numpy" and a.asname)
        return node

    @staticmethod
    def _helped(node: ast.expr, helper: str, *arguments: ast.expr) -> ast.expr:
        return ast.fix_missing_locations(
            ast.copy_location(ast.Call(ast.Name(helper, ast.Load()), [*arguments], []), node)
        )

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """Rewrite ``xp is np``, ``xp == np`` and their negations."""
        self.generic_visit(node)
        sides = [node.left, *node.comparators]
        if len(sides) != 2 or not isinstance(node.ops[0], ast.Is | ast.Eq | ast.IsNot | ast.NotEq):
            return node
        names = set(self._names)
        if isinstance(node.ops[0], ast.Is | ast.IsNot):
            names.add("np")  # it may come from another file (`from common import *`), and of others this asks the same
        if not any(isinstance(s, ast.Name) and s.id in names for s in sides):
            return node
        answer = self._helped(node, SAME, *sides)
        if isinstance(node.ops[0], ast.IsNot | ast.NotEq):
            answer = ast.copy_location(ast.UnaryOp(ast.Not(), answer), node)
        return answer

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Rewrite ``isinstance(x, ...ndarray)``, and what NumPy 1 called "no copy unless it is needed"."""
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "array":  # np.array(x, copy=False)
            for keyword in node.keywords:
                if keyword.arg == "copy" and getattr(keyword.value, "value", None) is False:
                    keyword.value = ast.copy_location(ast.Constant(None), node)
        if isinstance(node.func, ast.Name) and node.func.id == "isinstance" and len(node.args) == 2:
            named = (n.attr if isinstance(n, ast.Attribute) else getattr(n, "id", None) for n in ast.walk(node.args[1]))
            if "ndarray" in named:
                return self._helped(node, IS_INSTANCE, *node.args)
        return node
