"""How calls are told in messages: the function, what it was called with, and the user's line."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from jaxchain.core.arrays import ARRAY_LIKE
from jaxchain.core.errors import ArgumentGone, InvalidType, locate, traceback_source, user_line
from jaxchain.core.variable import Variable


def described(args: Sequence[Any], kwargs: Mapping[str, Any] = {}) -> str:
    """Return the arguments of a call for a message: arrays by dtype and shape."""
    return ", ".join([*map(_described, args), *(f"{name}={_described(value)}" for name, value in kwargs.items())])


def _described(value: Any) -> str:
    if isinstance(value, Variable):
        return repr(value._node.info)
    if isinstance(value, ARRAY_LIKE):
        return f"{value.dtype}[{','.join(map(str, value.shape))}]"
    if type(value) in (list, tuple):
        start, end = "[]" if isinstance(value, list) else "()"
        return f"{start}{described(value[:9])}{', ...' if len(value) > 9 else ''}{end}"
    return reprlib.repr(value)


def refuse_class(target: Any) -> None:
    """Raise an error if somebody gave the class of a link where a link or a function is expected.

    Raises:
        TypeError: It is one.
    """
    if isinstance(target, type) and hasattr(target, "namedparams"):
        name = target.__name__
        raise TypeError(
            f"expected a link or a function, got the class {name}: give an instance, {name}(...)\nat {user_line()}"
        )


# arguments of old, and the configuration entries that took their place
_GONE = {"train": "train", "deterministic": "cudnn_deterministic", "use_cudnn": "use_cudnn"}
_NO_ARRAYS = (list, tuple, str, type(None))


def located(error: Exception, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Exception:
    """Return the error of a call on its way to the user: it names the call and the user's line (see `locate`). If the
    call used an argument as the array that it is not, it is an `InvalidType`; an argument of old is an `ArgumentGone`.
    """
    problem = error
    if isinstance(error, AttributeError) and isinstance(error.obj, _NO_ARRAYS) and traceback_source(error) is None:
        if any(value is error.obj for value in (*args, *kwargs.values())):
            problem = InvalidType("Variables and arrays", type(error.obj).__name__)
    gone = next((key for key in _GONE if key in kwargs), None) if isinstance(error, TypeError) else None
    if gone is not None and f"unexpected keyword argument '{gone}'" in str(error):
        problem = ArgumentGone(f"{error}: it is not supported anymore. Use using_config('{_GONE[gone]}', value)")
    locate(problem, f"{name}({described(args, kwargs)})")
    return problem
