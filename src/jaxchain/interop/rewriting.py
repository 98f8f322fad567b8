"""Programs written for Chainer, rewritten when they are loaded: their syntax trees, and what loads them.

Where a program writes into arrays, it calls the helpers of interop/stores.py instead; where it asks about NumPy, those
of interop/numpy_questions.py. Both must be among the builtins.

A name is a place to write into if its scope binds it by plain assignments. Where it is given what may be a view (an
element, `VIEWS`), that is marked as borrowed.
"""

from __future__ import annotations

import ast
import importlib.machinery
from collections.abc import Iterator
from types import CodeType
from typing import Any, cast

from jaxchain.interop import numpy_questions, stores
from jaxchain.interop.stores import (
    ATTRIBUTES,
    BORROW,
    CALL,
    COMBINE,
    FILL,
    INDEX,
    ITEM,
    KEEP,
    KEY,
    READ,
    STATISTICS,
    STEPS,
    UPDATE,
    WRITE,
)

VIEWS = frozenset(
    "reshape ravel transpose swapaxes moveaxis rollaxis squeeze expand_dims atleast_1d atleast_2d atleast_3d "
    "broadcast_to broadcast_arrays split array_split hsplit vsplit dsplit diagonal view flip fliplr flipud rot90 "
    "real imag T".split()
)
"""Functions, methods and attributes that give views of other arrays in NumPy, and new arrays in JAX."""
WRITERS = frozenset("at scatter_add put place putmask fill_diagonal shuffle".split())
"""NumPy's functions that write into their first argument, beside `copyto`; `at` is that of a ufunc, and what CuPy calls
`scatter_add` is one by another name."""
RUNNING = ("running_mean", "running_var")
"""Arguments of batch normalisation that it changes in place."""
COMPILE = "__jaxchain_compile__"
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


def _is_view(value: ast.expr) -> bool:
    """Return whether an expression may give a view of an array."""
    name = value.attr if isinstance(value, ast.Attribute) else _called(value) if isinstance(value, ast.Call) else None
    return isinstance(value, ast.Subscript) or name in VIEWS


def _viewed(value: Any) -> Any:
    """Return what an expression gives a view of: the base of ``a.reshape(n)[0]``, ``xp.ravel(a)``, ``a.T`` is ``a``."""
    while _is_view(value):
        looked_up = value.func if isinstance(value, ast.Call) else value
        owner = getattr(looked_up, "value", None)  # None: a function by its name
        is_function = isinstance(value, ast.Call) and (owner is None or _is_module(owner))
        value = owner if not is_function else value.args[0] if value.args else None
    return value


def _is_module(node: Any) -> bool:
    """Return whether an expression looks like the array module."""
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)
    return name in ("xp", "np", "numpy", "F", "functions")


def _bindings(node: ast.AST) -> list[tuple[ast.Name, ast.expr]]:
    """Return the names of an assignment with what each of them is given: ``a, b = x, y`` is two."""
    if not isinstance(node, ast.Assign) or len(node.targets) != 1:
        return []
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Name):
        return [(target, value)]
    if not isinstance(target, ast.Tuple | ast.List) or not isinstance(value, ast.Tuple | ast.List):
        return []
    pairs = list(zip(target.elts, value.elts, strict=False))
    if len(target.elts) != len(value.elts) or any(isinstance(e, ast.Starred) for pair in pairs for e in pair):
        return []
    return [(t, v) for t, v in pairs if isinstance(t, ast.Name)]


