"""A Flax module inside a Chain, on real handwritten digits, in either mode.

``python train.py --mode eager`` runs and records operation by operation; ``--mode static`` compiles the same step.
"""

import argparse
import time

import jax.numpy as jnp
import numpy as np
from flax import linen
from tqdm import tqdm

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import datasets, iterators, optimizers
from jaxchain.dataset import concat_examples


class Encoder(linen.Module):
    """Flax's own: NHWC images, batch statistics in a collection, dropout by a key."""

    features: int

    @linen.compact
    def __call__(self, x, train: bool):
        x = jnp.moveaxis(x, 1, -1)
        x = linen.Conv(self.features, (3, 3))(x)
        x = linen.relu(linen.BatchNorm(use_running_average=not train)(x))
        x = linen.avg_pool(x, (2, 2), strides=(2, 2))
        x = linen.relu(linen.Conv(2 * self.features, (3, 3))(x))
        x = x.reshape(x.shape[0], -1)
        return linen.Dropout(0.2, deterministic=not train)(x)


class Net(jaxchain.Chain):
    def __init__(self, features, example):
        super().__init__()
        with self.init_scope():
            self.encoder = L.FlaxFunction(Encoder(features), example)
            self.out = L.Linear(None, 10)

    def forward(self, x):
        return self.out(self.encoder(x))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=("eager", "static"), default="eager")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--features", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="one epoch of a small model only")
    args = parser.parse_args(argv)
    if args.smoke:
        args.epochs, args.features = 1, 4
    if args.epochs < 1:
        parser.error("--epochs: at least 1")

    jaxchain.seed(args.seed)
    np.random.seed(args.seed)
    train, test = datasets.get_digits(ndim=3)
    model = L.Classifier(Net(args.features, train[0][0][None]))
    optimizer = optimizers.Adam(alpha=0.003).setup(model)
    for path, parameter in model.predictor.encoder.namedparams():
        print(f"{path:40} {parameter.shape}")

    def step(x, t):
        optimizer.update(model, x, t)  # one optimizer for Flax's parameters and the chain's
        return model.loss

    def evaluate(x, t):
        with jaxchain.using_config("train", False), jaxchain.no_backprop_mode():
            return model(x, t), model.accuracy

    if args.mode == "static":
        step, evaluate = jaxchain.static(step), jaxchain.static(evaluate)

    iterator = iterators.SerialIterator(train, args.batch)
    losses, start = [], time.perf_counter()
    for epoch in range(args.epochs):
        for _ in tqdm(range(len(train) // args.batch), f"epoch {epoch + 1}", leave=False):
            losses.append(step(*concat_examples(iterator.next())))
        loss, accuracy = evaluate(*concat_examples(test[:]))
        print(
            f"epoch {epoch + 1:2}  train loss {float(losses[-1].array):.4f}  "
            f"test loss {float(loss.array):.4f}  test accuracy {float(accuracy.array):.4f}"
        )
    print(f"{args.mode}: {len(losses)} steps in {time.perf_counter() - start:.1f} s")

    # the weights go back: Flax alone, with what the chain has trained
    x, t = concat_examples(test[:])
    h = Encoder(args.features).apply(model.predictor.encoder.to_flax(), x, train=False)
    alone = F.accuracy(model.predictor.out(h), t)
    print(f"with the encoder applied by Flax itself: test accuracy {float(alone.array):.4f}")
    return [float(loss.array) for loss in losses], float(accuracy.array), float(alone.array)


if __name__ == "__main__":
    main()
