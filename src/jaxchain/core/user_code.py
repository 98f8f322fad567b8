"""Code on arrays that a user wrote as methods of a class. It may be JAX code or NumPy code: `call` finds out.

- It is given JAX arrays, under a static trace tracers: code on operators, methods and
  ``xp = backend.get_array_module(x)`` works as it stands, compiled.
- If it raises because arrays are immutable or because it needs values, it is NumPy code: it runs again on writable
  NumPy copies; under a trace, through `jax.pure_callback`, with output shapes from one run on zeros.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxchain.core.compat import Tracer
from jaxchain.core.config import thread_state, using_config
from jaxchain.core.errors import InvalidType
from jaxchain.core.guard import caught

CONCRETE_ERRORS = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)
OF_NODES = frozenset(("inputs", "outputs", "rank", "scope", "site", "ordinal"))  # attributes that are not the user's


_REFUSALS = (  # of JAX's arrays, and of NumPy's functions that write into one
    "immutable", "item assignment", "must be of ArrayType", "must be real number", "must be array",
    "must be an array", "must be a numpy.ndarray", "must be numpy.ndarray",
)  # fmt: skip


def is_numpy_code(error: Exception) -> bool:
    """Return whether an error says that the code wants arrays that can be written or looked at."""
    if isinstance(error, InvalidType):
        return False
    if isinstance(error, CONCRETE_ERRORS):
        return True
    text = str(error)
    if isinstance(error, TypeError):
        return any(words in text for words in _REFUSALS)
    if isinstance(error, NotImplementedError):
        return "arr.flat" in text  # `np.fill_diagonal`
    if isinstance(error, AttributeError):
        return "ArrayImpl" in text or "Tracer" in text
    return isinstance(error, ValueError) and "read-only" in text


def _copies(arrays: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(None if a is None else np.array(a) for a in arrays)


def call(
    owner: Any,
    function: Callable[[tuple[Any, ...]], Any],
    arrays: Sequence[Any],
    numpy: bool,
    afresh: bool = False,
) -> tuple[Any, bool]:
    """Run the user's code on arrays, by the rule of this module.

    Args:
        owner: The object that the code may leave values on.
        function: The code: a tuple of arrays -> a tuple of arrays and None.
        arrays: The arrays; None where there is none.
        numpy: It wants NumPy arrays for sure.
        afresh: What it makes on the object (``if not hasattr(self, "mask")``) is not there when a callback runs again.

    Returns:
        (what it returned, whether values of this call were left on the owner by a callback).
    """
    before = visible(owner)
    if not numpy:
        try:
            with caught():
                return function(tuple(arrays)), False
        except Exception as error:
            if not is_numpy_code(error):
                raise
        forget(owner, before)
    if not any(isinstance(a, Tracer) for a in arrays):
        return function(_copies(arrays)), False
    with _outside_trace(), np.errstate(all="ignore"):  # zeros stand for any values here: only shapes are wanted
        probe = function(tuple(None if a is None else np.zeros(a.shape, a.dtype) for a in arrays))
    if not isinstance(probe, tuple):
        return probe, False
    after = visible(owner)
    left = differ(before, after)
    canonical = jax.dtypes.canonicalize_dtype
    shapes = [None if y is None else jax.ShapeDtypeStruct(np.shape(y), canonical(np.asarray(y).dtype)) for y in probe]
    given = [a is not None for a in arrays]

    def run(*values: Any) -> list[np.ndarray]:
        rest = iter(values)
        if afresh:
            forget(owner, before)
        with using_config("enable_backprop", False):
            out = function(tuple(np.array(next(rest)) if g else None for g in given))
        return [np.asarray(y, s.dtype) for y, s in zip(out, shapes, strict=True) if s is not None]

    wanted = [s for s in shapes if s is not None]
    results = iter(jax.pure_callback(run, wanted, *(a for a in arrays if a is not None), vmap_method="sequential"))
    return tuple(None if s is None else next(results) for s in shapes), left


@contextlib.contextmanager
def _outside_trace() -> Iterator[None]:
    """Return a context in which ops run for real, though a trace is in progress."""
    state = thread_state()
    trace, state.trace = state.trace, None
    state.refresh()
    try:
        with jax.ensure_compile_time_eval(), using_config("enable_backprop", False):
            yield
    finally:
        state.trace = trace
        state.refresh()


def visible(owner: Any) -> dict[str, Any]:
    """Return the attributes that the user's code left on an object."""
    return {k: v for k, v in vars(owner).items() if not k.startswith("_") and k not in OF_NODES}


def differ(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Return whether an attribute came, went or was set anew."""
    return before.keys() != after.keys() or any(before[k] is not after[k] for k in before)


def forget(owner: Any, before: dict[str, Any]) -> None:
    """Take back what the user's code made on an object: attributes that were not there, or None.

    Args:
        owner: The object.
        before: What was `visible` before.
    """
    for name in visible(owner).keys() - before.keys():
        delattr(owner, name)
    for name in [k for k, v in before.items() if v is None]:
        setattr(owner, name, None)


class UserFunction:
    """What a function has that is written as a class: `forward` on arrays, and hooks."""

    __slots__ = ()

    @property
    def local_function_hooks(self) -> dict[str, Any]:
        """Hooks of this function, by name."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """Name in drawings and hooks."""
        return type(self).__name__

    def check_type_forward(self, in_types: Any) -> None:
        """Check the inputs with `utils.type_check.expect`.

        Args:
            in_types: Expressions on the types of the inputs.
        """

    def forward(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the outputs.

        Args:
            inputs: Arrays.
        """
        if type(self).forward_cpu is not UserFunction.forward_cpu or type(self).forward_gpu is UserFunction.forward_gpu:
            return self.forward_cpu(inputs)
        return self.forward_gpu(inputs)

    def forward_cpu(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """As `forward`, in NumPy.

        Args:
            inputs: NumPy arrays.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def forward_gpu(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """As `forward`; called if neither `forward` nor `forward_cpu` is defined.

        Args:
            inputs: Arrays.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    @classmethod
    def _forward_in_numpy(cls) -> bool:
        return cls.forward is UserFunction.forward and cls.forward_cpu is not UserFunction.forward_cpu

    def add_hook(self, hook: Any, name: str | None = None) -> None:
        """Add a hook that sees this function.

        Args:
            hook: A `FunctionHook`.
            name: Its key; None: ``hook.name``.

        Raises:
            TypeError: It is no `FunctionHook`.
            KeyError: There is a hook of that name.
        """
        if not hasattr(hook, "forward_preprocess"):
            raise TypeError(f"{type(self).__name__}.add_hook: expected a FunctionHook, got {type(hook).__name__}")
        name = str(hook.name if name is None else name)
        if name in self.local_function_hooks:
            raise KeyError(f"Hook {name} already exists")
        self.local_function_hooks[name] = hook
        hook.added(self)

    def delete_hook(self, name: str) -> None:
        """Remove a hook.

        Args:
            name: Its key.

        Raises:
            KeyError: There is none.
        """
        if name not in self.local_function_hooks:
            raise KeyError(f"Hook {name} does not exist")
        self.local_function_hooks.pop(name).deleted(self)
