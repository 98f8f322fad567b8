"""Small helpers of tests: warnings, requirements, random numbers, matrices, files."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import tempfile
import unittest
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np

from jaxchain.core.random import seed
from jaxchain.serializers import load_hdf5, load_npz, save_hdf5, save_npz


@contextlib.contextmanager
def assert_warns(expected: type[Warning]) -> Iterator[None]:
    """Assert that the block warns.

    Args:
        expected: Category of the warning.

    Raises:
        AssertionError: It did not.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    if not any(issubclass(w.category, expected) for w in caught):
        raise AssertionError(f"{expected.__name__} not raised")


def patch(target: str, *args: Any, **kwargs: Any) -> Any:
    """Return `unittest.mock.patch` of a name; ``wraps`` may be a function or method.

    Args:
        target: The name.
        *args: As there.
        **kwargs: As there.
    """
    return mock.patch(target, *args, **kwargs)


def _is_met(requirement: str) -> bool:
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    try:
        found = "7.8.1" if wanted.name == "chainer" else importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return wanted.specifier.contains(found, prereleases=True)


def with_requires(*requirements: str) -> Any:
    """Return a decorator: the test is skipped unless all packages are there.

    Args:
        *requirements: E.g. ``"numpy>=1.20"``.
    """
    return unittest.skipUnless(all(map(_is_met, requirements)), f"requires: {', '.join(requirements)}")


def without_requires(*requirements: str) -> Any:
    """Return a decorator: the test is skipped if all packages are there.

    Args:
        *requirements: E.g. ``"numpy>=1.20"``.
    """
    return unittest.skipIf(all(map(_is_met, requirements)), f"requires: not {', '.join(requirements)}")


def run_module(name: str, file: str) -> None:
    """Run the tests of a file with pytest if it is run as a program.

    Args:
        name: The module's ``__name__``.
        file: Its ``__file__``.
    """
    if name == "__main__":
        import pytest

        raise SystemExit(pytest.main([file, "-vvs", "-x", "--pdb"]))


def generate_seed() -> int:
    """Return a seed from NumPy's global generator."""
    return int(np.random.randint(0, 2**31 - 1))


def fix_random(*, setup_method: str = "setUp", teardown_method: str = "tearDown") -> Callable[[Any], Any]:
    """Return a decorator: a test, or each test of a class, starts with the same seeds, and leaves NumPy's as it was.

    Args:
        setup_method: The class's method that runs before a test.
        teardown_method: The one that runs after it.
    """

    def begin() -> Any:
        state = np.random.get_state()
        np.random.seed(0)
        seed(0)
        return state

    def decorate(case: Any) -> Any:
        if not isinstance(case, type):

            @functools.wraps(case)
            def test(*args: Any, **kwargs: Any) -> Any:
                state = begin()
                try:
                    return case(*args, **kwargs)
                finally:
                    np.random.set_state(state)

            return test
        before, after = getattr(case, setup_method), getattr(case, teardown_method)

        def setup(self: Any) -> None:
            self._random_state = begin()
            before(self)

        def teardown(self: Any) -> None:
            try:
                after(self)
            finally:
                np.random.set_state(self._random_state)

        setattr(case, setup_method, functools.wraps(before)(setup))
        setattr(case, teardown_method, functools.wraps(after)(teardown))
        return case

    return decorate


def generate_matrix(shape: tuple[int, ...], dtype: Any = float, *, singular_values: Any) -> np.ndarray:
    """Return a random matrix, or a batch of them, with given singular values.

    Args:
        shape: ``(..., m, n)``.
        dtype: Its dtype.
        singular_values: Array that broadcasts to ``(..., min(m, n))``.
    """
    if len(shape) < 2:
        raise ValueError(f"shape {shape} must have two axes or more")
    singular_values = np.asarray(singular_values)
    if (singular_values < 0).any():
        raise ValueError("negative singular value is given")
    draws = np.random.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        draws = draws + 1j * np.random.standard_normal(shape)
    u, _, v = np.linalg.svd(draws, full_matrices=False)
    return (u * np.broadcast_to(singular_values, (*u.shape[:-2], min(shape[-2:])))[..., None, :] @ v).astype(dtype)


def save_and_load(src: Any, dst: Any, filename: str, saver: Callable, loader: Callable) -> None:
    """Save an object and load it into another.

    Args:
        src: What is saved.
        dst: What is loaded into.
        filename: Name of the file in a temporary folder.
        saver: E.g. `serializers.save_npz`.
        loader: E.g. `serializers.load_npz`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, filename)
        saver(path, src)
        loader(path, dst)


def save_and_load_npz(src: Any, dst: Any) -> None:
    """Save an object as NPZ and load it into another.

    Args:
        src: What is saved.
        dst: What is loaded into.
    """
    save_and_load(src, dst, "tmp.npz", save_npz, load_npz)


def save_and_load_hdf5(src: Any, dst: Any) -> None:
    """Save an object as HDF5 and load it into another.

    Args:
        src: What is saved.
        dst: What is loaded into.
    """
    save_and_load(src, dst, "tmp.h5", save_hdf5, load_hdf5)
