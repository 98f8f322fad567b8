"""A character LSTM over words of different lengths: the graph is as long as the word.

The text is CPython's own help (``pydoc_data.topics``): 465,000 characters of English that every Python has. Static mode
compiles once for each length, and says so at the end.
"""

import argparse
import re
from pydoc_data.topics import topics

import numpy as np
from tqdm import tqdm

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import optimizers

LETTERS = "abcdefghijklmnopqrstuvwxyz"
END = 26


def batches(size, longest, seed):
    """Return batches of words of one length each, as ids ``(size, length)``, in random order."""
    words = re.findall(r"\b[a-z]+\b", " ".join(topics.values()))
    rng = np.random.RandomState(seed)
    found = []
    for length in range(2, longest + 1):
        same = [[LETTERS.index(c) for c in word] for word in words if len(word) == length]
        rng.shuffle(same)
        found += [np.array(same[i : i + size], np.int32) for i in range(0, len(same) - size + 1, size)]
    rng.shuffle(order := list(range(len(found))))
    return [found[i] for i in order]


class Speller(jaxchain.Chain):
    """Predicts each letter of a word, and its end, from the letters before."""

    def __init__(self, n_units):
        super().__init__()
        with self.init_scope():
            self.embed = L.EmbedID(27, n_units)
            self.lstm = L.LSTM(n_units, n_units)
            self.out = L.Linear(n_units, 27)

    def forward(self, words):
        self.lstm.reset_state()
        n, length = words.shape
        end = np.full(n, END, np.int32)
        loss = 0
        for i in range(length + 1):  # Python decides how long the graph is
            before = end if i == 0 else words[:, i - 1]
            y = self.out(self.lstm(self.embed(before)))
            loss += F.softmax_cross_entropy(y, end if i == length else words[:, i])
        return loss / (length + 1)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=("eager", "static"), default="eager")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--longest", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a few steps of a small model only")
    args = parser.parse_args(argv)
    if args.smoke:
        args.steps, args.longest, args.units, args.batch = 12, 3, 16, 16
    if args.steps < 1:
        parser.error("--steps: at least 1")

    jaxchain.seed(args.seed)
    model = Speller(args.units)
    optimizer = optimizers.Adam(alpha=3e-3).setup(model)
    optimizer.add_hook(jaxchain.optimizer_hooks.GradientClipping(5.0))

    def step(words):
        model.cleargrads()
        loss = model(words)
        loss.backward()
        optimizer.update()
        return loss

    if args.mode == "static":
        step = jaxchain.static(step)
    data = batches(args.batch, args.longest, args.seed)
    losses = []
    lengths = set()
    for i in tqdm(range(args.steps), args.mode):
        words = data[i % len(data)]
        lengths.add(words.shape[1])
        losses.append(float(step(words).array))
        if (i + 1) % 100 == 0:
            mean = np.mean(losses[-100:])
            tqdm.write(f"step {i + 1:4}  loss {mean:.3f} nats a letter  perplexity {np.exp(mean):.2f} of 27")
    if args.mode == "static":
        print(f"{len(step.compiles)} compiles for {len(lengths)} lengths")
    return losses, (len(step.compiles), len(lengths)) if args.mode == "static" else None


if __name__ == "__main__":
    main()
