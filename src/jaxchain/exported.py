"""One file that holds a program and its parameters, and runs without the model's code: StableHLO through `jax.export`.

The file is a zip of plain parts: `manifest.json` (versions, platforms, names, shapes and dtypes), `program.bin` (what
`jax.export` serialises), the bytes of each array, and `SHA256SUMS`. Nothing in it is pickled, and nothing is run before
every part was checked against its sum. The sums find damage; they are no signature: run files from sources you trust.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export
from jax.custom_batching import sequential_vmap

from jaxchain.core.arrays import ARRAY_LIKE
from jaxchain.core.config import config, using_config
from jaxchain.core.errors import user_line
from jaxchain.core.op import Array, op
from jaxchain.core.parameter import Parameter
from jaxchain.core.random import next_key
from jaxchain.core.signature import Verbatim
from jaxchain.core.variable import Variable, as_array
from jaxchain.link import Link
from jaxchain.links.parameter_tree import PARAM, ParameterTree
from jaxchain.serializers.files import check_archive, write_whole

FORMAT = "jaxchain.export/1"
PLATFORMS = ("cpu", "cuda", "tpu")
MANIFEST, PROGRAM, SUMS = "manifest.json", "program.bin", "SHA256SUMS"
KEY = "random key"


class ExportError(ValueError):
    """A program cannot be exported, or a file cannot be loaded."""


# -- structures: nested arguments and results as JSON ------------------------------------------------------------------


def flatten(value: Any, leaves: list[Any], what: str) -> Any:
    """Append the arrays of a nested value to `leaves` and return its structure, which is JSON."""
    if isinstance(value, (Variable, *ARRAY_LIKE, jax.ShapeDtypeStruct)):
        leaves.append(value)
        return {"array": len(leaves) - 1}
    if isinstance(value, tuple | list):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [flatten(v, leaves, what) for v in value]}
    if isinstance(value, dict) and all(isinstance(k, str) for k in value):
        return {"dict": {k: flatten(value[k], leaves, what) for k in sorted(value)}}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    raise ExportError(
        f"export: {what} holds a {type(value).__name__}: expected arrays, numbers, strings and None, in tuples, lists "
        "and dicts with string keys"
    )


def unflatten(structure: Any, leaves: Sequence[Any]) -> Any:
    """Return the nested value of a structure: the reverse of `flatten`."""
    ((kind, value),) = structure.items()
    if kind == "array":
        return leaves[value]
    if kind == "value":
        return value
    if kind == "dict":
        return {k: unflatten(v, leaves) for k, v in value.items()}
    return (tuple if kind == "tuple" else list)(unflatten(v, leaves) for v in value)


# -- the program -------------------------------------------------------------------------------------------------------


class Program:
    """An exported program: what it takes, what it returns, and the op that calls it.

    Attributes:
        program: The `jax.export.Exported`.
        manifest: What the file says about it, plain data.
    """

    _opaque = True  # nothing in here changes: static mode does not look inside

    def __init__(self, program: Any, manifest: dict[str, Any]) -> None:
        self.program, self.manifest = program, manifest
        self._call: Callable[..., Any] | None = None

    @property
    def call(self) -> Callable[..., Any]:
        """The op: parameters, arguments, persistent values and a key -> results, then what is written."""
        if self._call is None:
            run, state = _told(self.program.call), self.manifest["state"]

            def exported(params: Sequence[Array], inputs: Sequence[Array], others: Sequence[Array]) -> Any:
                return tuple(run(*_in_order(state, params, others), *inputs))

            self._call = op(label=self.manifest["name"], name="exported")(exported)
        return self._call

    def serialized(self) -> bytes:
        """Return what `jax.export` makes of the program."""
        try:
            return bytes(self.program.serialize(vjp_order=self.manifest["vjp_order"]))
        except ImportError as error:
            raise ImportError("export needs the package flatbuffers: pip install jaxchain[export]") from error

    @classmethod
    def deserialized(cls, data: bytes, manifest: dict[str, Any]) -> Program:
        """Return the program of a file."""
        try:
            return cls(jax_export.deserialize(bytearray(data)), manifest)
        except ImportError as error:
            raise ImportError("load_exported needs the package flatbuffers: pip install jaxchain[export]") from error

    def __deepcopy__(self, memo: Any) -> Program:
        return self

    def __reduce__(self) -> Any:
        return Program.deserialized, (self.serialized(), self.manifest)


def _told(function: Callable[..., Any], asked: int = 1) -> Callable[..., Any]:
    """Return an exported program's function; where a file has no gradient of an order, that says what to export."""

    def backward(args: Any, gy: Any) -> Any:
        def gradients(args: Any, gy: Any) -> Any:
            try:
                return jax.vjp(function, *args)[1](gy)
            except ValueError as error:
                if "VJP" not in str(error):
                    raise
                raise ExportError(
                    f"exported program: differentiated {asked} times, and exported with vjp_order={asked - 1}. "
                    f"Export it with vjp_order={asked}\nat {user_line(2)}"
                ) from None

        return _told(gradients, asked + 1)(args, gy)

    run = sequential_vmap(function)  # JAX has no rule: `jax.vmap` calls it once for each
    told = jax.custom_vjp(lambda *args: run(*args))
    told.defvjp(lambda *args: (told(*args), args), backward)
    return told


