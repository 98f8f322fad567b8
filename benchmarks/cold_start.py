"""The first training step of a small CNN in a fresh process: `python benchmarks/cold_start.py ROW` prints its seconds.

benchmarks/static.py starts it. Imports and data are made before the clock starts; parameters, optimizer and the step
itself count. No module of the benchmarks is imported, so that JAX's settings are those of a user's program.
"""

import os
import sys
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np

RNG = np.random.RandomState(0)
IMAGES = RNG.standard_normal((32, 1, 28, 28)).astype(np.float32)
LABELS = RNG.randint(0, 10, 32).astype(np.int32)


def jaxchain_row(mode):
    import jaxchain
    import jaxchain.functions as F
    import jaxchain.links as L
    from jaxchain import optimizers

    class CNN(jaxchain.Chain):
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
            return self.l(h)

    def run():
        model = CNN()
        optimizer = optimizers.Adam().setup(model)

        def step(x, t):
            model.cleargrads()
            loss = F.softmax_cross_entropy(model(x), t)
            loss.backward()
            optimizer.update()
            return loss

        (jaxchain.static(step) if mode == "static" else step)(IMAGES, LABELS)
        for p in model.params():
            p.array.block_until_ready()

    return run


def jax_row(mode):
    import jax
    import jax.numpy as jnp
    import optax
    from jax import lax

    def conv(x, w, b):
        return lax.conv_general_dilated(x, w, (1, 1), ((1, 1), (1, 1))) + b[:, None, None]

    def pool(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def forward(p, x):
        h = conv(x, *p["c1"])
        mean, var = h.mean((0, 2, 3), keepdims=True), h.var((0, 2, 3), keepdims=True)
        gamma, beta = p["b1"]
        h = (h - mean) / jnp.sqrt(var + 2e-5) * gamma[:, None, None] + beta[:, None, None]
        h = pool(jax.nn.relu(conv(pool(jax.nn.relu(h)), *p["c2"])))
        w, b = p["l"]
        return h.reshape(len(h), -1) @ w.T + b

    def loss(p, x, t):
        return -jnp.take_along_axis(jax.nn.log_softmax(forward(p, x)), t[:, None], 1).mean()

    def run():
        keys = jax.random.split(jax.random.key(0), 3)
        shapes = {"c1": (16, 1, 3, 3), "c2": (32, 16, 3, 3), "l": (10, 32 * 7 * 7)}
        params = {
            name: (jax.random.normal(key, s) / np.sqrt(np.prod(s[1:])), jnp.zeros(s[0]))
            for key, (name, s) in zip(keys, shapes.items(), strict=True)
        }
        params["b1"] = (jnp.ones(16), jnp.zeros(16))
        opt = optax.adam(1e-3)
        slots = opt.init(params)

        def step(params, slots, x, t):
            _, grads = jax.value_and_grad(loss)(params, x, t)
            updates, slots = opt.update(grads, slots, params)
            return optax.apply_updates(params, updates), slots

        step = jax.jit(step, donate_argnums=(0, 1)) if mode == "jit" else step
        jax.block_until_ready(step(params, slots, jnp.asarray(IMAGES), jnp.asarray(LABELS)))

    return run


def torch_row(mode):
    import torch

    torch.set_num_threads(1)
    nn = torch.nn

    def run():
        net = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 49, 10),
        )  # fmt: skip
        adam = torch.optim.Adam(net.parameters())
        forward = torch.compile(net) if mode == "compile" else net
        loss = nn.functional.cross_entropy(forward(torch.tensor(IMAGES)), torch.tensor(LABELS).long())
        loss.backward()
        adam.step()

    return run


ROWS = {
    "jaxchain-eager": (jaxchain_row, "eager"),
    "jaxchain-static": (jaxchain_row, "static"),
    "jax-eager": (jax_row, "eager"),
    "jax-jit": (jax_row, "jit"),
    "torch-eager": (torch_row, "eager"),
    "torch-compile": (torch_row, "compile"),
}

if __name__ == "__main__":
    make, mode = ROWS[sys.argv[1]]
    run = make(mode)
    start = time.perf_counter()
    run()
    print(time.perf_counter() - start)
