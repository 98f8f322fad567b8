"""Evaluation on a validation set."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from jaxchain import reporter as reporting
from jaxchain.core.config import no_backprop_mode, using_config
from jaxchain.core.explain import Explanation
from jaxchain.dataset.convert import concat_examples
from jaxchain.reporter import DictSummary, Reporter
from jaxchain.training.extension import PRIORITY_WRITER, Extension
from jaxchain.training.extensions.console import LiveLines, left
from jaxchain.training.updaters.base import Step, as_device, check_mode, convert


class Evaluator(Extension):
    """Calls a model with every batch of a validation set, and reports the means of what it reports.

    The values get the name of the extension before theirs: ``validation/main/loss``. ``config.train`` is False and no
    graph is recorded. In static mode a call is compiled: one program for each shape of a batch, so a short last batch
    costs one compile, once.

    Args:
        iterator: Iterator of a single sweep, or a dictionary of iterators; one has the name ``"main"``.
        target: The model, or a dictionary of models, likewise.
        converter: ``converter(batch, device)``: makes arrays of a batch. A tuple of them is the model's arguments, a
            dictionary those by name.
        device: Where to put batches. None: JAX's default device.
        eval_hook: Called with the evaluator before each evaluation.
        eval_func: What to call. None: the main model.
        progress_bar: Show how far it is.
        mode: ``"eager"`` or ``"static"``. None: ``config.mode`` at each evaluation.

    Raises:
        ValueError: There is no such mode.

    Attributes:
        converter: The converter.
        device: The device.
        eval_hook: The hook.
        eval_func: The function.
    """

    trigger = (1, "epoch")
    default_name = "validation"  # type: ignore[assignment]
    priority = PRIORITY_WRITER
    name = None

    def __init__(
        self,
        iterator: Any,
        target: Any,
        converter: Callable[..., Any] = concat_examples,
        device: Any = None,
        eval_hook: Callable[[Any], Any] | None = None,
        eval_func: Callable[..., Any] | None = None,
        *,
        progress_bar: bool = False,
        mode: str | None = None,
    ) -> None:
        self._iterators: dict[str, Any] = dict(iterator) if isinstance(iterator, Mapping) else {"main": iterator}
        self._targets: dict[str, Any] = dict(target) if isinstance(target, Mapping) else {"main": target}
        self.converter = converter
        self.device = as_device(device)
        self.eval_hook = eval_hook
        self.eval_func = eval_func
        self._mode = check_mode(type(self).__name__, mode)
        self._progress_bar = progress_bar
        self._step: Step | None = None
        for key, each in self._iterators.items():
            if getattr(each, "repeat", False):
                warnings.warn(
                    f"The iterator {key!r} repeats for ever, and so will the evaluation: give it repeat=False",
                    stacklevel=2,
                )

    def get_iterator(self, name: str) -> Any:
        """Return an iterator.

        Args:
            name: Its name.
        """
        return self._iterators[name]

    def get_all_iterators(self) -> dict[str, Any]:
        """Return every iterator by name."""
        return dict(self._iterators)

    def get_target(self, name: str) -> Any:
        """Return a model.

        Args:
            name: Its name.
        """
        return self._targets[name]

    def get_all_targets(self) -> dict[str, Any]:
        """Return every model by name."""
        return dict(self._targets)

    def __call__(self, trainer: Any = None) -> dict[str, Any]:
        """Evaluate and report the means.

        Args:
            trainer: Not used: an evaluator can be called by itself.

        Returns:
            The means by name.
        """
        reporter = Reporter()
        prefix = "" if self.name is None else f"{self.name}/"
        for name, target in self._targets.items():
            reporter.add_observer(prefix + name, target)
            reporter.add_observers(prefix + name, target.namedlinks(skipself=True))
        with (
            reporter,
            using_config("train", False),
            using_config("mode", self._mode) if self._mode else contextlib.nullcontext(),
        ):
            result = self.evaluate()
        reporting.report(result)
        return result

    def evaluate(self) -> dict[str, Any]:
        """Return the means of what is reported over the main iterator. Subclasses may override it."""
        iterator = self._iterators["main"]
        if self.eval_hook:
            self.eval_hook(self)
        if hasattr(iterator, "reset"):
            iterator.reset()
        else:
            warnings.warn(
                f"{type(iterator).__name__} has no `reset` method: a copy of it is used up instead",
                DeprecationWarning,
                stacklevel=2,
            )
            iterator = copy.copy(iterator)
        step = self._get_step()
        bar = _IteratorBar(iterator) if self._progress_bar else None
        summary = DictSummary()
        for batch in iterator:
            observation: dict[str, Any] = {}
            with reporting.report_scope(observation):
                arrays = convert(self.converter, batch, self.device)
                with no_backprop_mode():
                    step(arrays)
            summary.add(observation)
            if bar is not None:
                bar.update()
        if bar is not None:
            bar.close()
        return summary.compute_mean()

    def _get_step(self) -> Step:
        function = self.eval_func or self._targets["main"]
        if self._step is None or not self._step.fits(function):

            def evaluate(*args: Any, **kwargs: Any) -> None:
                function(*args, **kwargs)

            self._step = Step("evaluate", [("eval_func", function)], evaluate, False)
        return self._step

    def explain(self) -> Explanation:
        """Return every compile in static mode, with its reason: print it."""
        return self._get_step().static.explain()

    def finalize(self) -> None:
        """Finalize the iterators."""
        for iterator in self._iterators.values():
            iterator.finalize()


class _IteratorBar(LiveLines):
    """How far an iterator is in its sweep."""

    def __init__(self, iterator: Any) -> None:
        super().__init__()
        if not (hasattr(iterator, "current_position") and hasattr(iterator, "epoch_detail")):
            raise TypeError(
                f"Evaluator: a progress bar needs current_position and epoch_detail of the iterator, which "
                f"{type(iterator).__name__} does not have"
            )
        self._iterator = iterator

    def get_lines(self) -> list[str]:
        """Return the bar, the count and the speed."""
        iteration, rate = self._iterator.current_position, self._iterator.epoch_detail
        size = getattr(self._iterator, "_epoch_size", None)
        by_iteration, by_epoch = self.speed(iteration, rate)
        return [
            self.bar("validation", rate),
            f"{iteration:10} / {size} iterations\n" if size else f"{iteration:10} iterations\n",
            self.estimate(by_iteration, left(1.0 - rate, by_epoch)),
        ]
