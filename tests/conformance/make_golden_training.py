"""Write golden/training.json and golden/chainer_snapshot.npz: what real Chainer 7.8.1 does in training_cases.py.

Run with an interpreter that has Chainer 7.8.1 (NumPy 1.23):
``python tests/conformance/make_golden_training.py``.
"""

import json
import os
import sys
import warnings

import chainer
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import training_cases  # noqa: E402


def write_snapshot(path):
    """Write a trainer's snapshot after 5 iterations, and return the losses of the next 5."""
    updater, _, evaluator = training_cases.build(chainer)
    trainer = chainer.training.Trainer(updater, (5, "iteration"), out=os.path.dirname(path))
    trainer.extend(evaluator)
    trainer.extend(chainer.training.extensions.LogReport(trigger=(2, "iteration"), filename=None, log_name=None))
    trainer.extend(chainer.training.extensions.ExponentialShift("lr", 0.9))
    trainer.extend(chainer.training.extensions.PlotReport("main/loss"))
    trainer.run()
    chainer.serializers.save_npz(path, trainer)
    losses = []
    shift = trainer.get_extension("ExponentialShift")
    for _ in range(5):
        updater.update()
        shift(trainer)
        losses.append(float(updater.get_optimizer("main").target.loss.array))
    return losses


def main():
    """Write the files."""
    golden = training_cases.answers(chainer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        golden["losses after the snapshot"] = write_snapshot(os.path.join(HERE, "golden", "chainer_snapshot.npz"))
    path = os.path.join(HERE, "golden", "training.json")
    with open(path, "w") as file:
        json.dump(golden, file, indent=1)
    print(len(golden["triggers"]), "triggers,", len(golden["shifts"]), "schedules,", os.path.getsize(path), "bytes")
    print(np.__version__, chainer.__version__)


if __name__ == "__main__":
    main()
