"""Every function of F, forward and forward + backward, at two sizes, beside Chainer on NumPy and PyTorch.

    python benchmarks/functions.py --quick --chainer-python PATH --markdown docs/reference/functions-performance.md
    python benchmarks/functions.py exp linear                    # some functions only

The calls are in function_cases.py. A ratio is our time over the peer's: 1 is equal, 2 is twice as slow. Times are of
eager calls, results waited for, once what is compiled in the first calls is compiled; medians of interleaved rounds;
the worst ratios are measured again, longer. Chainer needs an environment of its own (and SciPy for the special
functions): see overhead.py. On a machine that others use, PyTorch's threads wait for each other: `--threads 1` is
fairer to it there.
"""

import argparse
import datetime
import gc
import json
import math
import os
import statistics
import sys
import warnings
from pathlib import Path

from common import Chainer, interleaved, machine, make_chainer, read, steady, timer, torch
from function_cases import CASES, SIZES, caller, inputs, leaves

import jaxchain
import jaxchain.functions as F

WAYS = ("forward", "backward")
PEERS = {"torch": "PyTorch", "chainer": "Chainer"}
NAMES = {"forward": "forward", "backward": "forward + backward"}


def torch_caller(name, size, way):
    """Return a function without arguments that makes PyTorch's call, or None if it has no such function."""
    text = CASES[name][1]
    if torch is None or not text:
        return None
    made, wanted = inputs(name, size, lambda array: torch.tensor(array, requires_grad=True))
    made = {k: v if isinstance(v, list | torch.Tensor) else torch.tensor(v) for k, v in made.items()}
    space = {"torch": torch, "tF": torch.nn.functional, **made}
    if "eye" in text:
        space["eye"] = 3 * torch.eye(made["x"].shape[-1])
    code = compile(text, name, "eval")
    if way == "forward":
        return lambda: eval(code, space)

    def floating():
        return [y for y in leaves(eval(code, space)) if y.requires_grad]

    ys = floating()
    if not ys:
        return None
    gys = [torch.ones_like(y) for y in ys]
    return lambda: torch.autograd.grad(floating(), wanted, gys, allow_unused=True)


def attempt(make, where):
    """Return what `make` returns after one call of it, or None and a line on stderr if that fails."""
    try:
        call = make()
        if call is not None:
            call()
        return call
    except Exception as error:
        text = str(error)
        if text != "no gradient":
            print(f"{where}: {type(error).__name__}: {text.splitlines()[0] if text else ''}", file=sys.stderr)
        return None


def measure(name, size, way, chainer, a):
    """Return {library: seconds of a call, or None}; None if ours has no such call."""
    ours = attempt(lambda: caller(name, size, way, jaxchain), f"jaxchain {name} {size} {way}")
    if ours is None:
        return None
    theirs = attempt(lambda: torch_caller(name, size, way), f"torch {name} {size} {way}")
    rows = {"jaxchain": timer(steady(read(ours))), "torch": theirs and timer(theirs), "chainer": None}
    if chainer is not None:
        asked = chainer.timer(f"{name}/{size}/{way}")
        if not math.isnan(asked(1)):
            rows["chainer"] = asked
    found = interleaved(rows, a.rounds, a.seconds)
    gc.collect()
    return found


def ratio(row, peer):
    return row["jaxchain"] / row[peer] if row and row[peer] else None


def geometric_mean(values):
    return statistics.geometric_mean(values) if values else None


def figure(seconds):
    return "" if seconds is None else f"{seconds * 1e6:.4g}"


def worst(results, peer, size, n=10):
    """Return the rows [(ratio, name, way)] with the largest ratios, largest first."""
    found = [(ratio(row, peer), name, way) for (name, s, way), row in results.items() if s == size]
    return sorted([f for f in found if f[0] is not None], reverse=True)[:n]


def summary(results):
    lines = ["| | functions | geometric mean of the ratios | at most 2 |", "|---|---:|---:|---:|"]
    for peer, label in PEERS.items():
        for size in SIZES:
            for way in WAYS:
                values = [r for (_, s, w), row in results.items() if (s, w) == (size, way) and (r := ratio(row, peer))]
                if values:
                    within = sum(v <= 2 for v in values) / len(values)
                    title = f"to {label}, {size}, {NAMES[way]}"
                    lines.append(f"| {title} | {len(values)} | {geometric_mean(values):.2f} | {within:.0%} |")
    return lines


