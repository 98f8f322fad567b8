"""A character language model: an LSTM, trained by truncated backpropagation through time.

The text is CPython's own help (``pydoc_data.topics``), 465,000 characters of English that every Python has, or the file
``--text``. The state of the LSTM is carried from step to step; `unchain_backward` cuts the graph behind it, so that
memory does not grow. At the end the model writes some help of its own.
"""

import argparse
import pathlib
import time
from pydoc_data.topics import topics

import numpy as np
from tqdm import tqdm

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import optimizers


class CharLM(jaxchain.Chain):
    """Predicts the next character from all that it has read since its state was reset."""

    def __init__(self, n_vocab, n_units):
        super().__init__()
        self.n_units = n_units
        with self.init_scope():
            self.embed = L.EmbedID(n_vocab, n_units)
            self.lstm = L.LSTM(n_units, n_units)
            self.out = L.Linear(n_units, n_vocab)

    def reset_state(self, n_streams):
        """Forget what was read. Zeros, not None: the first step of a text is then the same program as the others."""
        self.lstm.set_state(*(jaxchain.Variable(np.zeros((n_streams, self.n_units), np.float32)) for _ in "ch"))

    def forward(self, xs):
        """Return what follows each character of `xs` (length, n_streams): logits (length * n_streams, n_vocab)."""
        hs = [self.lstm(x) for x in F.separate(self.embed(xs))]  # one character at a time
        return self.out(F.concat(hs, axis=0))


def read(path, smoke):
    """Return the ids of the text's characters, and the characters."""
    text = pathlib.Path(path).read_text(encoding="utf-8") if path else "\n".join(topics[key] for key in sorted(topics))
    vocabulary, ids = np.unique(list(text[:4000] if smoke else text), return_inverse=True)
    return ids.astype(np.int32), vocabulary


def chunks(ids, n_streams, length):
    """Return (input, target) pairs (length, n_streams): the text as parallel streams, cut where a step ends."""
    n = (len(ids) - 1) // n_streams
    x, t = (ids[i : i + n * n_streams].reshape(n_streams, n).T for i in (0, 1))
    return [(x[i : i + length], t[i : i + length]) for i in range(0, n - length + 1, length)]


def generate(predict, model, vocabulary, start, length, temperature, rng):
    """Return `start` and `length` characters more, each drawn from what the model predicts."""
    model.reset_state(1)
    text = list(start)
    for i in range(len(start) + length - 1):
        y = predict(np.flatnonzero(vocabulary == text[i])[None].astype(np.int32))
        if i == len(text) - 1:
            p = np.exp(np.asarray(F.log_softmax(y / temperature).array[0], np.float64))
            text.append(rng.choice(vocabulary, p=p / p.sum()))
    return "".join(text)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=("eager", "static"), default="eager")
    parser.add_argument("--text", help="a text file to learn from, in place of Python's help")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--streams", type=int, default=32, help="parts of the text that are read side by side")
    parser.add_argument("--bptt", type=int, default=16, help="characters that a gradient goes back through")
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--start", default="The ", help="what the generated text begins with")
    parser.add_argument("--length", type=int, default=600, help="characters to generate")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="result", help="folder for the generated text")
    parser.add_argument("--smoke", action="store_true", help="a few short steps only")
    args = parser.parse_args(argv)
    if args.epochs < 1:
        parser.error("--epochs: at least 1")
    if args.smoke:
        args.epochs, args.streams, args.bptt, args.units, args.length = 2, 16, 4, 16, 20

    jaxchain.seed(args.seed)
    ids, vocabulary = read(args.text, args.smoke)
    n_test = len(ids) // 20
    train, test = (chunks(part, args.streams, args.bptt) for part in (ids[:-n_test], ids[-n_test:]))
    if not train or not test:
        parser.error(f"{len(ids)} characters are too few for --streams {args.streams} and --bptt {args.bptt}")
    if unknown := set(args.start) - set(vocabulary):
        parser.error(f"--start: the text has no {', '.join(map(repr, sorted(unknown)))}")
    model = CharLM(len(vocabulary), args.units)
    optimizer = optimizers.Adam(alpha=3e-3).setup(model)
    optimizer.add_hook(jaxchain.optimizer_hooks.GradientClipping(5.0))

    def read_on(xs, ts):
        """Return the mean loss of one chunk; the LSTM's state goes on from the chunk before."""
        return F.softmax_cross_entropy(model(xs), ts.reshape(-1))

    def step(xs, ts):
        model.cleargrads()
        loss = read_on(xs, ts)
        loss.backward()
        loss.unchain_backward()  # the state stays, the graph that made it goes: this truncates
        optimizer.update()
        return loss

    def evaluate(xs, ts):
        with jaxchain.using_config("train", False), jaxchain.no_backprop_mode():
            return read_on(xs, ts)

    def predict(x):
        with jaxchain.using_config("train", False), jaxchain.no_backprop_mode():
            return model(x)

    if args.mode == "static":
        step, evaluate, predict = (jaxchain.static(f) for f in (step, evaluate, predict))

    def mean(losses):
        return float(np.mean([float(loss.array) for loss in losses]))

    losses = []
    start = time.perf_counter()
    for epoch in range(args.epochs):
        model.reset_state(args.streams)
        epoch_losses = [step(xs, ts) for xs, ts in tqdm(train, f"epoch {epoch + 1}", leave=False)]
        model.reset_state(args.streams)
        test_loss = mean(evaluate(xs, ts) for xs, ts in test)
        losses += [float(loss.array) for loss in epoch_losses]
        print(
            f"epoch {epoch + 1:2}  train {mean(epoch_losses) / np.log(2):.3f} bits a character  "
            f"test {test_loss / np.log(2):.3f}  perplexity {np.exp(test_loss):.2f} of {len(vocabulary)}"
        )
    print(f"{args.mode}: {len(losses)} steps in {time.perf_counter() - start:.1f} s")
    rng = np.random.RandomState(args.seed)
    text = generate(predict, model, vocabulary, args.start, args.length, args.temperature, rng)
    path = pathlib.Path(args.out, "sample.txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"--- {path} ---\n{text}")
    return losses, test_loss, text


if __name__ == "__main__":
    main()