def _is_path(node: ast.expr) -> bool:
    """Return whether an expression only looks up attributes and items, so that it can be evaluated again."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Constant) and not _is_path(node.slice):
            return False
        node = node.value
    return isinstance(node, ast.Name)


def _arguments(*names: str) -> ast.arguments:
    return ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, [])


class _Replacer(ast.NodeTransformer):
    """Puts one expression in the place of another."""

    def __init__(self, old: ast.expr, new: ast.expr) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> Any:
        """Return the new expression for the old one."""
        return self._new if node is self._old else super().visit(node)


class _Scope:
    """What a scope does with its names.

    Attributes:
        places: The names that it binds by plain assignments only.
        written: The names into which it writes.
        origins: By name, the attributes and items that it is given.
    """

    def __init__(self, scope: ast.AST | None = None) -> None:
        self.places: set[str] = set()
        self.written: set[str] = set()
        self.origins: dict[str, list[ast.Attribute | ast.Subscript]] = {}
        others: set[str] = set()
        plain: set[int] = set()
        for node in [] if scope is None else _inside(scope):
            for target, value in _bindings(node):
                self.places.add(target.id)
                plain.add(id(target))
                if isinstance(value, ast.Attribute | ast.Subscript) and _is_path(value):
                    self.origins.setdefault(target.id, []).append(value)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and not _is_view(node.value):
                unpacked = [
                    t for target in node.targets[:1] for t in getattr(target, "elts", ()) if isinstance(t, ast.Name)
                ]
                self.places.update(t.id for t in unpacked)  # what a function returns counts as new
                plain.update(map(id, unpacked))
            if isinstance(node, ast.AugAssign):
                plain.add(id(node.target))
            elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and id(node) not in plain:
                others.add(node.id)
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                base = node.value
                while isinstance(base, ast.Subscript):  # m[i][j] = x
                    base = base.value
                if isinstance(base, ast.Name):
                    self.written.add(base.id)
            elif isinstance(node, ast.Call):
                name, function = _called(node), node.func
                place: Any = function.value if name == "fill" and isinstance(function, ast.Attribute) else None
                if (name == "copyto" or name in WRITERS) and node.args:
                    place = node.args[0]
                if isinstance(place, ast.Name):
                    self.written.add(place.id)
        self.places -= others
        if isinstance(scope, ast.ClassDef):  # functions inside do not see its names
            self.origins = {}


class _Rewriter(ast.NodeTransformer):
    def __init__(self) -> None:
        self.scope = _Scope()

    def _visit_scope(self, node: Any) -> Any:
        outer, self.scope = self.scope, _Scope(node)
        self.generic_visit(node)
        self.scope = outer
        return node

    visit_Module = visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _visit_scope

    def _place(self, node: Any) -> tuple[ast.expr, ast.expr] | None:
        """Return owner and attribute of what is written into; None: it is no place."""
        if isinstance(node, ast.Name) and node.id in self.scope.places:
            return ast.Name(node.id, ast.Load()), ast.Constant(None)
        if isinstance(node, ast.Attribute):
            return node.value, ast.Constant(node.attr)
        return None

    def _written(self, target: ast.Subscript) -> tuple[Any, list[ast.expr]] | None:
        """Return what ``base[i][j] = x`` writes into, as syntax: the base, and its owner, attribute and index.

        A base that is no place may be a container of places; it is not given anything. None: the statement stays.
        """
        indices: list[ast.expr] = [self._index(target)]
        base: Any = target.value
        while isinstance(base, ast.Subscript):
            indices, base = [self._index(base), *indices], base.value
        if not (place := self._place(base)):
            if len(indices) == 1:
                return None
            place, base = (base, ast.Call(ast.Name(KEY, ast.Load()), [*indices[:1]], [])), None
            indices = indices[1:]
        if len(indices) > 1:
            indices = [ast.Call(ast.Name(STEPS, ast.Load()), indices, [])]
        return base, [*place, indices[0]]

    def _origins(self, node: Any) -> list[ast.expr]:
        """Return functions that look up the origins of a name, as syntax."""
        found: list[ast.expr] = []
        for origin in self.scope.origins.get(node.id, ()) if isinstance(node, ast.Name) else ():
            name: ast.expr
            if isinstance(origin, ast.Attribute):
                name = ast.Constant(origin.attr)
            else:
                name = ast.Call(ast.Name(KEY, ast.Load()), [self._index(origin)], [])
            found.append(
                ast.Lambda(
                    _arguments(),
                    ast.Tuple([origin.value, name], ast.Load()),
                )
            )
        return found

    @staticmethod
    def _index(node: Any) -> ast.expr:
        return ast.Subscript(ast.Name(INDEX, ast.Load()), node.slice, ast.Load())

    @staticmethod
    def _placed(new: Any, node: ast.AST) -> Any:
        """Give new syntax the lines of the old."""
        for inner in ast.walk(new):
            if not hasattr(inner, "lineno"):
                ast.copy_location(inner, node)
        return ast.fix_missing_locations(new)

    def _statement(self, node: ast.stmt, written: Any, helper: str, *arguments: ast.expr) -> ast.stmt:
        call = ast.Call(ast.Name(helper, ast.Load()), [*arguments, ast.Tuple(self._origins(written), ast.Load())], [])
        new = ast.Assign([ast.Name(written.id, ast.Store())], call) if isinstance(written, ast.Name) else ast.Expr(call)
        return self._placed(new, node)

    def _borrowed(self, value: ast.expr) -> Any:
        """Return an expression, marked as borrowed where it gives a view."""
        if isinstance(value, ast.Subscript):
            call = ast.Call(ast.Name(ITEM, ast.Load()), [value.value, self._index(value)], [])
        else:
            call = ast.Call(ast.Name(BORROW, ast.Load()), [value], [])
        return self._placed(call, value)

    def _given(self, target: ast.Name, value: ast.expr) -> ast.expr:
        """Return what a name is given, marked where it may be a view and the scope writes into it."""
        if target.id not in self.scope.places & self.scope.written or not _is_view(value):
            return value
        base = _viewed(value)
        given = self._borrowed(value)
        if isinstance(base, ast.Name) and base.id == target.id:  # a view of what the name held
            call = ast.Call(ast.Name(KEEP, ast.Load()), [given, ast.Name(target.id, ast.Load())], [])
            given = self._placed(call, value)
        return given

    def visit_Return(self, node: ast.Return) -> Any:
        """Mark views of what an object holds: what else a function returns counts as new."""
        self.generic_visit(node)
        if node.value is not None and _is_view(node.value) and isinstance(_viewed(node.value), ast.Attribute):
            node.value = self._borrowed(node.value)
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        bindings = _bindings(node)
        self.generic_visit(node)
        target = node.targets[0]
        if len(node.targets) == 1 and isinstance(target, ast.Subscript) and (written := self._written(target)):
            return self._statement(node, written[0], WRITE, node.value, *written[1])
        if isinstance(target, ast.Name) and bindings:
            node.value = self._given(target, node.value)
        elif bindings:
            targets, values = (cast("Any", n).elts for n in (target, node.value))
            values[:] = [
                self._given(t, v) if isinstance(t, ast.Name) else v for t, v in zip(targets, values, strict=True)
            ]
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        self.generic_visit(node)
        target = node.target
        operation = ast.Constant(_OPERATIONS[type(node.op)])
        if isinstance(target, ast.Subscript) and (written := self._written(target)):
            held = ast.Call(ast.Name(READ, ast.Load()), [*written[1]], [])
            return self._statement(node, written[0], UPDATE, held, node.value, operation)
        if isinstance(target, ast.Name) and self.scope.origins.get(target.id):
            return self._statement(node, target, COMBINE, ast.Name(target.id, ast.Load()), node.value, operation)
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        """Rewrite calls whose running statistics are attributes, and those that compile or run a text."""
        self.generic_visit(node)
        function = getattr(node.func, "id", None)
        if function == "exec" and node.args:
            node.args[0] = self._placed(ast.Call(ast.Name(COMPILE, ast.Load()), node.args[:1], []), node)
        elif function == "compile" and "exec" in [
            getattr(a, "value", None) for a in (*node.args[2:3], *[k.value for k in node.keywords if k.arg == "mode"])
        ]:
            node.func = self._placed(ast.Name(COMPILE, ast.Load()), node)
        places = [k for k in node.keywords if k.arg in RUNNING and isinstance(k.value, ast.Attribute)]
        if not places:
            return node
        rest = [k for k in node.keywords if k not in places]
        names: list[ast.expr | None] = [None if k.arg is None else ast.Constant(k.arg) for k in rest]
        owners: list[ast.expr] = []
        for keyword in places:
            attribute = cast("ast.Attribute", keyword.value)
            owners.append(ast.Tuple([attribute.value, ast.Constant(attribute.attr)], ast.Load()))
        keys: list[ast.expr | None] = [ast.Constant(k.arg) for k in places]
        given = [ast.Tuple(node.args, ast.Load()), ast.Dict(names, [k.value for k in rest]), ast.Dict(keys, owners)]
        return self._placed(ast.Call(ast.Name(STATISTICS, ast.Load()), [node.func, *given], []), node)

    def visit_Expr(self, node: ast.Expr) -> Any:
        self.generic_visit(node)
        call = node.value
        if not isinstance(call, ast.Call) or any(isinstance(a, ast.Starred) for a in call.args):
            return node
        function, name = call.func, _called(call)
        if name == "fill" and isinstance(function, ast.Attribute) and len(call.args) == 1 and not call.keywords:
            filled = function.value
            if isinstance(filled, ast.Subscript):
                place = filled.value, ast.Call(ast.Name(KEY, ast.Load()), [self._index(filled)], [])
            else:
                place = self._place(filled)
            if place:
                return self._statement(node, filled, FILL, call.args[0], *place)
        elif name == "copyto" and len(call.args) == 2 and not call.keywords:
            target = call.args[0]
            if isinstance(target, ast.Name) or (isinstance(target, ast.Attribute) and target.attr in ATTRIBUTES):
                if place := self._place(target):
                    return self._statement(node, target, WRITE, call.args[1], *place, ast.Constant(...))
        elif name in WRITERS and call.args:
            target, view = call.args[0], ast.Lambda(_arguments("array"), ast.Name("array", ast.Load()))
            if _is_view(target) and isinstance(base := _viewed(target), ast.Name | ast.Attribute):
                view.body, target = _Replacer(base, view.body).visit(target), base
            if place := self._place(target):
                keys: list[ast.expr | None] = [None if k.arg is None else ast.Constant(k.arg) for k in call.keywords]
                keywords = ast.Dict(keys, [k.value for k in call.keywords])
                arguments = ast.Tuple(call.args[1:], ast.Load())
                return self._statement(node, target, CALL, function, arguments, keywords, view, *place)
        return node


def compile_program(source: bytes | bytearray | str, filename: str) -> Any:
    """Return the code of a program, its in-place writes rewritten. `HELPERS` must be among the builtins.

    Args:
        source: The program.
        filename: Its file, for tracebacks.
    """
    tree = numpy_questions.Rewriter().visit(_Rewriter().visit(ast.parse(source, filename)))
    return compile(tree, filename, "exec", dont_inherit=True)


def compiled(
    source: Any,
    filename: str = "<string>",
    mode: str = "exec",
    flags: int = 0,
    dont_inherit: bool = False,
    optimize: int = -1,
) -> Any:
    """Do ``compile(source, filename, "exec")`` for a program, and what `exec` does to a text; code stays as it is."""
    if isinstance(source, bytes | bytearray | str) and not flags:
        return compile_program(source, filename)
    return source if isinstance(source, CodeType) else compile(source, filename, mode, flags, dont_inherit, optimize)


HELPERS = {**stores.HELPERS, **numpy_questions.HELPERS, COMPILE: compiled}


class ProgramLoader(importlib.machinery.SourceFileLoader):
    """Loads the program's own modules, rewritten; nothing is cached on disk."""

    def get_code(self, fullname: str) -> Any:
        """Return the code of a module."""
        path = self.get_filename(fullname)
        return compile_program(self.get_data(path), path)