class Exported(ParameterTree):
    """An exported program as a link, with the parameters and persistent values of the model under the same names.

    It is called like the model, in eager and in static mode. Programs exported with `vjp_order` are differentiable:
    with respect to arguments and parameters, so the link can be trained further. What the program writes (statistics of
    batch normalisation in training mode, say) is written to the persistent values. In the graph it is one function.

    Args:
        program: The program.
        arrays: The values of its state.

    Attributes:
        program: The `jax.export.Exported`.
        manifest: What the file says: versions, platforms, names, shapes and dtypes of inputs, outputs and state.
    """

    def __init__(self, program: Program, arrays: Sequence[Any]) -> None:
        super().__init__()
        self._program = program
        entries = [e for e in program.manifest["state"] if e["kind"] != KEY]
        self._register({path_of(e["name"]): (e["kind"], a) for e, a in zip(entries, arrays, strict=True)})

    @property
    def program(self) -> Any:
        """The `jax.export.Exported`."""
        return self._program.program

    @property
    def manifest(self) -> dict[str, Any]:
        """What the file says about the program."""
        return self._program.manifest

    @property
    def printable_specs(self) -> Iterator[tuple[str, Any]]:
        """Name and value of each fact, for `str(link)`."""
        yield "program", self.manifest["name"]
        yield "inputs", ", ".join(map(_describe, self.manifest["inputs"]))

    def __str__(self) -> str:
        return Link.__str__(self)

    def describe(self) -> str:
        """Return what the program is, takes and returns, as text of several lines."""
        manifest = self.manifest
        lines = [
            f"{manifest['name']}, exported by jaxchain {manifest['jaxchain']} with jax {manifest['jax']}",
            f"  platforms: {', '.join(manifest['platforms'])}; train {manifest['train']}; "
            f"differentiable {manifest['vjp_order']} times",
        ]
        lines += [f"  input {_describe(spec)}" for spec in manifest["inputs"]]
        lines += [f"  output {_describe(spec)}" for spec in manifest["outputs"]]
        lines += [f"  {spec['kind']} {_describe(spec)}" for spec in manifest["state"]]
        return "\n".join(lines)

    def run(self, arrays: Sequence[Any]) -> dict[str, np.ndarray]:
        """Call the program on the array arguments in order, whatever containers they are in.

        Args:
            arrays: One per input of the manifest.

        Returns:
            The arrays of the result by name, as in the manifest's ``outputs``.

        Raises:
            TypeError: As a call.
        """
        wanted = self.manifest["inputs"]
        if len(arrays) != len(wanted):
            raise TypeError(
                f"{self.manifest['name']}: expected {len(wanted)} arrays ({', '.join(map(_describe, wanted))}), got "
                f"{len(arrays)}"
            )
        leaves: list[Any] = []
        args, kwargs = [unflatten(structure, arrays) for structure in _arguments(self.manifest)]
        flatten(self(*args, **kwargs), leaves, "the result")
        return {e["name"]: np.asarray(as_array(y)) for e, y in zip(self.manifest["outputs"], leaves, strict=True)}

    def as_text(self) -> str:
        """Return the program as StableHLO."""
        return self.program.mlir_module()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the program.

        Args:
            *args: As the model's. Shapes and dtypes are those of the export; symbolic sizes may be any.
            **kwargs: Those by name that were by name in the export.

        Returns:
            As the model, with Variables in the place of arrays.

        Raises:
            TypeError: The arguments are not those the program was exported for.
            ExportError: The program was exported for other platforms.
        """
        manifest = self.manifest
        leaves: list[Any] = []
        structures = tuple([flatten(given, leaves, "the arguments") for given in (args, kwargs)])
        if structures != _arguments(manifest):
            raise TypeError(
                f"{manifest['name']}: expected the arguments {_text(_arguments(manifest), manifest['inputs'])}, got "
                f"{_text(structures, [spec_of('array', x) for x in leaves])}"
            )
        _check_inputs(manifest, leaves)
        _check_platform(manifest)
        params, cells = self._cells()
        draws = [next_key() for _ in range(manifest["draws"])]
        state = [as_array(owner.__dict__[name]) for owner, name in cells]
        with using_config("enable_backprop", config.enable_backprop and manifest["vjp_order"] > 0):
            outputs = self._program.call(params, leaves, [*state, *draws[:1]])
        homes = _in_order([e for e in manifest["state"] if e["kind"] != KEY], params, cells)
        for write in manifest["writes"]:
            home, value = homes[write["state"]], outputs[write["output"]].array
            if isinstance(home, Parameter):
                home.array = value
            else:
                owner, name = home
                owner.__dict__[name] = value
        return unflatten(manifest["result"], outputs)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one file with the program and the values that the parameters have now.

        The file is written whole or not at all.

        Args:
            path: The file; the usual ending is ``.jaxchain``.

        Raises:
            ExportError: A parameter or another state array has another shape or dtype than the program takes.
            ImportError: The package `flatbuffers` is missing.
        """
        params, cells = self._cells()
        entries = [e for e in self.manifest["state"] if e["kind"] != KEY]
        values = _in_order(entries, [p.array for p in params], [owner.__dict__[name] for owner, name in cells])
        values = [np.asarray(as_array(value)) for value in values]
        for entry, value in zip(entries, values, strict=True):
            if _describe(spec_of(entry["name"], value)) != _describe(entry):
                raise ExportError(
                    f"{self.manifest['name']}: the program takes {_describe(entry)}, and this link holds "
                    f"{_describe(spec_of(entry['name'], value))}"
                )
        parts = {
            MANIFEST: json.dumps(self.manifest, indent=1).encode(),
            PROGRAM: self._program.serialized(),
            **{f"arrays/{i}": value.tobytes() for i, value in enumerate(values)},
        }
        sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in parts.items())

        def write(file: Any) -> None:
            with zipfile.ZipFile(file, "w") as archive:
                for name, data in {**parts, SUMS: sums.encode()}.items():
                    archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)

        write_whole(path, write)


