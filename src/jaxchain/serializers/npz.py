"""NumPy's npz files: Chainer's own, key for key, in both directions, and never with pickle.

An entry that is None (an uninitialised parameter) is an object array in Chainer's files, which NumPy reads only by
pickle. Here the one such array that is possible, None itself, is recognised without running it, and written alike.
"""

from __future__ import annotations

import copy
import io
import os
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.arrays import beside, from_numpy, is_at_hand
from jaxchain.core.variable import as_array
from jaxchain.serializer import Deserializer, Serializer, serialize_method
from jaxchain.serializers.files import check_archive, write_whole

IgnoreNames = str | Callable[[str], bool] | Sequence["str | Callable[[str], bool]"] | None


class DictionarySerializer(Serializer):
    """Serializer into a flat dictionary of NumPy arrays; the keys are paths, e.g. ``predictor/l1/W``.

    Args:
        target: The dictionary to fill. None: a new one.
        path: Path that the keys start with.

    Attributes:
        target: The dictionary.
        path: The same.
    """

    def __init__(self, target: dict[str, Any] | None = None, path: str = "") -> None:
        self.target = {} if target is None else target
        self.path = path

    def __getitem__(self, key: str) -> DictionarySerializer:
        """Return the serializer of a child."""
        return DictionarySerializer(self.target, f"{self.path}{key.strip('/')}/")

    def __call__(self, key: str, value: Any) -> Any:
        """Put `value` into the dictionary."""
        key = self.path + key.lstrip("/")
        self.target[key] = on_host(key, value)
        return value


def serialize(obj: Any) -> dict[str, np.ndarray]:
    """Return an object's values as a flat dictionary.

    Args:
        obj: Anything with ``serialize(serializer)``.
    """
    serializer = DictionarySerializer()
    serializer.save(obj)
    return serializer.target


def on_host(key: str, value: Any) -> np.ndarray:
    """Return an entry as a NumPy array.

    Raises:
        ValueError: Parts of it are on devices of other processes.
    """
    array = as_array(value)
    if isinstance(array, jax.Array) and not is_at_hand(array):
        raise ValueError(f"{key}: is spread over devices of several processes: save_orbax saves it, part by part")
    return np.asarray(array)


def to_write(key: str, value: Any) -> np.ndarray | None:
    """Return an entry as files have it: None for None, bfloat16 and other ml_dtypes, whose names are lost, in float32.

    Raises:
        TypeError: It holds Python objects.
        ValueError: Parts of it are on devices of other processes.
    """
    array = on_host(key, value)
    if array.dtype == object:
        if array.shape != () or array[()] is not None:
            raise TypeError(f"{key}: holds Python objects, which files keep only by pickle")
        return None
    return array.astype(np.float32) if array.dtype.kind == "V" else array  # exact


def save_npz(file: str | os.PathLike[str] | BinaryIO, obj: Any, compression: bool = True) -> None:
    """Save an object to an npz file. A kill at any moment leaves the previous file whole.

    Args:
        file: Path, or file open for writing bytes.
        obj: Anything with ``serialize(serializer)``, or a dictionary of arrays.
        compression: Compress the file (slower, smaller).

    Raises:
        TypeError: An entry holds Python objects: they would need pickle.
    """
    target = obj if isinstance(obj, dict) else serialize(obj)
    if isinstance(file, str | os.PathLike):
        write_whole(file, lambda f: _write(f, target, compression))
    else:
        _write(file, target, compression)


def _write(file: BinaryIO, target: Mapping[str, Any], compression: bool) -> None:
    method = zipfile.ZIP_DEFLATED if compression else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", method, allowZip64=True) as archive:
        for key, value in target.items():
            array = to_write(key, value)
            with archive.open(f"{key}.npy", "w", force_zip64=True) as entry:
                if array is None:
                    entry.write(_NONE)
                else:
                    np.lib.format.write_array(entry, array, allow_pickle=False)


def _none_bytes() -> bytes:
    """Return ``np.array(None)`` as a file that every NumPy reads: NumPy 2 pickles names that NumPy 1 does not have."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|O", "fortran_order": False, "shape": ()})
    return buffer.getvalue() + pickle.dumps(np.asarray(None), 2).replace(b"numpy._core", b"numpy.core")


def _operations(pickled: bytes) -> list[tuple[str, str]]:
    """Return what a pickle would do, without doing it; memo bookkeeping and NumPy's renamed modules aside."""
    return [
        (operation.name, str(argument).replace("numpy._core", "numpy.core"))
        for operation, argument, _ in pickletools.genops(pickled)
        if operation.name not in _BOOKKEEPING
    ]


