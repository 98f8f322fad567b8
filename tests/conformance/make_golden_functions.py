"""Record Chainer's answers for the rows of tests/functions/cases_*.py and calls.txt into tests/functions/golden/*.npz.

Run with a Python that has Chainer 7.8.1, NumPy 1.23 and SciPy:
`python tests/conformance/make_golden_functions.py [TABLE ...]`.
Without names every table is recorded; `elementwise shape` records cases_elementwise.py and cases_shape.py only.
"""

import importlib
import inspect
import json
import sys
import warnings
from pathlib import Path

import chainer
import chainer.functions as F
import numpy as np
import scipy  # noqa: F401 - without it some of Chainer's functions raise, and that would be recorded

FUNCTIONS = Path(__file__).resolve().parent.parent / "functions"
sys.path.insert(0, str(FUNCTIONS))
import calls  # noqa: E402
from packed import save  # noqa: E402
from rows import cotangent, evaluate, fault, materialise  # noqa: E402


def single(value):
    """Return arrays in float32, also inside tuples, lists and dictionaries."""
    if isinstance(value, np.ndarray):
        return value.astype("float32") if value.dtype.kind == "f" else value
    if isinstance(value, dict):
        return {k: single(v) for k, v in value.items()}
    return type(value)(map(single, value)) if isinstance(value, list | tuple) else value


def record(case, out):
    for key, sample, dtype in case.calls():
        borrowed = dtype in case.borrowed
        try:
            if borrowed:
                args, kwargs, inputs = materialise(key, sample, dtype, lambda a: chainer.Variable(single(a)))
                args, kwargs = single(args), single(kwargs)
            else:
                args, kwargs, inputs = materialise(key, sample, dtype, chainer.Variable)
            ys = evaluate(case, F, args, kwargs)
        except Exception as error:
            print(f"{key}: {type(error).__name__}: {error}", file=sys.stderr)
            raise
        for k, y in enumerate(ys):
            out[f"{key}/y{k}"] = np.asarray(y.array, dtype if borrowed else None)
        creator = ys[0].creator_node
        out[f"{key}/label"] = np.array("" if creator is None else creator.label)
        floating = [
            (y, cotangent(key, k, y.shape, dtype if borrowed else y.dtype).astype(y.dtype))
            for k, y in enumerate(ys)
            if y.dtype.kind == "f" and y.creator_node is not None
        ]
        if not floating or not inputs:
            continue
        outputs, gys = zip(*floating, strict=True)
        try:
            gxs = chainer.grad(list(outputs), inputs, [chainer.Variable(g) for g in gys])
        except Exception as error:
            print(f"{key}: no gradient: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        for i, g in enumerate(gxs):
            if g is not None:
                out[f"{key}/g{i}"] = np.asarray(g.array, dtype if borrowed else None)
    for i, (sample, *_) in enumerate(case.errors):
        error = fault(case, F, sample, chainer.Variable)
        out[f"{case.name}/error{i}"] = np.array("" if error is None else kind_of(error))


def kind_of(error):
    """Return the name of an error's class; the built-in one for those that NumPy derives."""
    known = [kind.__name__ for kind in (TypeError, ValueError) if isinstance(error, kind)]
    return (known or [type(error).__name__])[0]


def record_call(line, out):
    try:
        outputs, gradients = calls.run(line, chainer, chainer.Variable)
    except Exception as error:
        out[f"{line}/error"] = np.array(kind_of(error))
        return
    for k, y in enumerate(outputs):
        out[f"{line}/y{k}"] = np.asarray(y)
    for i, g in enumerate(gradients or []):
        if g is not None:
            out[f"{line}/g{i}"] = np.asarray(g.array)


def signatures():
    """Return the parameters of every function of F: {name: [[parameter, default or None if required], ...]}."""
    table = {}
    for name in dir(F):
        function = getattr(F, name)
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        parameters = inspect.signature(function).parameters.values()
        table[name] = [[p.kind.name, p.name, None if p.default is p.empty else repr(p.default)] for p in parameters]
    return table


def main():
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    tables = {path.stem[6:]: path for path in sorted(FUNCTIONS.glob("cases_*.py"))}
    unknown = set(sys.argv[1:]) - set(tables) - {"calls"}
    if unknown:
        sys.exit(f"no such table: {', '.join(sorted(unknown))}; there are {', '.join(tables)}")
    if not sys.argv[1:]:
        text = json.dumps(signatures(), indent=0)
        (FUNCTIONS / "golden" / "signatures.json").write_text(text + "\n")
    for name in sys.argv[1:] or [*tables, "calls"]:
        out = {}
        if name == "calls":
            for line in calls.LINES:
                record_call(line, out)
        else:
            for case in importlib.import_module(tables[name].stem).CASES:
                record(case, out)
        target = FUNCTIONS / "golden" / f"{name}.npz"
        save(target, out)
        print(f"{target.name}: {len(out)} arrays, {target.stat().st_size // 1024} KiB")


main()
