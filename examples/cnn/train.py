"""A convolutional network on real handwritten digits: with a loop of one's own, or with the Trainer.

``--loop custom`` writes the loop out; ``--loop trainer`` hands the same model, optimizer and data to `Trainer`.
``--mode static`` compiles each update and each evaluation.
"""

import argparse
import os

import numpy as np
from tqdm import tqdm

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import datasets, iterators, optimizers, training
from jaxchain.dataset import concat_examples
from jaxchain.training import extensions


class CNN(jaxchain.Chain):
    def __init__(self, n_channels, n_out):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(None, n_channels, ksize=3, pad=1, nobias=True)
            self.norm1 = L.BatchNormalization(n_channels)
            self.conv2 = L.Convolution2D(None, 2 * n_channels, ksize=3, pad=1, nobias=True)
            self.norm2 = L.BatchNormalization(2 * n_channels)
            self.fc = L.Linear(None, n_out)

    def forward(self, x):
        h = F.max_pooling_2d(F.relu(self.norm1(self.conv1(x))), 2)
        h = F.max_pooling_2d(F.relu(self.norm2(self.conv2(h))), 2)
        return self.fc(F.dropout(h, 0.3))


def run_custom(args, model, optimizer, train, test):
    """Return the training loss and the test accuracy of every epoch."""

    def step(x, t):
        model.cleargrads()
        loss = model(x, t)
        loss.backward()
        optimizer.update()
        return loss

    def evaluate(x, t):
        with jaxchain.using_config("train", False), jaxchain.no_backprop_mode():
            return model(x, t), model.accuracy

    if args.mode == "static":
        step, evaluate = jaxchain.static(step), jaxchain.static(evaluate)
    log = []
    batches = iterators.SerialIterator(train, args.batch)
    for epoch in range(args.epochs):
        losses = []
        for _ in tqdm(range(len(train) // args.batch), f"epoch {epoch + 1}", leave=False):
            losses.append(step(*concat_examples(batches.next())))
        loss, accuracy = evaluate(*concat_examples(test[:]))
        log.append((np.mean([float(x.array) for x in losses]), float(accuracy.array)))
        print(f"epoch {epoch + 1:2}  train loss {log[-1][0]:.4f}  test loss {float(loss.array):.4f}  ", end="")
        print(f"test accuracy {log[-1][1]:.4f}")
    return log


def run_trainer(args, model, optimizer, train, test):
    """Return the training loss and the test accuracy of every epoch."""
    batches = iterators.SerialIterator(train, args.batch)
    tests = iterators.SerialIterator(test, args.batch, repeat=False, shuffle=False)
    updater = training.updaters.StandardUpdater(batches, optimizer, mode=args.mode)
    trainer = training.Trainer(updater, (args.epochs, "epoch"), out=args.out)
    trainer.extend(extensions.Evaluator(tests, model, mode=args.mode))
    trainer.extend(extensions.LogReport())
    trainer.extend(extensions.PlotReport(["main/loss", "validation/main/loss"], "epoch", filename="loss.png"))
    columns = ["main/loss", "validation/main/loss", "main/accuracy", "validation/main/accuracy"]
    trainer.extend(extensions.PrintReport(["epoch", *columns, "elapsed_time"]))
    trainer.extend(extensions.ProgressBar(update_interval=10))
    trainer.run()
    log = trainer.get_extension("LogReport").log
    return [(entry["main/loss"], entry["validation/main/accuracy"]) for entry in log]


def draw_mistakes(path, model, test):
    """Draw the test digits that the model takes for another one."""
    import matplotlib.pyplot as plt

    x, t = concat_examples(test[:])
    with jaxchain.using_config("train", False), jaxchain.no_backprop_mode():
        y = np.asarray(model.predictor(x).array).argmax(axis=1)
    wrong = np.flatnonzero(y != t)
    figure, axes = plt.subplots(1, 8, figsize=(10, 1.8))
    for axis in axes:
        axis.axis("off")
    for axis, i in zip(axes, wrong, strict=False):
        axis.imshow(x[i, 0], cmap="gray_r")
        axis.set_title(f"{t[i]}, not {y[i]}", fontsize=9)
    figure.savefig(path)
    plt.close(figure)
    print(f"{len(wrong)} of {len(t)} test digits are wrong; the first eight: {path}")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=("eager", "static"), default="eager")
    parser.add_argument("--loop", choices=("custom", "trainer"), default="custom")
    parser.add_argument("--data", choices=("digits", "mnist_5k"), default="digits")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="result", help="folder for the picture, and for the Trainer's log and plot")
    parser.add_argument("--smoke", action="store_true", help="a few steps only")
    args = parser.parse_args(argv)
    if args.epochs < 1:
        parser.error("--epochs: at least 1")

    jaxchain.seed(args.seed)
    np.random.seed(args.seed)
    train, test = getattr(datasets, f"get_{args.data}")(ndim=3)
    if args.smoke:
        train, test, args.epochs, args.channels = train[:192], test[:64], 2, 4
    model = L.Classifier(CNN(args.channels, 10))
    optimizer = optimizers.Adam().setup(model)
    run = run_custom if args.loop == "custom" else run_trainer
    log = run(args, model, optimizer, train, test)
    os.makedirs(args.out, exist_ok=True)
    draw_mistakes(os.path.join(args.out, "mistakes.png"), model, test)
    return log


if __name__ == "__main__":
    main()
