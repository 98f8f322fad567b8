"""What the benchmarks share: peers, timers, tables and pages."""

import datetime
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np

from jaxchain import Variable
from jaxchain.core import background, forms

jax.config.update("jax_enable_compilation_cache", False)  # compile times are real ones

try:
    import torch
except ImportError:
    torch = None
try:
    import equinox as eqx
except ImportError:
    eqx = None
try:
    from flax import nnx
except ImportError:
    nnx = None

if torch and jax.default_backend() == "gpu":
    torch.set_default_device("cuda")
RNG = np.random.RandomState(0)
NOT_INSTALLED = "not installed"


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


class Chainer:
    """The worker process in Chainer's environment."""

    def __init__(self, python):
        script = Path(__file__).with_name("chainer_worker.py")
        # OpenBLAS would keep a core busy for some 20 ms after a product: in the time of the row that comes next
        calm = {**os.environ, "OPENBLAS_THREAD_TIMEOUT": "4"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([python, str(script)], **pipes, text=True, env=calm)
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{python} cannot run {script.name}: is Chainer installed there?")

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def timer(self, case):
        return lambda n: float(self.ask(f"time {case} {n}"))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def steady(step):
    """Run an eager step until its backward pass is compiled, as it is after the first moments of a training loop."""
    for _ in range(forms.AFTER):
        step()
    background.settle()
    return step


def read(call):
    """Return a call that reads the arrays of the Variables it gives: an eager call of small arrays waits until then."""

    def calling():
        result = call()
        for leaf in result if isinstance(result, tuple | list) else (result,):
            if isinstance(leaf, Variable):
                leaf.array  # noqa: B018 - reading it is what is measured
        return result

    return calling


def timer(call):
    """Return a function of n: the seconds that n calls take, the last one waited for."""

    def seconds(n):
        start = time.perf_counter()
        for _ in range(n):
            result = call()
        wait(result)
        return time.perf_counter() - start

    return seconds


def wait(result):
    for leaf in jax.tree_util.tree_leaves(result, is_leaf=lambda v: isinstance(v, Variable)):
        array = leaf.array if isinstance(leaf, Variable) else leaf
        if isinstance(array, jax.Array):
            array.block_until_ready()
    if torch and torch.get_default_device().type == "cuda":
        torch.cuda.synchronize()


def interleaved(rows, rounds, seconds, warm=3):
    """Return {name: median seconds of a call}; each round of a row lasts about `seconds`, after 2 * `warm` calls."""
    counts, samples = {}, {name: [] for name in rows}
    for name, row in rows.items():
        if row is not None:
            row(warm)
            counts[name] = max(1, int(seconds / max(row(warm) / warm, 1e-7)))
    for _ in range(rounds):
        for name, row in rows.items():
            if row is not None:
                samples[name].append(row(counts[name]) / counts[name])
    return {name: statistics.median(s) if s else None for name, s in samples.items()}


SCALE = {"us": 1e6, "ms": 1e3, "KiB": 1 / 1024}


def render(table):
    title, rows, unit, targets = table
    lines = [f"## {title}", "", f"| | {unit} | ratio to the first |", "|---|---:|---:|"]
    first = next(iter(rows.values()))
    for name, value in rows.items():
        if value is None:
            lines.append(f"| {name} | {NOT_INSTALLED} | |")
        else:
            lines.append(f"| {name} | {value * SCALE[unit]:.4g} | {value / first if first else 0:.2f} |")
    for what, limit, value, passed in targets:
        if value is None:
            verdict = "not measured (peer not installed)"
        elif limit == "no target":
            verdict = f"{value:.3g}"
        else:
            verdict = f"{value:.3g}: {'reached' if passed else '**missed**'}"
        lines += ["", f"{what}: {limit}. Measured {verdict}."]
    return "\n".join(lines)


def machine(chainer):
    versions = [f"jax {jax.__version__}", f"numpy {np.__version__}", f"Python {platform.python_version()}"]
    for name, module in (("torch", torch), ("equinox", eqx)):
        versions.append(f"{name} {module.__version__ if module else NOT_INSTALLED}")
    if nnx:
        import flax

        versions.append(f"flax {flax.__version__}")
    versions.append(f"Chainer {chainer.ask('version') if chainer else NOT_INSTALLED}")
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores, {jax.devices()[0].device_kind}; "
        + ", ".join(versions)
        + (f"; torch uses {torch.get_num_threads()} threads." if torch else ".")
    )


def make_chainer(folder):
    """Build an environment with Chainer in `folder` unless there is one, and return its Python."""
    python = Path(folder) / "bin" / "python"
    if not python.exists():
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        old = ["numpy==1.23.5", "setuptools<60", "wheel", "six", "filelock", "typing_extensions", "protobuf<3.21"]
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([*pip, *old], check=True)
        subprocess.run([*pip, "--no-build-isolation", "chainer==7.8.1"], check=True)
    return str(python)


def write_page(file, title, introduction, command, head, load, texts):
    """Write tables as a page that says how they came about."""
    how = "Rows of a table are measured interleaved; the figures are medians. Written on "
    page = [
        f"# {title}",
        introduction,
        f"{how}{datetime.date.today()}, at load {load:.1f}, by",
        f"    {command}",
        f"on {head}",
        *texts,
    ]
    Path(file).write_text("\n\n".join(page) + "\n")
