"""Whole models beside their peers: a training step, an evaluation, an epoch and peak memory, in each framework.

    python benchmarks/models.py --chainer-python PATH --markdown docs/performance-models.md
    python benchmarks/models.py mlp lstm --quick                      # two models, fewer rounds

The models and the frameworks are the rows and columns of model_rows.py: the same sizes, first weights, data and
optimizer (SGD with momentum) everywhere, float32. An epoch is a Trainer's in jaxchain and Chainer, and in the others a
loop over shuffled NumPy batches. Rows are measured interleaved, in one process; peak memory in a fresh one each.
"""

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import NOT_INSTALLED, Chainer, interleaved, machine, make_chainer, steady, timer, torch, write_page
from model_rows import CHAINER, FRAMEWORKS, build
from model_spec import SIZES, TITLES

MEASURES = ("step", "evaluate", "epoch")
HAND, STATIC = "hand-written JAX", "jaxchain static"
SLOW = {("resnet", CHAINER)}  # seconds a step: measured twice only


def few(row, times=2):
    """Return a row that makes no more than some calls, and from then on answers with their median."""
    samples = []

    def seconds(n):
        if len(samples) < times:
            samples.append(row(1))
        return statistics.median(samples) * n

    return seconds


def with_threads(row, threads):
    """Return a row of PyTorch's that runs with its number of threads."""

    def seconds(n):
        torch.set_num_threads(threads)
        return row(n)

    return seconds


def framework_rows(model, framework, size, chainer):
    """Return {measure: row}, a row None where the framework is not installed, and the program (None for Chainer)."""
    if framework == CHAINER:
        rows = {m: chainer and chainer.timer(f"models/{model}/{size.batches}/{m}") for m in MEASURES}
        return {m: few(row) if row and (model, framework) in SLOW else row for m, row in rows.items()}, None
    try:
        program = build(model, framework, size)
    except ImportError:
        return dict.fromkeys(MEASURES), None
    one, options = program.batch, FRAMEWORKS[framework][1]
    calls = {
        "step": lambda: (program.step(*one), program.left()),
        "evaluate": lambda: program.evaluate(*one),
        "epoch": lambda: (program.epoch(), program.left()),
    }
    if options.get("mode") == "eager":
        steady(calls["step"])
    rows = {measure: timer(call) for measure, call in calls.items()}
    if "threads" in options:
        rows = {measure: with_threads(row, options["threads"]) for measure, row in rows.items()}
    return rows, program


def peak_memory(model, framework, python):
    """Return the peak resident sizes after the imports and after a few steps, of a process; None without the peer."""
    if python is None:
        return None
    with tempfile.TemporaryDirectory() as folder:  # nothing that an earlier process compiled
        own = {"JAXCHAIN_CACHE": folder, "TORCHINDUCTOR_CACHE_DIR": folder}
        command = [python, str(Path(__file__).with_name("model_rows.py")), model, framework]
        done = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, check=True)
    return tuple(int(word) for word in done.stdout.split()[-2:])


