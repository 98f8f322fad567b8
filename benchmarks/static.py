"""What static mode costs and saves: calls, branches on data, varying sizes, first steps; beside its peers.

    python benchmarks/static.py                                      # every table
    python benchmarks/static.py call branch --rounds 5               # some
    python benchmarks/static.py --markdown docs/performance-static.md

Tables are measured as in overhead.py. `varying` and `cold` are wall-clock times that include compiling.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import RNG, eqx, interleaved, machine, nnx, normal, render, timer, torch, wait, write_page

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Chain, ChainList, optimizers
from jaxchain.core import background

# -- the call path: a step of many small parameters -----------------------------------------------------------------


class Scales(ChainList):
    """`count` parameters of so many numbers."""

    def __init__(self, count, size):
        super().__init__(*[L.Scale(W_shape=(size,), axis=0) for _ in range(count)])

    def forward(self, x):
        return sum((F.sum(scale(x)) for scale in self), start=0.0)


def call(a):
    """A step that is hardly more than a call."""
    return calls(a, 16)


def call_larger(a):
    """The same with parameters the size of a small layer's."""
    return calls(a, 4096)


def calls(a, size):
    x = jnp.array(normal(size))
    rows, targets = {}, []
    for count in (10, 100, 400):
        params = [jnp.ones(size) for _ in range(count)]

        def step(params, x):
            loss, grads = jax.value_and_grad(lambda ps: sum((p * x).sum() for p in ps))(params)
            return [p - 0.01 * g for p, g in zip(params, grads, strict=True)], loss

        def step_with_gradients(params, x):
            loss, grads = jax.value_and_grad(lambda ps: sum((p * x).sum() for p in ps))(params)
            return [p - 0.01 * g for p, g in zip(params, grads, strict=True)], loss, grads

        rows[f"{HAND}, {count} parameters"] = timer(hand_written(step, params, x))
        with_gradients = hand_written(step_with_gradients, [jnp.ones(size) for _ in range(count)], x)
        rows[f"{HAND}, returns gradients, {count} parameters"] = timer(with_gradients)
        for guard in (False, True):
            for clear in (False, True):
                rows[ours(count, guard, clear)] = timer(scales(count, size, x, guard, clear))
    m = interleaved(rows, a.rounds, a.seconds)
    for count in (10, 100, 400):
        hand = m[f"{HAND}, {count} parameters"]
        for guard, limit in ((False, 1.1), (True, 1.3)):
            mine = m[ours(count, guard, False)]
            alike = {  # which times are compared: the last two pairs return the same
                f"{count} parameters": mine / hand,
                f"{count} parameters, both return gradients": mine
                / m[f"{HAND}, returns gradients, {count} parameters"],
                f"{count} parameters, neither does": m[ours(count, guard, True)] / hand,
            }
            for what, ratio in alike.items():
                targets.append((f"{what}{', one guard' * guard}", f"at most {limit}", ratio, ratio <= limit))
    return f"A call: one step of SGD on parameters of {size:,} numbers", m, "us", targets


HAND = "hand-written jit, donated"


def ours(count, guard, clear):
    return f"jaxchain static{', gradients cleared at the end' * clear}, {count} parameters{', one guard' * guard}"


def hand_written(step, params, x):
    jitted, held = jax.jit(step, donate_argnums=0), [params]

    def call():
        held[:] = jitted(held[0], x)
        return held[1]

    return call


def scales(count, size, x, guarded, clear):
    model = Scales(count, size)
    optimizer = optimizers.SGD(0.01).setup(model)

    @jaxchain.static
    def step(x):
        model.cleargrads()
        loss = model(x)
        if guarded and x[0] > 1e9:
            loss = loss * 2
        loss.backward()
        optimizer.update()
        if clear:
            model.cleargrads()
        return loss

    return lambda: step(x)


# -- a branch on data -----------------------------------------------------------------------------------------------


