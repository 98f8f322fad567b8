"""Sequence classification over varying lengths: which module of Python's library does a line of code come from?

`NStepLSTM` takes a list of sequences of different lengths and runs them as one batch. To a compiler each combination of
lengths is a program of its own: `jaxchain.bucket` pads a batch to the next of three lengths, so that all batches are
three programs. The model is given a mask, so that padding does not count: the losses are those of ``--exact``.
"""

import argparse
import os
import pathlib
import sysconfig
import time

import numpy as np
from tqdm import tqdm

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import optimizers

MODULES = ("argparse", "datetime", "difflib", "inspect", "subprocess", "tarfile", "turtle", "typing")
LONGEST = 64


def read(n_test, seed):
    """Return (characters of a line, number of its module) pairs, for training and for a test, in random order."""
    examples = []
    for label, name in enumerate(MODULES):
        text = pathlib.Path(sysconfig.get_paths()["stdlib"], name + ".py").read_text(encoding="utf-8")
        lines = {line.strip() for line in text.splitlines()}
        for line in sorted(line for line in lines if 12 <= len(line) <= LONGEST and line.isascii()):
            examples.append((np.array([ord(c) for c in line], np.int32), np.int32(label)))
    np.random.RandomState(seed).shuffle(order := list(range(len(examples))))
    examples = [examples[i] for i in order]
    return examples[n_test:], examples[:n_test]


class LineClassifier(jaxchain.Chain):
    """The mean of an LSTM's outputs over a line, and a linear layer."""

    def __init__(self, n_units, n_out):
        super().__init__()
        with self.init_scope():
            self.embed = L.EmbedID(128, n_units)
            self.lstm = L.NStepLSTM(1, n_units, n_units, 0.0)
            self.out = L.Linear(n_units, n_out)

    def forward(self, xs, mask=None):
        mask = [np.ones(len(x), bool) for x in xs] if mask is None else mask
        ends = np.cumsum([len(x) for x in xs])[:-1]
        _, _, ys = self.lstm(None, None, F.split_axis(self.embed(F.concat(xs, axis=0)), ends, axis=0))
        weight = F.pad_sequence([m.astype("float32") for m in mask])[:, :, None]  # (line, character, 1)
        return self.out(F.sum(F.pad_sequence(ys) * weight, axis=1) / F.sum(weight, axis=1))


def batches(examples, size):
    """Yield (lines, numbers of their modules): lines of like lengths together, the batches in random order."""
    order = sorted(np.random.permutation(len(examples)), key=lambda i: len(examples[i][0]))
    for start in size * np.random.permutation(len(examples) // size):
        xs, t = zip(*(examples[i] for i in order[start : start + size]), strict=True)
        yield list(xs), np.array(t)


def padded(policy, function):
    """Return `function` with the padding of `jaxchain.static(function, sizes=policy)`, but without the compiler."""

    def call(*args):
        args, kwargs = policy.apply(function, args, {})
        return function(*args, **kwargs)

    return call


def draw(path, confusion):
    """Draw how many lines of each module are taken for which."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(5, 4.6), layout="constrained")
    axis.imshow(confusion, cmap="Blues")
    axis.set(xticks=range(len(MODULES)), yticks=range(len(MODULES)), xlabel="predicted", ylabel="module of the line")
    axis.set_xticklabels(MODULES, rotation=45, ha="right")
    axis.set_yticklabels(MODULES)
    for (i, j), count in np.ndenumerate(confusion):
        axis.text(j, i, count, ha="center", va="center", color="white" if count > confusion.max() / 2 else "black")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    figure.savefig(path)
    plt.close(figure)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=("eager", "static"), default="eager")
    parser.add_argument("--exact", action="store_true", help="no padding: a program per combination of lengths, slow")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="result", help="folder for the picture")
    parser.add_argument("--smoke", action="store_true", help="a few steps only")
    args = parser.parse_args(argv)
    if args.epochs < 1:
        parser.error("--epochs: at least 1")

    train, test = read(n_test=800, seed=args.seed)
    if args.smoke:
        train, test = ([e for e in part if len(e[0]) <= 24][:20] for part in (train, test))
        args.epochs, args.batch, args.units = 2, 4, 8
    jaxchain.seed(args.seed)
    np.random.seed(args.seed)
    model = L.Classifier(LineClassifier(args.units, len(MODULES)))
    optimizer = optimizers.Adam(alpha=3e-3).setup(model)

    def step(xs, t, mask=None):
        model.cleargrads()
        loss = model(xs, mask, t)
        loss.backward()
        optimizer.update()
        return loss

    def evaluate(xs, mask=None):
        with jaxchain.using_config("train", False), jaxchain.no_backprop_mode():
            return model.predictor(xs, mask)

    programs = []
    policy = None if args.exact else jaxchain.bucket({"xs": 0}, sizes=(24, 40, LONGEST))
    if args.mode == "static":
        step, evaluate = programs = [jaxchain.static(f, sizes=policy) for f in (step, evaluate)]
    elif policy:
        step, evaluate = padded(policy, step), padded(policy, evaluate)

    losses, lengths, start = [], set(), time.perf_counter()
    for epoch in range(args.epochs):
        for xs, t in tqdm(batches(train, args.batch), f"epoch {epoch + 1}", len(train) // args.batch, leave=False):
            lengths.add(tuple(len(x) for x in xs))
            losses.append(float(step(xs, t).array))
        confusion = np.zeros((len(MODULES), len(MODULES)), int)
        for xs, t in batches(test, args.batch):
            np.add.at(confusion, (t, np.asarray(evaluate(xs).array).argmax(axis=1)), 1)
        accuracy = confusion.trace() / confusion.sum()
        mean = np.mean(losses[-(len(train) // args.batch) :])
        print(f"epoch {epoch + 1}  train loss {mean:.4f}  test accuracy {accuracy:.4f}")
    print(f"{args.mode}: {len(losses)} steps in {time.perf_counter() - start:.1f} s")
    if programs:
        print(f"{len(programs[0].compiles)} programs for {len(lengths)} combinations of lengths")
    draw(os.path.join(args.out, "confusion.png"), confusion)
    return losses, accuracy, (len(programs[0].compiles), len(lengths)) if programs else None


if __name__ == "__main__":
    main()