def ten_worst(results):
    lines = []
    for peer, label in PEERS.items():
        for size in reversed(SIZES):
            rows = worst(results, peer, size)
            if rows:
                lines += [f"### Ten worst ratios to {label}, {size} size", "", "| function | | us | peer us | ratio |"]
                lines.append("|---|---|---:|---:|---:|")
            for value, name, way in rows:
                row = results[name, size, way]
                times = f"{figure(row['jaxchain'])} | {figure(row[peer])}"
                lines.append(f"| `{name}` | {NAMES[way]} | {times} | {value:.2f} |")
            lines.append("")
    return lines


def everything(results):
    lines = []
    for size in SIZES:
        for way in WAYS:
            lines += [f"### {size.capitalize()} size, {NAMES[way]}", ""]
            lines += ["| function | us | PyTorch us | Chainer us |", "|---|---:|---:|---:|"]
            for (name, s, w), row in sorted(results.items()):
                if (s, w) == (size, way) and row:
                    times = " | ".join(figure(row[k]) for k in ("jaxchain", "torch", "chainer"))
                    lines.append(f"| `{name}` | {times} |")
            lines.append("")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("functions", nargs="*", help="which functions (default: all)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 ms: some minutes for everything")
    parser.add_argument("--results", metavar="FILE", help="go on from the results in this file, and save them there")
    parser.add_argument("--again", type=int, default=15, help="how many of the worst of each kind are measured again")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.03, help="length of one round of one row")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="torch.set_num_threads")
    parser.add_argument("--chainer-python", default=os.environ.get("CHAINER_PYTHON"))
    parser.add_argument("--make-chainer", metavar="DIR", help="build Chainer's environment there, and use it")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables there")
    a = parser.parse_args()
    if a.quick:
        a.rounds, a.seconds = 2, 0.002
    command = f"--rounds {a.rounds} --seconds {a.seconds} --threads {a.threads} --again {a.again}"
    if torch:
        torch.set_num_threads(a.threads)
    warnings.simplefilter("ignore")
    python = make_chainer(a.make_chainer) if a.make_chainer else a.chainer_python
    chainer = Chainer(python) if python else None
    public = {n for n in vars(F) if not n.startswith("_") and callable(getattr(F, n))}
    lacking = sorted(public - set(CASES) - {"batch_normalization_with_statistics"})
    if lacking:
        print(f"functions without a case: {', '.join(lacking)}", file=sys.stderr)
    head, load = machine(chainer), os.getloadavg()[0]
    results = {}
    saved = Path(a.results) if a.results else None
    if saved and saved.exists():
        results = {tuple(key.split("/")): row for key, row in json.loads(saved.read_text()).items()}
    known = {name for name, _, _ in results}
    todo = [
        (name, size, way)
        for name in a.functions or sorted((public & set(CASES)) - known)
        for size in SIZES
        for way in WAYS
    ]

    def run(keys):
        for key in keys:
            row = results[key] = measure(*key, chainer, a)
            if row:
                print(f"{'/'.join(key)}: " + "  ".join(f"{k} {figure(v) or '-'}" for k, v in row.items()), flush=True)
            if saved:
                saved.write_text(json.dumps({"/".join(k): v for k, v in results.items()}, indent=0))

    run(todo)
    a.rounds, a.seconds = max(a.rounds, 7), max(a.seconds, 0.01)
    run(sorted({(name, s, way) for peer in PEERS for s in SIZES for _, name, way in worst(results, peer, s, a.again)}))
    if chainer:
        chainer.close()
    tables = ["## Summary", "", *summary(results), "", "## Worst", "", *ten_worst(results)]
    print("\n".join(tables))
    if a.markdown:
        title = [
            "# Performance of each function",
            "",
            f"Written on {datetime.date.today()}, at load {load:.1f}, by",
            "",
        ]
        title += [f"    python benchmarks/functions.py {command}"]
        title += ["", f"on {head}", "", "A ratio is our time over the peer's: eager calls, results waited for.", ""]
        Path(a.markdown).write_text("\n".join([*title, *tables, "## All", "", *everything(results)]) + "\n")


if __name__ == "__main__":
    main()
