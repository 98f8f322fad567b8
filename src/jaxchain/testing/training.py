"""A trainer whose updater only counts, for tests of extensions and triggers."""

from __future__ import annotations

from typing import Any
from unittest import mock

from jaxchain.training import Trainer


def get_trainer_with_mock_updater(
    stop_trigger: Any = (10, "iteration"), iter_per_epoch: int = 10, extensions: Any = None
) -> Trainer:
    """Return a trainer with a `unittest.mock.Mock` in the place of its updater, which counts iterations and epochs.

    Args:
        stop_trigger: When training stops.
        iter_per_epoch: Iterations in an epoch.
        extensions: Its extensions; None: none.
    """
    updater = mock.Mock()
    updater.get_all_optimizers.return_value = {}
    updater.iteration, updater.epoch, updater.epoch_detail = 0, 0, 0.0
    updater.is_new_epoch, updater.previous_epoch_detail = True, None

    def update() -> None:
        updater.update_core()
        updater.iteration += 1
        updater.epoch = updater.iteration // iter_per_epoch
        updater.epoch_detail = updater.iteration / iter_per_epoch
        updater.is_new_epoch = updater.iteration % iter_per_epoch == 0
        updater.previous_epoch_detail = (updater.iteration - 1) / iter_per_epoch

    updater.update = update
    trainer = Trainer(updater, stop_trigger, extensions=extensions)
    return trainer
