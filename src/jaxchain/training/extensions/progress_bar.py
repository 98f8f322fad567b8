"""The progress bar of training."""

from __future__ import annotations

from typing import Any

from jaxchain.training.extension import Extension
from jaxchain.training.extensions.console import LiveLines, left


class ProgressBar(Extension):
    """Shows how far training is: of all of it and of the epoch, speed and time left.

    Args:
        training_length: (length, unit). None: the stop trigger's.
        update_interval: Iterations between two drawings.
        bar_length: Characters of a bar.
        out: Stream. None: `sys.stdout`; in a notebook, one output of the cell is replaced.
    """

    def __init__(
        self, training_length: Any = None, update_interval: int = 100, bar_length: int = 50, out: Any = None
    ) -> None:
        self._update_interval = update_interval
        self._bar = _TrainerBar(training_length, bar_length, out)

    def __call__(self, trainer: Any) -> None:
        """Draw, if the interval is over.

        Args:
            trainer: The trainer.
        """
        self._bar.trainer = trainer
        if trainer.updater.iteration % self._update_interval == 0:
            self._bar.update()

    def finalize(self) -> None:
        """Erase the bar."""
        self._bar.close()


class _TrainerBar(LiveLines):
    """The lines of a trainer."""

    def __init__(self, training_length: Any, bar_length: int, out: Any) -> None:
        super().__init__(bar_length, out)
        self.trainer: Any = None
        self.training_length = training_length

    def get_lines(self) -> list[str]:
        """Return two bars, the counts and the speed."""
        updater = self.trainer.updater
        iteration, epoch = updater.iteration, updater.epoch_detail
        if self.training_length is None:
            self.training_length = self.trainer.stop_trigger.get_training_length()
        length, unit = self.training_length
        done = iteration if unit == "iteration" else epoch
        by_iteration, by_epoch = self.speed(iteration, epoch)
        seconds = left(length - done, by_iteration if unit == "iteration" else by_epoch)
        return [
            self.bar("     total", min(done / length, 1.0)),
            self.bar("this epoch", epoch - int(epoch)),
            f"{iteration:10} iter, {updater.epoch} epoch / {length} {unit}s\n",
            self.estimate(by_iteration, max(seconds, 0.0)),
        ]
