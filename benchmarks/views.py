"""How long views of large graphs take, and how that grows with their size.

    python benchmarks/views.py [--nodes 10000] [--markdown FILE]

An eager graph of so many nodes is read and written in each form; a program with as many equations is linked to its HLO
and written as an explorer. Each is measured at a quarter of the size, too: four times the nodes should take four times
as long. Bars: an export of 10,000 nodes takes less than 2 s, and grows by less than 6 from a quarter.
"""

import argparse
import gc
import os
import statistics
import sys
import time

import numpy as np
from common import machine, write_page

import jaxchain
import jaxchain.functions as F
from jaxchain.views import programs
from jaxchain.views.linked import link
from jaxchain.views.readers import eager
from jaxchain.views.writers import dot, explorer, json, mermaid, text

SECONDS, GROWTH = 2.0, 6.0


INTRODUCTION = """How long it takes to read a large eager graph, to write it in each form, and to link a program with as
many equations to its HLO. The second column is the ratio to a graph of a quarter of the nodes: linear growth is 4. The
bars are 2 s for each export, and 6 for its growth."""


def chain(x, functions):
    """Return the end of a chain of functions: each makes two nodes, itself and its result."""
    h = x
    for k in range(functions):
        h = F.relu(h) if k % 2 else h + x
    return h


def exports(nodes):
    """Return the exports of a graph with so many nodes, by name: functions without arguments."""
    x = jaxchain.Variable(np.ones((1, 3), np.float32))
    end = chain(x, nodes // 2)
    graph = eager.read(end, clusters=True)
    made = programs.program(lambda x: chain(x, nodes // 2), x)
    hlo = programs.hlo_text(made.lower(), True)
    linked = link(made, hlo)
    return {
        "read the eager graph": lambda: eager.read(end, clusters=True),
        "DOT": lambda: dot.write(graph),
        "JSON": lambda: json.write(graph),
        "text": lambda: text.write(graph),
        "Mermaid": lambda: mermaid.write(graph),
        "diff with itself": lambda: jaxchain.diff(graph, graph),
        "link eager graph, jaxpr and HLO": lambda: link(made, hlo),
        "explorer": lambda: explorer.write({"forward": linked}),
    }


def measure(small, large, rounds):
    """Return the median seconds of two functions, run in turn, and what the second returned."""
    times = ([], [])
    for _ in range(rounds):
        for run, taken in zip((small, large), times, strict=True):
            result = None  # the one before is freed outside the time
            gc.collect()
            start = time.perf_counter()
            result = run()
            taken.append(time.perf_counter() - start)
    return *map(statistics.median, times), result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=10_000, help="nodes of the graph (default: 10000)")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each; the median counts (default: 7)")
    parser.add_argument("--markdown", metavar="FILE", help="write the table there")
    arguments = parser.parse_args()
    head, load = machine(None), os.getloadavg()[0]
    quarter, whole = exports(arguments.nodes // 4), exports(arguments.nodes)
    lines = [
        f"| {arguments.nodes:,} nodes | ms | times a quarter's | MB |",
        "|---|---:|---:|---:|",
    ]
    missed = []
    for name, run in whole.items():
        before, seconds, result = measure(quarter[name], run, arguments.rounds)
        growth = seconds / before
        megabytes = f"{len(result) / 1e6:.2f}" if isinstance(result, str) else ""
        lines.append(f"| {name} | {seconds * 1e3:.0f} | {growth:.1f} | {megabytes} |")
        if seconds > SECONDS * arguments.nodes / 10_000 or growth > GROWTH:
            missed.append(name)
    table = "\n".join(lines)
    verdict = f"Bars missed by: {', '.join(missed) or 'none'}."
    print(table, verdict, head, sep="\n\n")
    if arguments.markdown:
        command = f"python benchmarks/views.py --nodes {arguments.nodes} --rounds {arguments.rounds}"
        write_page(arguments.markdown, "Views of large graphs", INTRODUCTION, command, head, load, [table, verdict])
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
