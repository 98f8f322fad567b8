"""A deep Q-network learns to balance a pole: eager acting, and a learning step that ``--mode static`` compiles.

The agent acts step by step, with choices made in Python; the learning step has one shape. A target network, filled by
`copyparams`, values the action that the learning network prefers in the next state (double DQN). A fall costs 1.

Source: Mnih et al. 2015, Human-level control through deep reinforcement learning; van Hasselt et al. 2016.
"""

import argparse
import os

import cart_pole
import numpy as np
from tqdm import tqdm

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import optimizers


class QNetwork(jaxchain.Chain):
    """Values both actions in states (n, 4): the discounted sum of the rewards to come, (n, 2)."""

    def __init__(self, n_units):
        super().__init__()
        with self.init_scope():
            self.fc1 = L.Linear(4, n_units)
            self.fc2 = L.Linear(n_units, n_units)
            self.fc3 = L.Linear(n_units, 2)

    def forward(self, s):
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(s)))))


class Memory:
    """The last `size` transitions, in columns: state, action, reward, next state, whether the episode ended there."""

    def __init__(self, size):
        self.columns = [np.zeros((size, *shape), np.float32) for shape in ((4,), (), (), (4,), ())]
        self.columns[1] = np.zeros(size, np.int32)
        self.size, self.n = size, 0

    def add(self, *transition):
        for column, value in zip(self.columns, transition, strict=True):
            column[self.n % self.size] = value
        self.n += 1

    def sample(self, rng, n):
        rows = rng.randint(min(self.n, self.size), size=n)
        return [column[rows] for column in self.columns]


def best_actions(q, states):
    """Return the action of highest value in each state (n, 4)."""
    with jaxchain.no_backprop_mode():
        return np.asarray(q(states.astype(np.float32)).array).argmax(axis=1)


def play(q, rng, n):
    """Return the returns of `n` greedy episodes, played side by side."""
    states, returns, alive = cart_pole.start(rng, n), np.zeros(n), np.ones(n, bool)
    for _ in range(cart_pole.LIMIT):
        states = cart_pole.push(states, best_actions(q, states))
        returns += alive
        alive &= ~cart_pole.fallen(states)
    return returns


def draw(path, returns):
    """Draw the return of every training episode, and the mean over twenty."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4))
    n = min(20, len(returns))
    axis.plot(returns, ".", label="episode")
    axis.plot(np.arange(n - 1, len(returns)), np.convolve(returns, np.ones(n) / n, "valid"), label=f"mean of {n}")
    axis.set(xlabel="training episode", ylabel="return")
    axis.legend()
    figure.savefig(path)
    plt.close(figure)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=("eager", "static"), default="eager")
    parser.add_argument("--steps", type=int, default=20000, help="steps of the environment")
    parser.add_argument("--explore", type=int, default=5000, help="steps in which random actions become rare")
    parser.add_argument("--copy-every", type=int, default=100, help="steps between copies to the target network")
    parser.add_argument("--gamma", type=float, default=0.99, help="discount of a reward one step later")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="result", help="folder for the picture")
    parser.add_argument("--smoke", action="store_true", help="a few steps only")
    args = parser.parse_args(argv)
    if args.steps < 1:
        parser.error("--steps: at least 1")
    if args.smoke:
        args.steps, args.copy_every, args.batch = 300, 50, 16

    jaxchain.seed(args.seed)
    q, target = QNetwork(args.units), QNetwork(args.units)
    target.copyparams(q)
    optimizer = optimizers.Adam().setup(q)

    def learn(states, actions, rewards, following, ended):
        with jaxchain.no_backprop_mode():
            value = F.select_item(target(following), F.argmax(q(following), axis=1))
            goal = rewards + args.gamma * (1 - ended) * value
        loss = F.mean(F.huber_loss(F.select_item(q(states), actions)[:, None], goal[:, None], 1.0, reduce="no"))
        q.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    if args.mode == "static":
        learn = jaxchain.static(learn)

    rng = np.random.RandomState(args.seed)
    memory, losses, returns = Memory(20000), [], [0.0]
    (state,) = cart_pole.start(rng, 1)
    for i in tqdm(range(args.steps), args.mode):
        epsilon = max(0.05, 1 - i / args.explore)
        action = rng.randint(2) if rng.rand() < epsilon else best_actions(q, state[None])[0]
        following = cart_pole.push(state, action)
        ended = cart_pole.fallen(following)
        memory.add(state, action, -float(ended), following, ended)
        returns[-1] += 1
        if ended or returns[-1] == cart_pole.LIMIT:
            (following,) = cart_pole.start(rng, 1)
            returns.append(0.0)
        state = following
        if memory.n >= 10 * args.batch:
            optimizer.alpha = 1e-3 * (1 - i / args.steps)  # compiles nothing anew
            losses.append(learn(*memory.sample(rng, args.batch)))
        if (i + 1) % args.copy_every == 0:
            target.copyparams(q)
        if (i + 1) % max(1, args.steps // 10) == 0:
            mean = np.mean(returns[-21:-1] or [0])
            tqdm.write(f"step {i + 1:6}  episode {len(returns):4}  mean return of the last 20: {mean:.1f}")
    tests = play(q, rng, 50)
    print(f"{len(tests)} greedy episodes: mean return {tests.mean():.1f}, least {tests.min():.0f}")
    os.makedirs(args.out, exist_ok=True)
    draw(os.path.join(args.out, "returns.png"), returns[:-1])
    return [float(loss.array) for loss in losses], tests


if __name__ == "__main__":
    main()
