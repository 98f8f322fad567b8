"""The Chainer half of overhead.py, functions.py and models.py: answers requests on stdin, one a line, in Chainer's
environment.

A request is `time CASE N` (answer: seconds of N calls), `memory` (bytes that a CNN's graph holds) or `version`. A case
of function_cases.py is `name/size/way`; the answer is nan if it does not run here (no SciPy, no gradient). A case of
models.py is `models/name/batches of an epoch/what`.
"""

import dataclasses
import gc
import sys
import time
import tracemalloc
import warnings

warnings.simplefilter("ignore")

import chainer
import chainer.functions as F
import chainer.links as L
import model_rows
import model_spec
import numpy as np
from function_cases import caller

rng = np.random.RandomState(0)


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


class MLP(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(64, 64)
            self.l2 = L.Linear(64, 10)

    def forward(self, x):
        return self.l2(F.relu(self.l1(x)))


class CNN(chainer.Chain):
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


small = chainer.Variable(normal(10, 10))
mlp, x, t = MLP(), normal(32, 64), rng.randint(0, 10, 32).astype(np.int32)


def mlp_step():
    mlp.cleargrads()
    F.softmax_cross_entropy(mlp(x), t).backward()


CASES = {"op": lambda: F.relu(small), "mlp": mlp_step}


PROGRAMS = {}


def model(name, batches, what):
    """Return a function that makes a step, an evaluation or an epoch of a model."""
    size = dataclasses.replace(model_spec.SIZES[name], batches=int(batches))
    if name not in PROGRAMS:
        PROGRAMS[name] = model_rows.build(name, model_rows.CHAINER, size)
    call, batch = getattr(PROGRAMS[name], what), PROGRAMS[name].batch
    return call if what == "epoch" else lambda: call(*batch)


def memory():
    cnn, images = CNN(), normal(32, 1, 28, 28)
    F.softmax_cross_entropy(cnn(images), t)
    gc.collect()
    tracemalloc.start()
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    loss = F.softmax_cross_entropy(cnn(images), t)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    del loss
    return held


print("ready", flush=True)
for line in sys.stdin:
    command, *rest = line.split()
    if command == "version":
        answer = chainer.__version__
    elif command == "memory":
        answer = memory()
    else:
        name, n = rest[0], int(rest[1])
        if name not in CASES:
            try:
                first, *more = name.split("/")
                CASES[name] = model(*more) if first == "models" else caller(first, *more, chainer)
                CASES[name]()
            except Exception:
                CASES[name] = None
        call = CASES[name]
        if call is None:
            print("nan", flush=True)
            continue
        start = time.perf_counter()
        for _ in range(n):
            call()
        answer = time.perf_counter() - start
    print(answer, flush=True)
