"""A Wasserstein GAN with gradient penalty: the critic's loss contains a gradient, and is differentiated again.

The critic values real digits high and generated ones low. The difference of the means estimates the distance between
the two distributions, as long as the norm of the critic's gradient is near one; the penalty that keeps it there needs
`jaxchain.grad(..., enable_double_backprop=True)`. ``--mode static`` compiles a whole step into one program.

Source: Gulrajani et al. 2017, Improved Training of Wasserstein GANs.
"""

import argparse
import os

import numpy as np
from tqdm import tqdm

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import datasets, iterators, optimizers


class Generator(jaxchain.Chain):
    """Turns noise (n, n_noise) into images (n, 64) between 0 and 1."""

    def __init__(self, n_noise, n_units):
        super().__init__()
        with self.init_scope():
            self.fc1 = L.Linear(n_noise, n_units, nobias=True)
            self.norm1 = L.BatchNormalization(n_units)
            self.fc2 = L.Linear(n_units, n_units, nobias=True)
            self.norm2 = L.BatchNormalization(n_units)
            self.fc3 = L.Linear(n_units, 64)

    def forward(self, z):
        h = F.relu(self.norm1(self.fc1(z)))
        h = F.relu(self.norm2(self.fc2(h)))
        return F.sigmoid(self.fc3(h))


class Critic(jaxchain.Chain):
    """Gives every image a number. No batch normalization: the penalty is on the gradient of each image by itself."""

    def __init__(self, n_units):
        super().__init__()
        with self.init_scope():
            self.fc1 = L.Linear(64, n_units)
            self.fc2 = L.Linear(n_units, n_units)
            self.fc3 = L.Linear(n_units, 1)

    def forward(self, x):
        return self.fc3(F.leaky_relu(self.fc2(F.leaky_relu(self.fc1(x)))))


def gradient_penalty(critic, real, fake, share):
    """Return the mean of (norm of the critic's gradient - 1) ** 2, at points between real and generated images."""
    x = jaxchain.Variable(share * real + (1 - share) * fake.array)
    (gradient,) = jaxchain.grad([critic(x)], [x], enable_double_backprop=True)
    return F.mean((F.sqrt(F.batch_l2_norm_squared(gradient) + 1e-12) - 1) ** 2)


def draw(folder, images, real, log, tests):
    """Draw generated digits beside real ones, and the critic's estimate of the distance."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 4.8), layout="tight")
    for axis, x, title in zip(axes, (images, real), ("generated", "real"), strict=True):
        x = np.pad(x[:64].reshape(8, 8, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
        axis.imshow(x.transpose(0, 2, 1, 3).reshape(80, 80), cmap="gray_r", vmin=0, vmax=1)
        axis.set(title=title, xticks=[], yticks=[])
    figure.savefig(os.path.join(folder, "samples.png"))
    figure, axis = plt.subplots(figsize=(7, 4))
    axis.plot(range(1, len(log) + 1), [distance for distance, _ in log], label="training batch")
    axis.plot(*zip(*tests, strict=True), label="held-out")
    axis.set(xlabel="step", ylabel="critic(real) - critic(generated)")
    axis.legend()
    figure.savefig(os.path.join(folder, "distance.png"))
    plt.close("all")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=("eager", "static"), default="eager")
    parser.add_argument("--steps", type=int, default=2000, help="updates of the generator")
    parser.add_argument("--n-critic", type=int, default=5, help="updates of the critic for each of the generator")
    parser.add_argument("--penalty", type=float, default=10.0, help="weight of the gradient penalty")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--noise", type=int, default=32)
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="result", help="folder for the pictures")
    parser.add_argument("--smoke", action="store_true", help="a few steps only")
    args = parser.parse_args(argv)
    if args.steps < 1:
        parser.error("--steps: at least 1")
    if args.smoke:
        args.steps, args.n_critic, args.batch, args.units = 6, 2, 16, 16

    jaxchain.seed(args.seed)
    np.random.seed(args.seed)
    train, held_out = datasets.get_digits(withlabel=False)
    generator, critic = Generator(args.noise, args.units), Critic(args.units)
    update_generator = optimizers.Adam(alpha=3e-4, beta1=0.5, beta2=0.9).setup(generator)
    update_critic = optimizers.Adam(alpha=3e-4, beta1=0.5, beta2=0.9).setup(critic)

    def step(reals, noise, shares):
        """Update the critic once for every batch of `reals`, then the generator; return the last estimates."""
        for real, z, share in zip(reals, noise[1:], shares, strict=True):
            with jaxchain.no_backprop_mode():
                fake = generator(z)
            distance = F.mean(critic(real)) - F.mean(critic(fake))
            penalty = gradient_penalty(critic, real, fake, share)
            critic.cleargrads()
            (args.penalty * penalty - distance).backward()
            update_critic.update()
        generator.cleargrads()
        (-F.mean(critic(generator(noise[0])))).backward()
        update_generator.update()
        return distance, penalty

    def evaluate(real, z):
        """Return the distance between `real` and as many generated images, and these images."""
        with jaxchain.using_config("train", False), jaxchain.no_backprop_mode():
            fake = generator(z)
            return F.mean(critic(real)) - F.mean(critic(fake)), fake

    if args.mode == "static":
        step, evaluate = jaxchain.static(step), jaxchain.static(evaluate)

    rng = np.random.RandomState(args.seed)
    fixed = rng.randn(len(held_out), args.noise).astype(np.float32)
    batches = iterators.SerialIterator(train, args.batch)
    log, tests = [], []
    for i in tqdm(range(args.steps), args.mode):
        reals = np.stack([batches.next() for _ in range(args.n_critic)])
        noise = rng.randn(args.n_critic + 1, args.batch, args.noise).astype(np.float32)
        shares = rng.rand(args.n_critic, args.batch, 1).astype(np.float32)
        log.append(step(reals, noise, shares))
        if (i + 1) % max(1, args.steps // 30) == 0:
            distance, images = evaluate(held_out, fixed)
            tests.append((i + 1, float(distance.array)))
            last, penalty = (float(x.array) for x in log[-1])
            tqdm.write(f"step {i + 1:5}  distance {last:.3f}  held-out {tests[-1][1]:.3f}  penalty {penalty:.4f}")
    log = [(float(distance.array), float(penalty.array)) for distance, penalty in log]
    os.makedirs(args.out, exist_ok=True)
    draw(args.out, np.asarray(images.array), held_out, log, tests)
    return log, tests


if __name__ == "__main__":
    main()
