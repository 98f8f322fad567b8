"""The rules: imports go down, private names of JAX stay out, doors only re-export, every name is documented."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jaxchain

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "jaxchain"
FILES = sorted(PACKAGE.rglob("*.py"))
DOORS = ["jaxchain", *(f"jaxchain.{n}" for n in ("functions", "links", "optimizers", "initializers"))]


def relative(path):
    return path.relative_to(PACKAGE).as_posix()


def imported_names(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"


def test_names_of_test_files_are_unique():
    """pytest imports a test file under its bare name: of two files of one name, the second is not collected."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_import_contracts():
    command = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    run = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr


def test_private_names_of_jax_stay_in_compat():
    private = re.compile(r"jax\._src|jax\.core\b|jax\.interpreters|jaxlib\.")
    found = [
        f"{relative(path)}: {name}"
        for path in FILES
        if relative(path) != "core/compat.py"
        for name in imported_names(ast.parse(path.read_text()))
        if private.match(name)
    ]
    assert found == []


def test_nothing_imports_jax_src():
    names = [n for path in FILES for n in imported_names(ast.parse(path.read_text()))]
    assert [n for n in names if n.startswith("jax._src")] == []


def test_one_file_opens_the_door_to_state():
    users = [
        relative(path)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "Installation"
    ]
    assert set(users) == {"core/attempt.py"}


def test_tracers_are_recognised_in_few_places():
    users = {relative(p) for p in FILES if re.search(r"\b(is_tracer|Tracer)\b", code_of(p))}
    known = {
        "functions/indexing.py",  # an index may be an array of the trace
        "functions/control.py",  # a condition may be one
        "dataset/convert.py",  # arrays of the trace are padded in the program
        "optimizers/update_rule.py",  # slots are made outside the trace
        "optimizers/hyperparameter.py",  # numbers stay tracers under a trace
        "backends/device.py",  # a tracer is on no device
        "interop/stores.py",  # `array[i] = v` of old programs
        "interop/array_methods.py",  # `array[i]` of old programs: `i` may be one
        "utils/sparse.py",  # the order of indices is in their values
        "views/notebook.py",  # a tracer has no values to show
    }
    assert {u for u in users if not u.startswith("core/")} <= known


def code_of(path):
    """The names used in a file, without comments and docstrings."""
    tree = ast.parse(path.read_text())
    names = [n.id for n in ast.walk(tree) if isinstance(n, ast.Name)]
    return " ".join([*names, *(n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute))])


def public(door):
    module = importlib.import_module(door)
    for name, value in vars(module).items():
        if not name.startswith("_") and callable(value) and not inspect.ismodule(value):
            yield name, value


@pytest.mark.parametrize("door", DOORS)
def test_every_public_name_has_a_docstring(door):
    assert [name for name, value in public(door) if not (inspect.getdoc(value) or "").strip()] == []


def test_every_lazily_imported_room_exists():
    for room in jaxchain._ROOMS:
        assert inspect.ismodule(getattr(jaxchain, room))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        jaxchain.nothing


@pytest.mark.parametrize("path", [p for p in FILES if p.name == "__init__.py"], ids=relative)
def test_doors_are_explicit_reexports(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    for node in tree.body[1:]:
        if isinstance(node, ast.Import | ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names)
        elif path == PACKAGE / "__init__.py" and isinstance(node, ast.FunctionDef):
            assert node.name in ("__getattr__", "__dir__")  # rooms are imported when first used
        else:
            assert isinstance(node, ast.Assign) and isinstance(
                node.value, ast.List | ast.Tuple | ast.Dict | ast.Constant
            ), f"{relative(path)}:{node.lineno}: logic in a door"


@pytest.mark.parametrize("path", [p for p in FILES if p.read_text().strip()], ids=relative)
def test_every_module_says_what_lives_in_it(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
