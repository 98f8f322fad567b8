"""The training loop: updates, then the extensions whose triggers fire, until the stop trigger does."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Iterable
from typing import Any, NamedTuple

from jaxchain.reporter import Reporter
from jaxchain.serializer import Serializer
from jaxchain.training import randomness
from jaxchain.training.extension import PRIORITY_READER, reject
from jaxchain.training.files import sweep
from jaxchain.training.util import get_trigger, serialize_trigger


class _Entry(NamedTuple):
    """A registered extension."""

    extension: Any
    trigger: Any
    priority: int
    call_before_training: bool


class Trainer:
    """Runs an updater and calls extensions after its updates.

    Each iteration has an empty `observation`, in which everything lands that is reported: the links of every optimizer
    are its observers, under the optimizer's name (``main/loss``).

    Args:
        updater: Makes the updates.
        stop_trigger: When to stop: a trigger or its arguments, e.g. ``(20, "epoch")``; None: never.
        out: Folder for what extensions write.
        extensions: Extensions to begin with.

    Attributes:
        updater: The updater.
        stop_trigger: When to stop.
        observation: What was reported since the last update began.
        out: The folder.
        reporter: The reporter; further observers can be added to it.
    """

    def __init__(
        self, updater: Any, stop_trigger: Any = None, out: str = "result", extensions: Iterable[Any] | None = None
    ) -> None:
        self.updater = updater
        self.stop_trigger = get_trigger(stop_trigger)
        self.observation: dict[str, Any] = {}
        self.out = out
        self.reporter = Reporter()
        for name, optimizer in updater.get_all_optimizers().items():
            if optimizer.target is None:
                raise RuntimeError(f"optimizer {name!r} is not set up: call optimizer.setup(model)")
            self.reporter.add_observer(name, optimizer.target)
            self.reporter.add_observers(name, optimizer.target.namedlinks(skipself=True))
        self._done = False
        self._extensions: dict[str, _Entry] = {}
        self._start_at: float | None = None
        self._snapshot_elapsed_time = 0.0
        self._final_elapsed_time = 0.0
        updater.connect_trainer(self)
        for extension in () if extensions is None else extensions:
            self.extend(extension)

    @property
    def is_before_training(self) -> bool:
        """Whether no update has been made yet."""
        return self.updater.iteration == 0

    @property
    def elapsed_time(self) -> float:
        """Seconds of training, those before a snapshot included.

        Raises:
            RuntimeError: Training has not started.
        """
        if self._done:
            return self._final_elapsed_time
        if self._start_at is None:
            raise RuntimeError("training has not been started yet")
        return time.perf_counter() - self._start_at + self._snapshot_elapsed_time

    def extend(
        self,
        extension: Any,
        name: str | None = None,
        trigger: Any = None,
        priority: int | None = None,
        *,
        call_before_training: bool = False,
        **kwargs: Any,
    ) -> None:
        """Register an extension.

        Args:
            extension: An `Extension`, or any function of the trainer.
            name: Its name. None: its attribute ``name``, ``default_name`` or ``__name__``. A second one of a name gets
                ``_1`` after it, and so on.
            trigger: When it is called: a trigger or its arguments. None: its attribute ``trigger``, or every iteration.
            priority: Those with a higher one are called first. None: its attribute ``priority``, or 100.
            call_before_training: Call it once before the first update, too.
            **kwargs: None are known; Chainer's removed ``invoke_before_training`` gets an error that says so.

        Raises:
            TypeError: It has no name, or an argument is unknown.
            ValueError: The name is ``"training"``, or ``invoke_before_training`` is given.
        """
        reject(kwargs)
        if name is None:
            names = (getattr(extension, attribute, None) for attribute in ("name", "default_name", "__name__"))
            name = next((n for n in names if n is not None), None)
            if name is None:
                raise TypeError("name is not given for the extension")
        if name == "training":
            raise ValueError('the name "training" is prohibited as an extension name')
        if trigger is None:
            trigger = getattr(extension, "trigger", (1, "iteration"))
        rank: int = getattr(extension, "priority", PRIORITY_READER) if priority is None else priority
        modified, ordinal = name, 0
        while modified in self._extensions:
            ordinal += 1
            modified = f"{name}_{ordinal}"
        with contextlib.suppress(AttributeError):  # bound methods take no attributes
            extension.name = modified
        self._extensions[modified] = _Entry(extension, get_trigger(trigger), rank, call_before_training)

    def get_extension(self, name: str) -> Any:
        """Return a registered extension.

        Args:
            name: Its name in this trainer.

        Raises:
            ValueError: There is none of that name.
        """
        if name not in self._extensions:
            known = ", ".join(self._extensions) or "none"
            raise ValueError(f"extension {name} not found (registered: {known})")
        return self._extensions[name].extension

    def run(self, show_loop_exception_msg: bool = True) -> None:
        """Train until the stop trigger fires.

        What killed runs left half written in the folder is swept.
        Extensions are initialised, then called before training where they ask for it. An error in the loop is passed to
        every ``on_error``; extensions and the updater are finalised in any case. A trainer runs once.

        Args:
            show_loop_exception_msg: Print an error before anything is finalised, which might hang.

        Raises:
            RuntimeError: It ran before.
        """
        if self._done:
            raise RuntimeError("cannot run training loop multiple times")
        os.makedirs(self.out, exist_ok=True)
        sweep(self.out)
        # of one priority, a snapshot of the trainer comes last: it then holds what the others did in this iteration
        entries = sorted(
            self._extensions.values(), key=lambda e: (-e.priority, getattr(e.extension, "saves_trainer", False))
        )
        self._start_at = time.perf_counter()
        # a snapshot that loads itself comes first: the others then begin with what it brought, as after `load_npz`
        for entry in sorted(entries, key=lambda e: not getattr(e.extension, "autoload", False)):
            initializer = getattr(entry.extension, "initialize", None)
            if initializer and not getattr(entry.trigger, "finished", False):
                initializer(self)
        try:
            self._loop(entries)
        except Exception as error:
            if show_loop_exception_msg:
                _show("Exception in main training loop", error)
                sys.stderr.write("Will finalize trainer extensions and updater before reraising the exception.\n")
            for entry in entries:
                _handle(entry.extension, self, error)
            raise
        finally:
            for entry in entries:
                finalize = getattr(entry.extension, "finalize", None)
                if finalize:
                    finalize()
            self.updater.finalize()
        self._final_elapsed_time = self.elapsed_time
        self._done = True

    def _loop(self, entries: list[_Entry]) -> None:
        update, reporter, stop_trigger = self.updater.update, self.reporter, self.stop_trigger
        if self.is_before_training:
            self.observation = {}
            with reporter.scope(self.observation):
                for entry in entries:
                    if entry.call_before_training:
                        entry.extension(self)
        while not stop_trigger(self):
            self.observation = {}
            with reporter.scope(self.observation):
                update()
                for entry in entries:
                    if entry.trigger(self):
                        entry.extension(self)

    def serialize(self, serializer: Any) -> None:
        """Save or load everything that changes in training: updater, triggers, extensions, random streams.

        Chainer's keys; the random streams are added to them.

        Args:
            serializer: Serializer or deserializer.
        """
        self.updater.serialize(serializer["updater"])
        serialize_trigger(serializer["stop_trigger"], self.stop_trigger)
        extensions, triggers = serializer["extensions"], serializer["extension_triggers"]
        for name, entry in self._extensions.items():
            if hasattr(entry.extension, "serialize"):
                entry.extension.serialize(extensions[name])
            serialize_trigger(triggers[name], entry.trigger)
        if isinstance(serializer, Serializer):
            started = self._done or self._start_at is not None
            serializer("_snapshot_elapsed_time", self.elapsed_time if started else self._snapshot_elapsed_time)
        else:
            self._snapshot_elapsed_time = serializer("_snapshot_elapsed_time", 0.0)
        randomness.serialize(serializer["random"])


def _show(title: str, error: BaseException) -> None:
    sys.stderr.write(f"{title}: {error}\nTraceback (most recent call last):\n")
    traceback.print_tb(error.__traceback__)


def _handle(extension: Any, trainer: Trainer, error: Exception) -> None:
    """Tell an extension of an error; what it raises itself is printed."""
    handler = getattr(extension, "on_error", None)
    if handler is None:
        return
    try:
        handler(trainer, error, error.__traceback__)
    except Exception as another:
        _show("Exception in error handler", another)
