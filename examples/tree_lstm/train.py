"""A recursive tree-LSTM: which comparison stood between two expressions?

The trees are the syntax trees of Python's own library. Of each comparison ``left ? right`` the model reads both sides
and says whether ``?`` was equality (``== !=``), order (``< <= > >=``), identity (``is``, ``is not``) or membership
(``in``, ``not in``). Every sample has a graph of its own, as deep as its trees.

``--mode static`` compiles the links, not the walk: the cell is one program for each number of children, whatever the
shape of the tree. (A whole step compiled, by `jaxchain.static`, would be a program for every set of trees.)
"""

import argparse
import ast
import collections
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

KINDS = ("equality", "order", "identity", "membership")
KIND = {"Eq": 0, "NotEq": 0, "Lt": 1, "LtE": 1, "Gt": 1, "GtE": 1, "Is": 2, "IsNot": 2, "In": 3, "NotIn": 3}


def tree_of(node):
    """Return an expression as (symbol, children)."""
    children = [tree_of(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    if isinstance(node, ast.Constant):
        return f"a {type(node.value).__name__}", children
    return getattr(node, "id", getattr(node, "attr", type(node).__name__)), children


def symbols(tree):
    return [tree[0]] + [s for child in tree[1] for s in symbols(child)]


def widest(tree):
    return max([len(tree[1]), *(widest(child) for child in tree[1])])


def read(n_symbols, seed):
    """Return (left tree, right tree, kind, source) of the library's comparisons in random order, symbols as ids."""
    found = []
    for path in sorted(pathlib.Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Compare) and len(node.ops) == 1:
                left, right = tree_of(node.left), tree_of(node.comparators[0])
                if len(symbols(left) + symbols(right)) <= 20 and max(widest(left), widest(right)) <= 3:
                    found.append((left, right, KIND[type(node.ops[0]).__name__], ast.unparse(node)))
    counts = collections.Counter(s for left, right, *_ in found for s in symbols(left) + symbols(right))
    ids = {symbol: i + 1 for i, (symbol, _) in enumerate(counts.most_common(n_symbols - 1))}  # 0: a rare one

    def numbered(tree):
        return np.array([ids.get(tree[0], 0)], np.int32), [numbered(child) for child in tree[1]]

    order = np.random.RandomState(seed).permutation(len(found))
    return [(numbered(found[i][0]), numbered(found[i][1]), *found[i][2:]) for i in order]


class Comparison(jaxchain.Chain):
    def __init__(self, n_symbols, n_units):
        super().__init__()
        with self.init_scope():
            self.embed = L.EmbedID(n_symbols, n_units)
            self.node = L.ChildSumTreeLSTM(n_units, n_units)
            self.out = L.Linear(2 * n_units, len(KINDS))

    def read(self, tree):
        """Return the state (c, h) of a tree: that of its children, and its symbol."""
        symbol, children = tree
        states = [self.read(child) for child in children]
        return self.node(*(c for c, _ in states), *(h for _, h in states), self.embed(symbol))

    def predict(self, samples):
        """Return the logits of each kind of comparison (samples, kinds)."""
        pairs = [F.concat([self.read(left)[1], self.read(right)[1]]) for left, right, *_ in samples]
        return self.out(F.concat(pairs, axis=0))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=("eager", "static"), default="eager")
    parser.add_argument("--samples", type=int, default=4000, help="comparisons to learn from")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--symbols", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="result", help="folder for the table of test samples")
    parser.add_argument("--smoke", action="store_true", help="a few steps only")
    args = parser.parse_args(argv)
    if args.epochs < 1:
        parser.error("--epochs: at least 1")

    samples = read(args.symbols, args.seed)
    n_test, args.samples, args.units = (20, 60, 8) if args.smoke else (600, args.samples, args.units)
    test, train = samples[:n_test], samples[n_test : n_test + args.samples]
    jaxchain.seed(args.seed)
    rng = np.random.RandomState(args.seed)
    model = Comparison(args.symbols, args.units)
    optimizer = optimizers.Adam(alpha=2e-3).setup(model)

    losses, start = [], time.perf_counter()
    with jaxchain.using_config("mode", args.mode):  # static: each link that is called is compiled
        for epoch in range(args.epochs):
            order = rng.permutation(len(train))
            for i in tqdm(range(0, len(train), args.batch), f"epoch {epoch + 1}", leave=False):
                batch = [train[k] for k in order[i : i + args.batch]]
                loss = F.softmax_cross_entropy(model.predict(batch), np.array([kind for _, _, kind, _ in batch]))
                model.cleargrads()
                loss.backward()
                optimizer.update()
                losses.append(float(loss.array))
            with jaxchain.using_config("train", False), jaxchain.no_backprop_mode():
                ys = [model.predict(test[i : i + args.batch]).array for i in range(0, len(test), args.batch)]
            predicted = np.concatenate(ys).argmax(axis=1)
            truth = np.array([kind for _, _, kind, _ in test])
            mean = np.mean(losses[-(len(train) // args.batch) :])
            print(f"epoch {epoch + 1}  train loss {mean:.4f}  test accuracy {np.mean(predicted == truth):.4f}")
    common = max(np.bincount(truth)) / len(truth)
    print(
        f"{args.mode}: {len(losses)} steps in {time.perf_counter() - start:.1f} s; always the commonest: {common:.4f}"
    )
    rows = [f"{KINDS[p]:12}{KINDS[t]:12}{s}" for p, t, (*_, s) in zip(predicted, truth, test, strict=True)]
    path = pathlib.Path(args.out, "predictions.txt")
    os.makedirs(args.out, exist_ok=True)
    path.write_text("\n".join([f"{'predicted':12}{'true':12}source", *rows, ""]), encoding="utf-8")
    print(f"--- the first of {path} ---", *rows[:8], sep="\n")
    return losses, float(np.mean(predicted == truth))


if __name__ == "__main__":
    main()