class Branching(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(128, 256)
            self.l2 = L.Linear(256, 10)

    def forward(self, x):
        h = self.l1(x)
        h = F.tanh(h) if x[0, 0] > 0 else F.relu(h)
        return self.l2(h)


def branch(a):
    batches = [normal(64, 128), normal(64, 128)]
    batches[0][0, 0], batches[1][0, 0] = 1, -1
    t = RNG.randint(0, 10, 64).astype(np.int32)
    rows = {}
    orders = {"one outcome": (0,), "outcomes in turn": (0, 1), "outcomes at random": RNG.randint(0, 2, 97)}
    for name, order in orders.items():
        for peer, make in (
            ("hand-written lax.cond", branch_jax),
            ("jaxchain static, Python's if", branch_static),
            ("jaxchain eager", branch_eager),
            ("Flax NNX, nnx.cond", branch_nnx if nnx else None),
            ("Equinox, lax.cond", branch_equinox if eqx else None),
            ("PyTorch eager", branch_torch if torch else None),
            ("torch.compile", branch_compile if torch else None),
        ):
            rows[f"{name}: {peer}"] = make and timer(make([batches[i] for i in order], t))
    m = interleaved(rows, a.rounds, a.seconds, warm=20)  # every outcome compiled
    targets = []
    for name in orders:
        ratio = m[f"{name}: jaxchain static, Python's if"] / m[f"{name}: hand-written lax.cond"]
        targets.append((f"{name}: static / hand-written", "at most 1.3", ratio, ratio <= 1.3))
    return "A step with a branch on data: MLP 128-256-10, batch 64, SGD", m, "us", targets


def in_turn(batches, step, convert):
    """Return a function that makes a step on the next batch."""
    xs, at = [convert(b) for b in batches], [0]

    def call():
        at[0] += 1
        return step(xs[at[0] % len(xs)])

    return call


def branch_params():
    return [(jnp.array(normal(o, i) / np.sqrt(i)), jnp.zeros(o)) for i, o in ((128, 256), (256, 10))]


def branch_loss(params, x, t):
    (w1, b1), (w2, b2) = params
    h = jax.lax.cond(x[0, 0] > 0, jnp.tanh, jax.nn.relu, x @ w1.T + b1)
    return -jnp.take_along_axis(jax.nn.log_softmax(h @ w2.T + b2), t[:, None], 1).mean()


def branch_jax(batches, t):
    def step(params, x, t):
        loss, grads = jax.value_and_grad(branch_loss)(params, x, t)
        return jax.tree.map(lambda p, g: p - 0.01 * g, params, grads), loss

    jitted, held, t = jax.jit(step, donate_argnums=0), [branch_params()], jnp.asarray(t)

    def call(x):
        held[0], loss = jitted(held[0], x, t)
        return loss

    return in_turn(batches, call, jnp.asarray)


def branch_step(t):
    model = Branching()
    optimizer = optimizers.SGD(0.01).setup(model)
    t = jnp.asarray(t)

    def step(x):
        model.cleargrads()
        loss = F.softmax_cross_entropy(model(x), t)
        loss.backward()
        optimizer.update()
        return loss

    return step


def branch_static(batches, t):
    call = in_turn(batches, jaxchain.static(branch_step(t)), jnp.asarray)
    for _ in range(100):
        call()
    background.settle()  # outcomes that come in turn are one program now
    return call


def branch_eager(batches, t):
    return in_turn(batches, branch_step(t), jnp.asarray)


def branch_nnx(batches, t):
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.l1, self.l2 = nnx.Linear(128, 256, rngs=rngs), nnx.Linear(256, 10, rngs=rngs)

        def __call__(self, x):
            return self.l2(jax.lax.cond(x[0, 0] > 0, jnp.tanh, jax.nn.relu, self.l1(x)))

    net = Net(nnx.Rngs(0))
    optimizer = nnx.Optimizer(net, optax.sgd(0.01), wrt=nnx.Param)
    t = jnp.asarray(t)

    @nnx.jit
    def step(net, optimizer, x):
        def loss(net):
            return -jnp.take_along_axis(jax.nn.log_softmax(net(x)), t[:, None], 1).mean()

        value, grads = nnx.value_and_grad(loss)(net)
        optimizer.update(net, grads)
        return value

    return in_turn(batches, lambda x: step(net, optimizer, x), jnp.asarray)


def branch_equinox(batches, t):
    class Net(eqx.Module):
        l1: eqx.nn.Linear
        l2: eqx.nn.Linear

        def __call__(self, x):
            h = jax.vmap(self.l1)(x)
            return jax.vmap(self.l2)(jax.lax.cond(x[0, 0] > 0, jnp.tanh, jax.nn.relu, h))

    one, two = jax.random.split(jax.random.key(0))
    held, t = [Net(eqx.nn.Linear(128, 256, key=one), eqx.nn.Linear(256, 10, key=two))], jnp.asarray(t)

    @eqx.filter_jit(donate="all-except-first")
    def step(x, net):
        @eqx.filter_value_and_grad
        def loss(net):
            return -jnp.take_along_axis(jax.nn.log_softmax(net(x)), t[:, None], 1).mean()

        value, grads = loss(net)
        return eqx.apply_updates(net, jax.tree.map(lambda g: -0.01 * g, grads)), value

    def call(x):
        held[0], value = step(x, held[0])
        return value

    return in_turn(batches, call, jnp.asarray)


def branch_torch(batches, t, compiled=False):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.l1, self.l2 = torch.nn.Linear(128, 256), torch.nn.Linear(256, 10)

        def forward(self, x):
            h = self.l1(x)
            return self.l2(torch.tanh(h) if x[0, 0] > 0 else torch.relu(h))

    net, t = Net(), torch.tensor(t).long()
    sgd, forward = torch.optim.SGD(net.parameters(), 0.01), torch.compile(net) if compiled else net

    def step(x):
        sgd.zero_grad()
        loss = torch.nn.functional.cross_entropy(forward(x), t)
        loss.backward()
        sgd.step()

    return in_turn(batches, step, torch.tensor)


def branch_compile(batches, t):
    return branch_torch(batches, t, compiled=True)


# -- varying sizes --------------------------------------------------------------------------------------------------


def varying(a):
    lengths = RNG.randint(1, 65, a.batches)
    data = [(normal(n, 32), RNG.randint(0, 10, n).astype(np.int32)) for n in lengths]
    m, programs = {}, {}
    for name, make in (
        ("hand-written jit, padded to powers of two", varying_padded),
        ("jaxchain static, bucket", lambda: varying_jaxchain(jaxchain.bucket({"x": 0, "t": 0}))),
        ("jaxchain static, exact", lambda: varying_jaxchain(None)),
        ("jaxchain eager", varying_eager),
        ("hand-written jit, exact", varying_exact),
        ("PyTorch eager", varying_torch if torch else None),
        ("torch.compile(dynamic=True)", varying_compile if torch else None),
    ):
        if make is None:
            m[name] = None
            continue
        step, count = make()
        start = time.perf_counter()
        for x, t in data:
            last = step(x, t)
        wait(last)
        programs[name] = count()
        m[f"{name} ({programs[name]} programs)" if programs[name] else name] = time.perf_counter() - start
    ours, padded = programs["jaxchain static, bucket"], programs["hand-written jit, padded to powers of two"]
    targets = [("programs: bucket / hand-written padding", "at most 1", ours / padded, ours <= padded)]
    return f"{a.batches} batches of 1 to 64 rows, compiling included: MLP 32-64-10, SGD", m, "ms", targets


def varying_params():
    return [(jnp.array(normal(o, i) / np.sqrt(i)), jnp.zeros(o)) for i, o in ((32, 64), (64, 10))]


def varying_exact(pad=False):
    def loss(params, x, t, mask):
        (w1, b1), (w2, b2) = params
        scores = jax.nn.log_softmax(jax.nn.relu(x @ w1.T + b1) @ w2.T + b2)
        return -(jnp.take_along_axis(scores, t[:, None], 1)[:, 0] * mask).sum() / mask.sum()

    @jax.jit
    def step(params, x, t, mask):
        value, grads = jax.value_and_grad(loss)(params, x, t, mask)
        return jax.tree.map(lambda p, g: p - 0.01 * g, params, grads), value

    held = [varying_params()]

    def call(x, t):
        n = len(x)
        size = 1 << (n - 1).bit_length() if pad else n
        mask = (np.arange(size) < n).astype(np.float32)
        x, t = np.pad(x, ((0, size - n), (0, 0))), np.pad(t, (0, size - n))
        held[0], value = step(held[0], x, t, mask)
        return value

    return call, step._cache_size


def varying_padded():
    return varying_exact(pad=True)


def varying_step():
    model = jaxchain.Sequential(L.Linear(32, 64), F.relu, L.Linear(64, 10))
    optimizer = optimizers.SGD(0.01).setup(model)

    def step(x, t):
        model.cleargrads()
        loss = F.softmax_cross_entropy(model(x), t)
        loss.backward()
        optimizer.update()
        return loss

    return step


def varying_jaxchain(sizes):
    step = jaxchain.static(varying_step(), sizes=sizes) if sizes else jaxchain.static(varying_step())
    return step, lambda: len(step.explain().compiles)


def varying_eager():
    return varying_step(), lambda: 0


def varying_torch(compiled=False):
    net = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    sgd, forward = torch.optim.SGD(net.parameters(), 0.01), torch.compile(net, dynamic=True) if compiled else net

    def step(x, t):
        sgd.zero_grad()
        loss = torch.nn.functional.cross_entropy(forward(torch.tensor(x)), torch.tensor(t).long())
        loss.backward()
        sgd.step()
        return loss

    return step, lambda: 0


def varying_compile():
    return varying_torch(compiled=True)


# -- first steps ----------------------------------------------------------------------------------------------------


def cold(a):
    names = {
        "jax-eager": "raw JAX eager",
        "jax-jit": "raw JAX, hand-written jit",
        "jaxchain-eager": "jaxchain eager",
        "jaxchain-static": "jaxchain static",
        "torch-eager": "PyTorch eager",
        "torch-compile": "torch.compile",
    }
    samples = {}
    for _ in range(a.starts):
        with tempfile.TemporaryDirectory() as folder:
            for row, name in names.items():
                if torch is None and row.startswith("torch"):
                    samples[name] = None
                    continue
                for start in ("first", "second"):
                    own = {"JAXCHAIN_CACHE": folder, "TORCHINDUCTOR_CACHE_DIR": folder}
                    command = [sys.executable, str(Path(__file__).with_name("cold_start.py")), row]
                    done = subprocess.run(
                        command, env={**os.environ, **own}, capture_output=True, text=True, check=True
                    )
                    samples.setdefault(f"{name}, {start} process", []).append(float(done.stdout))
    m = {name: s and statistics.median(s) for name, s in samples.items()}
    first = m["jaxchain eager, first process"] / m["raw JAX eager, first process"]
    second = m["jaxchain eager, second process"] / m["jaxchain eager, first process"]
    targets = [
        ("first eager step / raw JAX eager's", "at most 1/3", first, first <= 1 / 3),
        ("second process / first", "at most 1/4", second, second <= 1 / 4),
    ]
    return "The first training step of a process: a CNN with batch normalisation, batch 32, Adam", m, "ms", targets


TABLES = {"call": call, "larger": call_larger, "branch": branch, "varying": varying, "cold": cold}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", help=f"which of {', '.join(TABLES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=11, help="interleaved rounds (default: 11)")
    parser.add_argument("--seconds", type=float, default=0.05, help="length of one round of one row")
    parser.add_argument("--batches", type=int, default=200, help="batches of varying size (default: 200)")
    parser.add_argument("--starts", type=int, default=3, help="processes per row of `cold` (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="torch.set_num_threads (default: 1)")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables there")
    a = parser.parse_args()
    if torch:
        torch.set_num_threads(a.threads)
    head, load = machine(None), os.getloadavg()[0]
    print(head, flush=True)
    texts = []
    for name in a.tables or TABLES:
        texts.append(render(TABLES[name](a)))
        print("\n" + texts[-1], flush=True)
    if a.markdown:
        command = f"python benchmarks/static.py {''.join(f'{table} ' for table in a.tables)}--rounds {a.rounds} "
        command += (
            f"--seconds {a.seconds} --batches {a.batches} --starts {a.starts} --threads {a.threads} --markdown ..."
        )
        introduction = "Static mode: what a call costs, branches on data, varying sizes, first steps."
        write_page(a.markdown, "Performance of static mode", introduction, command, head, load, texts)


if __name__ == "__main__":
    main()
