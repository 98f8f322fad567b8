"""What a row of the function tables is. Plain NumPy: make_golden_functions.py reads it in Chainer's own Python."""

import dataclasses
import importlib
import warnings
import zlib

import numpy as np


@dataclasses.dataclass
class R:
    """A random floating input, differentiated. Same values everywhere: RandomState's stream is frozen."""

    shape: tuple
    low: float = -2.0
    high: float = 2.0


@dataclasses.dataclass
class I:  # noqa: E742
    """A random integer input in [low, high)."""

    shape: tuple
    high: int
    low: int = 0
    dtype: str = "int32"


@dataclasses.dataclass
class L:
    """A literal floating input, differentiated."""

    values: object


@dataclasses.dataclass
class K:
    """A constant array: not differentiated, not wrapped. Floating ones follow the dtype of the run."""

    values: object
    dtype: str = "float32"


@dataclasses.dataclass
class S:
    """One call: positional and keyword arguments; arrays as R, I, L, K, also inside lists."""

    args: tuple
    kwargs: dict

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


@dataclasses.dataclass
class Case:
    """One function.

    Attributes:
        name: Its name in F, or a title if `call` is given.
        samples: Calls compared with Chainer, value and gradient. The first also runs in other dtypes, statically, and
            for order 2.
        call: Expression in F and x0, x1, ... instead of F.name(...).
        edges: Calls on ties, zeros, ends, large and infinite values.
        errors: (call, class of the error, part of the message).
        floats: Traced floats of the first sample: another value must not compile. {name or position: value}
        dtypes: The dtypes the first sample runs in, besides float32.
        borrowed: Those of them that Chainer does not take: its answers are those in float32 on the same values.
        order: 2 if the second derivative is checked.
        label: Label of the node; None where ours and Chainer's differ on purpose.
        retains: Inputs by name, outputs as y0, y1, ..., that the node keeps for the gradient; None: not checked.
        warns: Pattern of the DeprecationWarning that the call gives.
        fills: For a row without edges: the values that its first sample also runs on (see `FILLS`).
        heavy: Its gradients take seconds to compile, and another row has its machinery: second derivative and static
            mode go with the slow sweeps.
        better: Why a value may be other than Chainer's where Chainer's is nan or infinite.
    """

    name: str
    samples: list
    call: str = ""
    edges: list = dataclasses.field(default_factory=list)
    errors: list = dataclasses.field(default_factory=list)
    floats: dict = dataclasses.field(default_factory=dict)
    dtypes: tuple = ("float16", "float64")
    borrowed: tuple = ()
    order: int = 2
    label: object = "golden"
    fills: tuple = ("ties", "large", "unknown")
    heavy: bool = False
    better: str = ""
    retains: object = None
    rtol: float = 1e-5
    warns: str = ""

    def calls(self):
        """Yield (key, sample, dtype) of everything that is recorded."""
        for i, s in enumerate(self.samples):
            yield f"{self.name}/{i}", s, "float32"
        for i, s in enumerate(self.edges):
            yield f"{self.name}/edge{i}", s, "float32"
        if not self.edges:
            for kind in self.fills:
                yield f"{self.name}/{kind}", self.samples[0], "float32"
        for dtype in self.dtypes:
            yield f"{self.name}/{dtype}", self.samples[0], dtype


# Values, over and over, in place of random ones. Where a sum overflows half-way, or a matrix is decomposed, the answer
# depends on the order of the operations; and XLA multiplies the zeros that pad a convolution, Chainer leaves them out:
# rows to which that happens name the fills that are left.
FILLS = {
    "ties": (0.0, 1.0, 1.0, -0.0, -1.0),
    "large": (1e30, -2.0, 0.0, np.inf, -1e30, 1.0, -np.inf),
    "unknown": (1.0, np.nan, -2.0),
}


def materialise(key, sample, dtype, wrap):
    """Return (args, kwargs, differentiated inputs) of a call: `wrap` makes a Variable of an array."""
    seed = key.split("/")[0] + "/0" if key.split("/")[1].startswith("float") else key
    rng = np.random.RandomState(zlib.crc32(seed.encode()) % (2**31))
    fill = FILLS.get(key.rsplit("/")[-1])
    inputs = []

    def make(v):
        if isinstance(v, R) and fill:
            inputs.append(wrap(np.resize(fill, v.shape).astype(dtype)))
            return inputs[-1]
        if isinstance(v, R):
            inputs.append(wrap(rng.uniform(v.low, v.high, v.shape).astype(dtype)))
            return inputs[-1]
        if isinstance(v, L):
            inputs.append(wrap(np.array(v.values, dtype)))
            return inputs[-1]
        if isinstance(v, I):
            return rng.randint(v.low, v.high, v.shape).astype(v.dtype)
        if isinstance(v, K):
            return np.array(v.values, dtype if v.dtype == "float32" else v.dtype)
        if isinstance(v, list):
            return [make(w) for w in v]
        if isinstance(v, tuple):
            return tuple(make(w) for w in v)
        return v

    args = [make(a) for a in sample.args]
    kwargs = {k: make(v) for k, v in sample.kwargs.items()}
    return args, kwargs, inputs


def evaluate(case, F, args, kwargs):
    """Return the outputs as a flat list."""
    with warnings.catch_warnings():
        if case.warns:
            warnings.filterwarnings("ignore", case.warns, DeprecationWarning)
        if case.call:
            utils = importlib.import_module(F.__name__.split(".")[0]).utils
            names = {"F": F, "np": np, "utils": utils, **{f"x{i}": a for i, a in enumerate(args)}}
            out = eval(case.call, {**names, **kwargs})
        else:
            out = getattr(F, case.name)(*args, **kwargs)
    flat = []

    def walk(o):
        if isinstance(o, list | tuple):
            for v in o:
                walk(v)
        else:
            flat.append(o)

    walk(out)
    return flat


def fault(case, F, sample, wrap):
    """Return what an error row raises, or None. Floating and boolean constants are wrapped, too."""
    args, kwargs, _ = materialise(f"{case.name}/error", sample, "float32", wrap)
    args = [wrap(a) if isinstance(a, np.ndarray) and a.dtype.kind in "fb" else a for a in args]
    try:
        evaluate(case, F, args, kwargs)
    except Exception as error:
        return error
    return None


def cotangent(key, k, shape, dtype):
    """Return the k-th output's gradient."""
    rng = np.random.RandomState((zlib.crc32(key.encode()) + 7919 * (k + 1)) % (2**31))
    return np.asarray(rng.uniform(-1, 1, shape)).astype(dtype)