_BOOKKEEPING = ("PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT")
_NONE = _none_bytes()
_NONE_OPERATIONS = [_operations(pickle.dumps(np.asarray(None), protocol)) for protocol in range(2, 6)]


def _header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of an npy file: shape, Fortran order, dtype."""
    if np.lib.format.read_magic(stream) == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)


class Archive(Mapping[str, Any]):
    """The entries of an npz file, read when asked for; None for an entry that is None. Never unpickles.

    Args:
        file: Path, or seekable file open for reading bytes.

    Raises:
        ValueError: An entry holds other Python objects than None, or the file unpacks to an absurd size.
    """

    def __init__(self, file: Any) -> None:
        check_archive(file)
        self._zip = zipfile.ZipFile(file)
        self._names = {n.removesuffix(".npy"): n for n in self._zip.namelist() if n.endswith(".npy")}

    def __getitem__(self, key: str) -> Any:
        """Return an entry."""
        data = io.BytesIO(self._zip.read(self._names[key]))
        shape, _, dtype = _header(data)
        if dtype.hasobject:
            if shape == () and _operations(data.read()) in _NONE_OPERATIONS:
                return None
            raise ValueError(f"{key}: holds Python objects, which could run code when loaded; refused")
        data.seek(0)
        return np.lib.format.read_array(data, allow_pickle=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, key: object) -> bool:
        return key in self._names

    def shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of an entry, from its header only."""
        with self._zip.open(self._names[key]) as entry:
            return _header(entry)[0]  # type: ignore[arg-type]

    @property
    def files(self) -> list[str]:
        """The keys, as NumPy's own npz object names them."""
        return list(self._names)

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class NpzDeserializer(Deserializer):
    """Deserializer from an npz file, or any mapping of keys to arrays.

    Args:
        npz: The mapping.
        path: Path that the keys start with.
        strict: Whether a missing key is an error; else the value stays as it is.
        ignore_names: Keys to leave as they are: a key, a function of the key, or a list of these.
    """

    _fills = False  # only what the program gives it

    def __init__(self, npz: Any, path: str = "", strict: bool = True, ignore_names: IgnoreNames = None) -> None:
        self.npz = npz
        self.path = path
        self.strict = strict
        self.ignore_names = [] if ignore_names is None else ignore_names

    def __getitem__(self, key: str) -> NpzDeserializer:
        """Return the deserializer of a child."""
        child = copy.copy(self)
        child.path = f"{self.path}{key.strip('/')}/"
        return child

    def _ignored(self, key: str) -> bool:
        names = self.ignore_names if isinstance(self.ignore_names, list | tuple) else (self.ignore_names,)
        for name in names:
            if not (isinstance(name, str) or callable(name)):
                raise ValueError("ignore_names needs to be a callable, string or list of them.")
            if (key == name) if isinstance(name, str) else name(key):
                return True
        return False

    def __call__(self, key: str, value: Any) -> Any:
        """Return the value of `key`, in the type of `value`.

        Raises:
            KeyError: There is none, in strict mode.
            ValueError: Its shape is not that of `value`.
            TypeError: Its type does not fit that of `value`.
        """
        key = self.path + key.lstrip("/")
        if self._ignored(key) or (not self.strict and key not in self.npz):
            return value
        if key not in self.npz:
            raise KeyError(key)
        loaded = self.npz[key]
        if loaded is None or (loaded.dtype == object and loaded[()] is None):
            return None
        if value is None:
            return loaded
        if isinstance(value, jax.Array | np.ndarray):
            return _like(key, loaded, value)
        return _scalar_like(key, loaded, type(value))


