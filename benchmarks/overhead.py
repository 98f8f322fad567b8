"""What the framework costs, beside the same work in its peers: small arrays, so that overheads show.

    make bench                                                        # or:
    python benchmarks/overhead.py --chainer-python PATH --markdown docs/performance.md

Every table measures its rows interleaved (one round of each, again and again) and prints medians. A peer that is not
installed is printed as such. Chainer needs an environment of its own: `--chainer-python`, or $CHAINER_PYTHON, or
`--make-chainer DIR`, which builds one.
"""

import argparse
import gc
import itertools
import os
import statistics
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import (
    RNG,
    Chainer,
    eqx,
    interleaved,
    machine,
    make_chainer,
    nnx,
    normal,
    render,
    steady,
    timer,
    torch,
    wait,
    write_page,
)

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Chain, ChainList, Variable, optimizers
from jaxchain.core.static import trace

# -- models ---------------------------------------------------------------------------------------------------------


class MLP(Chain):
    def __init__(self, n_in=64, n_hidden=64, n_out=10):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(n_in, n_hidden)
            self.l2 = L.Linear(n_hidden, n_out)

    def forward(self, x):
        return self.l2(F.relu(self.l1(x)))


class Deep(ChainList):
    def __init__(self, depth, width=64):
        super().__init__(*[L.Linear(width, width) for _ in range(depth)])

    def forward(self, x):
        for layer in self:
            x = F.relu(layer(x))
        return x


