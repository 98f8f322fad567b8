"""Extensions: what a trainer calls after updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PRIORITY_WRITER = 300
"""For extensions that write to the observation."""
PRIORITY_EDITOR = 200
"""For extensions that edit what was written."""
PRIORITY_READER = 100
"""For extensions that only read it, or do without it."""

_REMOVED = "invoke_before_training was removed in Chainer 2: give an `initialize` method instead"


class Extension:
    """Base class of extensions; any callable with the same attributes will do.

    Attributes:
        trigger: When it is called, unless ``Trainer.extend(trigger=...)`` says otherwise.
        priority: Those with a higher one are called first.
        name: Its name in the trainer; None: `default_name`.
    """

    trigger: Any = (1, "iteration")
    priority: int = PRIORITY_READER
    name: str | None = None

    @property
    def default_name(self) -> str:
        """Name that it gets if it is not given one."""
        return type(self).__name__

    def __call__(self, trainer: Any) -> Any:
        """Act.

        Args:
            trainer: The trainer that calls.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what to do: override __call__")

    def __getattr__(self, name: str) -> Any:
        if name == "invoke_before_training":
            raise AttributeError(_REMOVED)
        raise AttributeError(f"{type(self).__name__} object has no attribute {name!r}")

    def finalize(self) -> None:
        """Clean up: called when training is over, also after an error."""

    def initialize(self, trainer: Any) -> None:
        """Prepare: called when training begins or goes on, not counting as a call.

        Args:
            trainer: The trainer.
        """

    def on_error(self, trainer: Any, exc: Exception, tb: Any) -> None:
        """React to an error of the training loop.

        Args:
            trainer: The trainer.
            exc: The error.
            tb: Its traceback.
        """

    def serialize(self, serializer: Any) -> None:
        """Save or load what changes during training.

        Args:
            serializer: Serializer or deserializer.
        """


def make_extension(
    trigger: Any = None,
    default_name: str | None = None,
    priority: int | None = None,
    finalizer: Callable[..., Any] | None = None,
    initializer: Callable[..., Any] | None = None,
    on_error: Callable[..., Any] | None = None,
    **kwargs: Any,
) -> Callable[[Any], Any]:
    """Return a decorator that makes a function of the trainer an extension.

    Args:
        trigger: As `Extension.trigger`.
        default_name: As `Extension.default_name`; None: the function's name.
        priority: As `Extension.priority`.
        finalizer: Called without arguments when training is over.
        initializer: Called with the trainer when training begins.
        on_error: Called with trainer, error and traceback when the loop fails.
        **kwargs: None are known; Chainer's removed ``invoke_before_training`` gets an error that says so.

    Raises:
        ValueError: ``invoke_before_training`` is given.
        TypeError: Any other argument is given.

    Examples:
        >>> @jaxchain.training.make_extension(trigger=(1, "epoch"))
        ... def halve(trainer):
        ...     trainer.updater.get_optimizer("main").lr /= 2
        >>> halve.default_name, halve.priority
        ('halve', 100)
    """
    reject(kwargs)

    def decorator(extension: Any) -> Any:
        extension.trigger = Extension.trigger if trigger is None else trigger
        extension.default_name = default_name or extension.__name__
        extension.priority = Extension.priority if priority is None else priority
        extension.finalize = finalizer
        extension.on_error = on_error
        extension.initialize = initializer
        return extension

    return decorator


def reject(kwargs: dict[str, Any]) -> None:
    """Raise unless there are no further arguments.

    Args:
        kwargs: What was given beyond the known ones.
    """
    if "invoke_before_training" in kwargs:
        raise ValueError(_REMOVED)
    if kwargs:
        raise TypeError(f"unexpected arguments: {', '.join(sorted(kwargs))}")