def _in_order(entries: Sequence[Mapping[str, Any]], params: Iterable[Any], others: Iterable[Any]) -> list[Any]:
    """Return parameters and other state in the order of the manifest's entries."""
    params, others = iter(params), iter(others)
    return [next(params if e["kind"] == PARAM else others) for e in entries]


def path_of(name: str) -> tuple[str, ...]:
    """Return the parts of a name such as ``/l1/W``."""
    return tuple(name.strip("/").split("/"))


def spec_of(name: str, value: Any) -> dict[str, Any]:
    """Return name, shape and dtype of an array, as it comes in, as plain data; symbolic sizes as strings."""
    return {
        "name": name,
        "shape": [d if isinstance(d, int) else str(d) for d in value.shape],
        "dtype": str(jax.dtypes.canonicalize_dtype(value.dtype)),
    }


def _describe(spec: Mapping[str, Any]) -> str:
    return f"{spec['name']}: {spec['dtype']}[{','.join(map(str, spec['shape']))}]"


def _arguments(manifest: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the structures of the arguments by place and by name."""
    return manifest["arguments"], manifest.get("keywords", {"dict": {}})  # files of before have none by name


def _text(structures: tuple[Any, Any], specs: Sequence[Mapping[str, Any]]) -> str:
    args, kwargs = [unflatten(structure, [Verbatim(_describe(s)) for s in specs]) for structure in structures]
    return f"{args} and {kwargs}" if kwargs else str(args)


def _check_inputs(manifest: Mapping[str, Any], leaves: Sequence[Any]) -> None:
    sizes: dict[str, int] = {}
    for spec, leaf in zip(manifest["inputs"], leaves, strict=True):
        given = spec_of(spec["name"], leaf)
        fits = given["dtype"] == spec["dtype"] and len(leaf.shape) == len(spec["shape"])
        for want, got in zip(spec["shape"], leaf.shape, strict=False):
            if isinstance(want, str):  # a name; JAX itself checks what is computed from names, such as 2*b
                if got == 0:  # JAX takes what it computed from names for positive
                    raise TypeError(f"{manifest['name']}: expected {_describe(spec)} with {want} at least 1, got 0")
                want = sizes.setdefault(want, got) if want.isidentifier() else got
            fits = fits and want == got
        if not fits:
            known = f" with {', '.join(f'{k} = {v}' for k, v in sizes.items())}" if sizes else ""
            raise TypeError(f"{manifest['name']}: expected {_describe(spec)}{known}, got {_describe(given)}")


def _check_platform(manifest: Mapping[str, Any]) -> None:
    here = jax_export.default_export_platform()
    if here not in manifest["platforms"]:
        raise ExportError(
            f"{manifest['name']} was exported for {', '.join(manifest['platforms'])}, and this is {here}: export it "
            f"again with platforms=({here!r},)"
        )


# -- load --------------------------------------------------------------------------------------------------------------


def load_exported(path: str | os.PathLike[str]) -> Exported:
    """Load a program that `export` made. The model's code is not needed.

    Args:
        path: The file.

    Returns:
        The program as a link: its parameters have the names of the model's.

    Raises:
        ExportError: The file is cut off, changed, no exported program, or made by a version of JAX that this one does
            not read. Nothing was run.
        FileNotFoundError: There is no such file.
    """
    path = os.fsdecode(path)
    where = f"load_exported: {path}"
    parts = _read(path, where)
    try:
        manifest = json.loads(parts[MANIFEST])
        if manifest["format"] != FORMAT:
            raise ExportError(f"{where}: format {manifest['format']!r}: this version of jaxchain reads {FORMAT!r}")
        version = manifest["calling_convention_version"]
        oldest = jax_export.minimum_supported_calling_convention_version
        newest = jax_export.maximum_supported_calling_convention_version
        if not oldest <= version <= newest:
            raise ExportError(
                f"{where}: made by jax {manifest['jax']} (calling convention {version}); jax {jax.__version__} reads "
                f"{oldest} to {newest}: export it again, or use another version of JAX"
            )
        expected = [*manifest["state"], *manifest["inputs"]]
        wide = [e for e in expected if jax.dtypes.canonicalize_dtype(e["dtype"]) != jnp.dtype(e["dtype"])]
        if wide:
            raise ExportError(
                f"{where}: takes {_describe(wide[0])}, and jax_enable_x64 is off: switch it on, or export it without"
            )
        entries = [e for e in manifest["state"] if e["kind"] != KEY]
        arrays = [
            np.frombuffer(parts[f"arrays/{i}"], jnp.dtype(e["dtype"])).reshape(e["shape"])
            for i, e in enumerate(entries)
        ]
        program = Program.deserialized(parts[PROGRAM], manifest)
        if [spec_of(e["name"], a) for e, a in zip(expected, program.program.in_avals, strict=True)] != [
            {k: e[k] for k in ("name", "shape", "dtype")} for e in expected
        ]:
            raise ExportError(f"{where}: the program does not take what the manifest says")
    except (ExportError, ImportError):
        raise
    except Exception as error:  # whatever a file that was made by hand may lead to
        raise ExportError(f"{where}: not readable: {type(error).__name__}: {error}") from error
    return Exported(program, arrays)


def _read(path: str, where: str) -> dict[str, bytes]:
    """Return the parts of a file, each checked against its sum."""
    try:
        check_archive(path)
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
    except FileNotFoundError:
        raise
    except Exception as error:  # zipfile's own, those of the decompressors, RuntimeError of what says it is encrypted
        raise ExportError(f"{where}: no exported program, or damaged: {error!r}") from error
    sums = dict(line.split("  ", 1)[::-1] for line in parts.pop(SUMS, b"").decode("utf-8", "replace").splitlines())
    if not {MANIFEST, PROGRAM} <= parts.keys():
        raise ExportError(f"{where}: no exported program: it has no {MANIFEST} or no {PROGRAM}")
    wrong = [name for name in parts if sums.get(name) != hashlib.sha256(parts[name]).hexdigest()]
    wrong += sorted(sums.keys() - parts.keys())
    if wrong:
        raise ExportError(f"{where}: damaged or changed: {wrong[0]} does not have the checksum that the file gives")
    return parts