def measure(model, a, chainer, python):
    """Return the page's text of a model."""
    size = SIZES[model]
    if a.quick:
        size = dataclasses.replace(size, batches=max(2, size.batches // 8))
    rows, programs = {}, {}
    for name in FRAMEWORKS:
        print(f"... {model}: {name}", file=sys.stderr, flush=True)
        rows[name], programs[name] = framework_rows(model, name, size, chainer)
    found = {}
    for what in MEASURES:
        own = {name: row[what] for name, row in rows.items()}
        once = what == "epoch"
        found[what] = interleaved(own, a.rounds, 0 if once else a.seconds, 1 if once or a.quick else 3)
    memory = {}
    for name in FRAMEWORKS if not a.no_memory else ():
        if found["step"][name] is not None:
            memory[name] = peak_memory(model, name, python if name == CHAINER else sys.executable)
    text = [f"## {TITLES[model].format(**dataclasses.asdict(size))}", table(found, memory, size)]
    text += verdicts(found)
    return "\n\n".join([*text, same_program(programs)])


def table(found, memory, size):
    heads = ("step ms", "ratio", "evaluation ms", "ratio", f"epoch of {size.batches} ms", "ratio", "peak MiB (imports)")
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for name, step in found["step"].items():
        if step is None:
            lines.append(f"| {name} | {NOT_INSTALLED} |" + " |" * (len(heads) - 1))
            continue
        cells = [name]
        for what in MEASURES:
            cells += [f"{found[what][name] * 1e3:.4g}", f"{found[what][name] / found[what][HAND]:.2f}"]
        imports, peak = memory.get(name, (0, 0))
        cells.append(f"{peak / 2**20:.0f} ({imports / 2**20:.0f})" if peak else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdicts(found):
    """Return what was aimed at, and whether it was reached."""
    lines, torch_rows = [], [name for name in FRAMEWORKS if name.startswith("PyTorch eager")]
    for what, times in found.items():
        limits = [("hand-written JAX", times[HAND], 1.05)]
        if torch_rows and times[torch_rows[0]] is not None:
            limits.append(("the faster PyTorch eager", min(times[name] for name in torch_rows), 1))
        for peer, reference, limit in limits:
            ratio = times[STATIC] / reference
            verdict = "reached" if ratio <= limit else "**missed**"
            lines.append(f"{what}, static / {peer}: at most {limit}. Measured {ratio:.3g}: {verdict}.")
    return lines


def same_program(programs):
    """Return what XLA says of the compiled programs of a step."""
    counts = {}
    for name in (HAND, STATIC):
        compiled = programs[name].compiled(*programs[name].batch)
        cost = compiled.cost_analysis()
        counts[name] = (cost["flops"] / 1e6, cost["bytes accessed"] / 2**20, compiled.as_text().count(" = "))
    said = "; ".join(f"{n}: {f:.4g} Mflop, {b:.4g} MiB touched, {i} instructions" for n, (f, b, i) in counts.items())
    return f"The compiled step, as XLA counts it (a loop's body once): {said}."


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help=f"which of {', '.join(SIZES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=11, help="interleaved rounds (default: 11)")
    parser.add_argument("--seconds", type=float, default=0.3, help="length of one round of one row")
    parser.add_argument("--quick", action="store_true", help="3 short rounds, short epochs")
    parser.add_argument(
        "--skip", action="append", default=[], metavar="TEXT", help="leave out rows with it in the name"
    )
    parser.add_argument("--no-memory", action="store_true", help="leave out what needs a process for each row")
    parser.add_argument("--chainer-python", default=os.environ.get("CHAINER_PYTHON"))
    parser.add_argument("--make-chainer", metavar="DIR", help="build Chainer's environment there, and use it")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables there")
    a = parser.parse_args()
    if a.quick:
        a.rounds, a.seconds = 3, 0.05
    for name in [name for name in FRAMEWORKS if any(text in name for text in a.skip)]:
        del FRAMEWORKS[name]
    python = make_chainer(a.make_chainer) if a.make_chainer else a.chainer_python
    chainer = Chainer(python) if python else None
    head, load = machine(chainer), os.getloadavg()[0]
    print(head, flush=True)
    texts = []
    for model in a.models or SIZES:
        texts.append(measure(model, a, chainer, python))
        print("\n" + texts[-1], flush=True)
    if chainer:
        chainer.close()
    if a.markdown:
        command = "python benchmarks/models.py " + " ".join(
            [
                *a.models,
                *(["--quick"] if a.quick else [f"--rounds {a.rounds} --seconds {a.seconds}"]),
                *(f'--skip "{text}"' for text in a.skip),
            ]
        )
        write_page(a.markdown, "Performance of models", INTRODUCTION, command, head, load, texts)


INTRODUCTION = """Whole models in each framework: the same sizes, first weights, data and optimizer (SGD with momentum),
float32. A ratio is to the hand-written JAX: pure functions with optax, one `jax.jit`, donated. jaxchain and Chainer
run one text (`benchmarks/model_chains.py`); their epoch is a Trainer's, with a LogReport, the others' a loop over
shuffled NumPy batches. `torch.compile` compiles the module; its optimizer runs eagerly. Peak memory is the highest
resident size of a fresh process that imports, compiles, and makes three steps and an evaluation; in brackets, after
the imports."""


if __name__ == "__main__":
    main()