class CNN(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.c1 = L.Convolution2D(1, 16, 3, pad=1)
            self.b1 = L.BatchNormalization(16)
            self.c2 = L.Convolution2D(16, 32, 3, pad=1)
            self.l = L.Linear(32 * 7 * 7, 10)

    def forward(self, x):
        h = F.max_pooling_2d(F.relu(self.b1(self.c1(x))), 2)
        h = F.max_pooling_2d(F.relu(self.c2(h)), 2)
        return self.l(F.dropout(h, 0.5))


def raw_params(*sizes):
    return [(jnp.array(normal(o, i) / np.sqrt(i)), jnp.zeros(o)) for i, o in itertools.pairwise(sizes)]


def raw_mlp(params, x):
    (W1, b1), (W2, b2) = params
    return jax.nn.relu(x @ W1.T + b1) @ W2.T + b2


def raw_deep(params, x):
    for W, b in params:
        x = jax.nn.relu(x @ W.T + b)
    return x


def raw_cross_entropy(y, t):
    return -jnp.take_along_axis(jax.nn.log_softmax(y), t[:, None], 1).mean()


def raw_step(forward, opt):
    def step(params, slots, x, t):
        loss, grads = jax.value_and_grad(lambda p: raw_cross_entropy(forward(p, x), t))(params)
        updates, slots = opt.update(grads, slots, params)
        return optax.apply_updates(params, updates), slots, loss

    return step


def our_step(model, optimizer):
    def step(x, t):
        model.cleargrads()
        loss = F.softmax_cross_entropy(model(x), t)
        loss.backward()
        optimizer.update()
        return loss

    return step


# -- tables: each returns (title, rows {name: value or None}, unit, [(target, limit text, reached value, passed)]) -----


def dispatch(a, chainer):
    data = normal(10, 10)
    x, v = jnp.array(data), Variable(data)
    unread = Variable(normal(10, 9))  # another shape: what is read at once again and again does not wait any more
    bare = jax.jit(lambda x: jnp.where(x > 0, x, 0))
    rows = {
        "bare jitted dispatch": timer(lambda: bare(x)),
        "jaxchain F.relu, eager, graph recorded, result read": timer(lambda: F.relu(v).array),
        "jaxchain F.relu, eager, graph recorded, not read: it waits": timer(lambda: F.relu(unread)),
        "raw JAX, jax.nn.relu": timer(lambda: jax.nn.relu(x)),
        "raw JAX, jnp.where(x > 0, x, 0)": timer(lambda: jnp.where(x > 0, x, 0)),
        "PyTorch, torch.relu, graph recorded": None,
        "Chainer on NumPy, F.relu": chainer and chainer.timer("op"),
    }
    if torch:
        tx = torch.tensor(data, requires_grad=True)
        rows["PyTorch, torch.relu, graph recorded"] = timer(lambda: torch.relu(tx))
    m = interleaved(rows, a.rounds, a.seconds)
    ratio = m["jaxchain F.relu, eager, graph recorded, result read"] / m["bare jitted dispatch"]
    return "One op (10 x 10)", m, "us", [("F.relu, read / bare jitted dispatch", "at most 1.5", ratio, ratio <= 1.5)]


def mlp(a, chainer):
    data, labels = normal(32, 64), RNG.randint(0, 10, 32).astype(np.int32)
    x, t = jnp.array(data), jnp.array(labels)
    model = MLP()

    def ours():
        model.cleargrads()
        loss = F.softmax_cross_entropy(model(x), t)
        loss.backward()
        return loss

    params = raw_params(64, 64, 10)
    gradient = jax.value_and_grad(lambda p, x, t: raw_cross_entropy(raw_mlp(p, x), t))
    jitted, static = jax.jit(gradient), jaxchain.static(ours)
    rows = {
        "jaxchain eager": timer(steady(ours)),
        "jaxchain static": timer(static),
        "raw JAX, hand-written jit": timer(lambda: jitted(params, x, t)),
        "raw JAX, eager value_and_grad": timer(lambda: gradient(params, x, t)),
        "PyTorch eager": None,
        "Chainer on NumPy": chainer and chainer.timer("mlp"),
    }
    if torch:
        net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
        tx, tt = torch.tensor(data), torch.tensor(labels).long()

        def torch_step():
            net.zero_grad()
            torch.nn.functional.cross_entropy(net(tx), tt).backward()

        rows["PyTorch eager"] = timer(torch_step)
    m = interleaved(rows, a.rounds, a.seconds)
    targets = []
    for peer, limit in (("PyTorch eager", 0.5), ("Chainer on NumPy", 0.2)):
        ratio = m[peer] and m["jaxchain eager"] / m[peer]
        targets.append((f"jaxchain eager / {peer}", f"at most {limit}", ratio, ratio and ratio <= limit))
    return "MLP 64-64-10, batch 32, forward and backward", m, "us", targets


def deep_forward(a, chainer):
    x = jnp.array(normal(32, 64))
    params = raw_params(*[64] * 11)
    jitted = jax.jit(raw_deep)
    model, function_model = Deep(10), Deep(10)
    link = model.static() or model
    static = jaxchain.static(lambda x: function_model(x))

    def without_graph():
        with jaxchain.no_backprop_mode():
            return link(x)

    rows = {
        "raw JAX, hand-written jit": timer(lambda: jitted(params, x)),
        "jaxchain.static(function)": timer(lambda: static(x)),
        "jaxchain link.static(), graph recorded": timer(lambda: link(x)),
        "jaxchain link.static(), no_backprop_mode": timer(without_graph),
        "Equinox, eqx.filter_jit": None,
        "Flax NNX, nnx.jit": None,
    }
    if eqx:
        keys = jax.random.split(jax.random.key(0), 10)
        layers = [eqx.nn.Linear(64, 64, key=k) for k in keys]
        net = eqx.nn.Sequential([m for layer in layers for m in (layer, eqx.nn.Lambda(jax.nn.relu))])
        filtered = eqx.filter_jit(lambda net, x: jax.vmap(net)(x))
        rows["Equinox, eqx.filter_jit"] = timer(lambda: filtered(net, x))
    if nnx:
        rngs = nnx.Rngs(0)
        flax_net = nnx.Sequential(*[m for _ in range(10) for m in (nnx.Linear(64, 64, rngs=rngs), jax.nn.relu)])
        flax_jit = nnx.jit(lambda net, x: net(x))
        rows["Flax NNX, nnx.jit"] = timer(lambda: flax_jit(flax_net, x))
    m = interleaved(rows, a.rounds, a.seconds)
    peer = m["Flax NNX, nnx.jit"]
    ratio = peer and peer / m["jaxchain.static(function)"]
    base = m["raw JAX, hand-written jit"]
    # a static call that is as fast as the hand-written one has no overhead to compare: count what a clock can tell
    overhead = peer and (peer - base) / max(m["jaxchain.static(function)"] - base, 1e-6)
    targets = [
        ("whole call: nnx.jit / jaxchain.static", "no target", ratio, True),
        (
            "call overhead (beyond hand-written jit): nnx.jit / jaxchain.static",
            "at least 20",
            overhead,
            overhead and overhead >= 20,
        ),
    ]
    return "10 layers (64 wide, batch 32), forward", m, "us", targets


def train_step(a, chainer):
    x, t = jnp.array(normal(32, 784)), jnp.array(RNG.randint(0, 10, 32).astype(np.int32))
    opt = optax.adam(1e-3)
    params = raw_params(784, 100, 10)
    state = [params, opt.init(params)]
    jitted = jax.jit(raw_step(raw_mlp, opt), donate_argnums=(0, 1))

    def hand():
        state[0], state[1], loss = jitted(*state, x, t)
        return loss

    model, eager_model = MLP(784, 100), MLP(784, 100)
    static = jaxchain.static(our_step(model, optimizers.Adam().setup(model)))
    eager = our_step(eager_model, optimizers.Adam().setup(eager_model))
    rows = {
        "raw JAX, hand-written jit with donation": timer(hand),
        "jaxchain static": timer(lambda: static(x, t)),
        "jaxchain eager": timer(steady(lambda: eager(x, t))),
        "PyTorch eager": None,
    }
    if torch:
        net = torch.nn.Sequential(torch.nn.Linear(784, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10))
        adam, tx, tt = torch.optim.Adam(net.parameters()), torch.tensor(np.array(x)), torch.tensor(np.array(t)).long()

        def torch_step():
            adam.zero_grad()
            torch.nn.functional.cross_entropy(net(tx), tt).backward()
            adam.step()

        rows["PyTorch eager"] = timer(torch_step)
    m = interleaved(rows, a.rounds, a.seconds)
    ratio = m["jaxchain static"] / m["raw JAX, hand-written jit with donation"]
    targets = [("static step / hand-written jit", "at most 1.1", ratio, ratio <= 1.1)]
    return "Training step: MLP 784-100-10, batch 32, Adam", m, "us", targets


def compile_time(a, chainer):
    x, t = jnp.array(normal(32, 64)), jnp.array(RNG.randint(0, 10, 32).astype(np.int32))
    opt = optax.adam(1e-3)
    params = raw_params(*[64] * 101)
    slots = opt.init(params)
    samples = {}

    def add(name, start):
        samples.setdefault(name, []).append(time.perf_counter() - start)
        return time.perf_counter()

    for _ in range(a.compiles):
        jax.clear_caches()
        start = time.perf_counter()
        traced = jax.jit(raw_step(raw_deep, opt), donate_argnums=(0, 1)).trace(params, slots, x, t)
        start = add("hand-written jit: trace", start)
        lowered = traced.lower()
        start = add("hand-written jit: lower", start)
        lowered.compile()
        add("hand-written jit: compile", start)
        model = Deep(100)
        step = our_step(model, optimizers.Adam().setup(model))
        step(x, t)  # the optimizer's slots exist, as they do in the hand-written program
        jax.clear_caches()
        start = time.perf_counter()
        traced = trace(step, x, t)
        start = add("jaxchain static: trace", start)
        lowered = traced.lower()
        start = add("jaxchain static: lower", start)
        lowered.compile()
        add("jaxchain static: compile", start)
    for which, name in (("hand", "hand-written jit: first trace"), ("ours", "jaxchain static: first trace")):
        for _ in range(a.compiles):
            command = [sys.executable, __file__, "--first-trace", which]
            samples.setdefault(name, []).append(float(subprocess.run(command, capture_output=True, text=True).stdout))
    m = {name: statistics.median(s) for name, s in samples.items()}
    ratio = m["jaxchain static: trace"] / m["hand-written jit: trace"]
    first = m["jaxchain static: first trace"] / m["hand-written jit: first trace"]
    targets = [
        (
            "trace time: static / hand-written (our ops have run before, JAX's caches are empty)",
            "at most 0.5",
            ratio,
            ratio <= 0.5,
        ),
        ("first trace in a fresh process: static / hand-written", "at most 0.5", first, first <= 0.5),
    ]
    return "Training step of 100 layers with Adam: to a program", m, "ms", targets


def first_trace(which):
    """Print the seconds of the first trace of a process: nothing of JAX's or ours is warm."""
    x, t = jnp.array(normal(32, 64)), jnp.array(RNG.randint(0, 10, 32).astype(np.int32))
    if which == "hand":
        opt = optax.adam(1e-3)
        params = raw_params(*[64] * 101)
        slots = opt.init(params)
        start = time.perf_counter()
        jax.jit(raw_step(raw_deep, opt), donate_argnums=(0, 1)).trace(params, slots, x, t)
    else:
        model = Deep(100)
        step = our_step(model, optimizers.Adam().setup(model))
        start = time.perf_counter()
        trace(step, x, t)
    print(time.perf_counter() - start)


def new_shape(a, chainer):
    model, static_model = MLP(), MLP()
    params = raw_params(64, 64, 10)
    jitted = jax.jit(jax.value_and_grad(lambda p, x, t: raw_cross_entropy(raw_mlp(p, x), t)))

    def backward(model):
        def step(x, t):
            model.cleargrads()
            loss = F.softmax_cross_entropy(model(x), t)
            loss.backward()
            return loss

        return step

    calls = {
        "jaxchain eager": backward(model),
        "jaxchain static": jaxchain.static(backward(static_model)),
        "raw JAX, hand-written jit": lambda x, t: jitted(params, x, t),
    }
    samples = {name: [] for name in calls}
    for size in range(40, 40 + a.compiles + 1):
        x, t = jnp.array(normal(size, 64)), jnp.array(RNG.randint(0, 10, size).astype(np.int32))
        for name, call in calls.items():
            start = time.perf_counter()
            wait(call(x, t))
            samples[name].append(time.perf_counter() - start)
    m = {name: statistics.median(s[1:]) for name, s in samples.items()}
    return "First call on a new batch size: MLP 64-64-10, forward and backward", m, "ms", []


def memory(a, chainer):
    model, images = CNN(), jnp.array(normal(32, 1, 28, 28))
    t = jnp.array(RNG.randint(0, 10, 32).astype(np.int32))
    loss = F.softmax_cross_entropy(model(images), t)  # parameters and statistics exist
    del loss
    gc.collect()
    before = sum(array.nbytes for array in jax.live_arrays())
    loss = F.softmax_cross_entropy(model(images), t)
    loss.array.block_until_ready()  # what waits holds no memory: it is computed
    gc.collect()
    held = sum(array.nbytes for array in jax.live_arrays()) - before
    del loss
    left = sum(array.nbytes for array in jax.live_arrays()) - before
    m = {
        "jaxchain eager": held,
        "jaxchain eager, after the loss is dropped": left,
        "PyTorch eager, saved tensors": None,
        "Chainer on NumPy": int(chainer.ask("memory")) if chainer else None,
    }
    if torch:
        m["PyTorch eager, saved tensors"] = torch_memory(np.array(images), np.array(t))
    peer = m["Chainer on NumPy"]
    ratio = peer and held / peer
    targets = [("graph memory: jaxchain / Chainer", "at most 1", ratio, ratio and ratio <= 1)]
    return "Memory held by the graph of a CNN (batch 32) while the loss lives", m, "KiB", targets


def torch_memory(images, t):
    nn = torch.nn
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.5),
        nn.Linear(32 * 49, 10),
    )  # fmt: skip
    x = torch.tensor(images)
    known = {p.untyped_storage().data_ptr() for p in [*net.parameters(), *net.buffers(), x]}
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = nn.functional.cross_entropy(net(x), torch.tensor(t).long())
    held = sum(saved.values())
    del loss
    return held