def _like(key: str, loaded: np.ndarray | jax.Array, value: Any) -> Any:
    """Return `loaded` in the type of the array `value`. NumPy arrays are also filled in place, as in Chainer."""
    if loaded.shape != value.shape:
        raise ValueError(f"{key}: expected shape {value.shape}, got {loaded.shape}")
    floats = jnp.issubdtype(loaded.dtype, jnp.floating) and jnp.issubdtype(value.dtype, jnp.floating)
    if not floats and not np.can_cast(loaded.dtype, value.dtype, "same_kind"):
        raise TypeError(f"{key}: expected {value.dtype}, got {loaded.dtype}")
    if isinstance(value, np.ndarray):
        np.copyto(value, loaded, casting="unsafe")
        return value
    new = loaded.astype(value.dtype, copy=False)
    return beside(new if isinstance(new, jax.Array) else from_numpy(new), value)


def _scalar_like(key: str, loaded: np.ndarray, kind: type) -> Any:
    """Return `loaded` as a Python scalar or string of type `kind`."""
    number = np.issubdtype(loaded.dtype, np.number)
    integer = np.issubdtype(loaded.dtype, np.integer) and kind is int
    if number and not integer and not np.can_cast(loaded.dtype, kind, casting="safe"):
        raise TypeError(
            f"{key}: cannot safely deserialize from array with dtype={loaded.dtype} into a variable of type {kind}"
        )
    return kind(loaded[()])


class _Shapes(Serializer):
    """Records the keys and shapes that an object would save, without copying any array."""

    def __init__(self, shapes: dict[str, tuple[int, ...] | None], path: str) -> None:
        self.shapes = shapes
        self.path = path

    def __getitem__(self, key: str) -> _Shapes:
        return _Shapes(self.shapes, f"{self.path}{key.strip('/')}/")

    def __call__(self, key: str, value: Any) -> Any:
        self.shapes[self.path + key.lstrip("/")] = None if value is None else np.shape(as_array(value))
        return value


def _difference(archive: Archive, obj: Any, path: str, ignored: Callable[[str], bool]) -> str:
    """Return every difference between an object and a file: keys on one side only, and shapes."""
    expected: dict[str, tuple[int, ...] | None] = {}
    _Shapes(expected, path).save(obj)
    expected = {key: shape for key, shape in expected.items() if not ignored(key)}
    found = {key: archive.shape(key) for key in archive if key.startswith(path) and not ignored(key)}
    rows = [f"  missing     {k} {expected[k] or ''}".rstrip() for k in expected if k not in found]
    rows += [f"  unexpected  {k} {found[k]}" for k in found if k not in expected]
    rows += [
        f"  shape       {k}: expected {shape}, got {found[k]}"
        for k, shape in expected.items()
        if k in found and shape is not None and shape != found[k]
    ]
    return "\n".join(rows)


class MissingKeys(KeyError):
    """A file does not have all that an object needs; the message lists every missing and unexpected key and shape.

    Way out: ``strict=False`` leaves what is missing as it is; `path` and `ignore_names` choose what to load.
    """

    def __str__(self) -> str:
        """Return the message on several lines: KeyError itself would quote it."""
        return str(self.args[0])


def load_npz(file: Any, obj: Any, path: str = "", strict: bool = True, ignore_names: IgnoreNames = None) -> None:
    """Load an object from an npz file, Chainer's included.

    Args:
        file: Path, or seekable file open for reading bytes.
        obj: Anything with ``serialize(serializer)``.
        path: Path in the file under which the object is, e.g. ``updater/model:main/``.
        strict: Whether a missing key is an error; else the value stays as it is.
        ignore_names: Keys to leave as they are: a key, a function of the key, or a list of these.

    Raises:
        MissingKeys: A `KeyError`: keys are missing. The message lists all missing and unexpected keys and wrong shapes.
        ValueError: A shape does not fit (all differences are listed), or an entry would need pickle.
        TypeError: A type does not fit.
        BadZipFile: It is no npz file.
    """
    serialize_method(obj)
    try:
        archive = Archive(file)
    except zipfile.BadZipFile as error:
        raise zipfile.BadZipFile(f"load_npz: {file} is no npz file: {error}") from None
    with archive:
        deserializer = NpzDeserializer(archive, path, strict, ignore_names)
        try:
            deserializer.load(obj)
        except KeyError as error:
            rows = _difference(archive, obj, path, deserializer._ignored)
            raise MissingKeys(f"load_npz: {error.args[0]} is not in the file. All differences:\n{rows}") from error
        except ValueError as error:
            rows = _difference(archive, obj, path, deserializer._ignored)
            raise ValueError(f"load_npz: {error}" + (f". All differences:\n{rows}" if rows else "")) from error
