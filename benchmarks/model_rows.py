"""The table of (model, framework) and what makes a program of it.

    python benchmarks/model_rows.py MODEL FRAMEWORK     # peak memory, in a process of its own

prints the peak resident size in bytes after the imports, and after three steps and an evaluation. Nothing is imported
that the framework does not need.
"""

import importlib
import os
import resource
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import model_spec

ALL = os.cpu_count() or 1

# name: (module, options of its build); a second word of a name says how the framework is used
FRAMEWORKS = {
    "hand-written JAX": ("model_jax", {}),
    "jaxchain static": ("model_chains", {"mode": "static"}),
    "jaxchain eager": ("model_chains", {"mode": "eager"}),
    "Flax NNX, nnx.jit": ("model_flax", {"idiom": "nnx.jit"}),
    "Flax NNX, split and merge in jax.jit": ("model_flax", {"idiom": "split"}),
    "Equinox, filter_jit": ("model_equinox", {}),
    "PyTorch eager, 1 thread": ("model_torch", {"threads": 1}),
    f"PyTorch eager, {ALL} threads": ("model_torch", {"threads": ALL}),
    "torch.compile, 1 thread": ("model_torch", {"compiled": True, "threads": 1}),
    f"torch.compile, {ALL} threads": ("model_torch", {"compiled": True, "threads": ALL}),
    "Chainer on NumPy": ("model_chains", {"library": "chainer"}),
}
CHAINER = "Chainer on NumPy"  # the row that runs in another environment


def build(model, framework, size):
    """Return the program of a model in a framework. Raises ImportError where it is not installed."""
    module, options = FRAMEWORKS[framework]
    return importlib.import_module(module).build(model, size, **options)


def losses(model, framework, size, steps=2):
    """Return the losses of the first steps."""
    program = build(model, framework, size)
    return [number(program.step(*program.batch)) for _ in range(steps)]


def number(loss):
    """Return a loss as a float: an array, or a Variable."""
    return float(getattr(loss, "array", loss))


def peak():
    """Return the highest resident size so far: of this program (`getrusage` also counts what started it)."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory(model, framework, size):
    """Print the peak resident size after the imports and after a few steps."""
    module, options = FRAMEWORKS[framework]
    importlib.import_module(module)
    if module == "model_chains":
        importlib.import_module(options.get("library", "jaxchain"))
    imports = peak()
    program = build(model, framework, size)
    for run in (*[program.step] * 3, program.evaluate):
        number(run(*program.batch))
    print(imports, peak())


if __name__ == "__main__":
    memory(sys.argv[1], sys.argv[2], model_spec.SIZES[sys.argv[1]])