TABLES = {
    "dispatch": dispatch,
    "mlp": mlp,
    "forward": deep_forward,
    "train": train_step,
    "compile": compile_time,
    "shape": new_shape,
    "memory": memory,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", help=f"which of {', '.join(TABLES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=15, help="interleaved rounds (default: 15)")
    parser.add_argument("--seconds", type=float, default=0.05, help="length of one round of one row")
    parser.add_argument("--compiles", type=int, default=5, help="repetitions of what compiles")
    parser.add_argument(
        "--threads", type=int, default=1, help="torch.set_num_threads (default: 1, the best for arrays this small)"
    )
    parser.add_argument("--chainer-python", default=os.environ.get("CHAINER_PYTHON"))
    parser.add_argument("--make-chainer", metavar="DIR", help="build Chainer's environment there, and use it")
    parser.add_argument("--first-trace", choices=("hand", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--markdown", metavar="FILE", help="write the tables there")
    a = parser.parse_args()
    if a.first_trace:
        return first_trace(a.first_trace)
    if torch:
        torch.set_num_threads(a.threads)
    python = make_chainer(a.make_chainer) if a.make_chainer else a.chainer_python
    chainer = Chainer(python) if python else None
    head, load = machine(chainer), os.getloadavg()[0]
    print(head, flush=True)
    texts = []
    for name in a.tables or TABLES:
        texts.append(render(TABLES[name](a, chainer)))
        print("\n" + texts[-1], flush=True)
    if chainer:
        chainer.close()
    if a.markdown:
        command = (
            f"python benchmarks/overhead.py {''.join(f'{table} ' for table in a.tables)}--rounds {a.rounds} "
            f"--seconds {a.seconds} --compiles {a.compiles} "
            f"--threads {a.threads} --chainer-python ... --markdown ..."
        )
        introduction = "Small arrays, so that overheads show."
        write_page(a.markdown, "Performance", introduction, command, head, load, texts)


if __name__ == "__main__":
    main()
