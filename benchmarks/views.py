"""How long views of large graphs take, and how that grows with their size.

    python benchmarks/views.py [--nodes 10000] [--markdown FILE]

An eager graph of so many nodes is read and written in each form; a program with as many equations is linked to its HLO
and written as an explorer. Each is measured at a quarter of the size, too: four times the nodes should take four times
as long. Bars: an export of 10,000 nodes takes less than 2 s, and grows by less than 6 from a quarter.
"""

import argparse
import statistics
import sys
import time

import numpy as np
from common import machine

import jaxchain
import jaxchain.functions as F
from jaxchain.views import programs
from jaxchain.views.linked import link
from jaxchain.views.readers import eager
from jaxchain.views.writers import dot, explorer, json, mermaid, text

SECONDS, GROWTH = 2.0, 6.0


def chain(x, functions):
    """Return the end of a chain of functions: each makes two nodes, itself and its result."""
    h = x
    for k in range(functions):
        h = F.relu(h) if k % 2 else h + x
    return h


def measure(nodes, rounds):
    """Return (name, seconds, characters) of each export of a graph with so many nodes."""
    x = jaxchain.Variable(np.ones((1, 3), np.float32))
    end = chain(x, nodes // 2)
    graph = eager.read(end, clusters=True)
    made = programs.program(lambda x: chain(x, nodes // 2), x)
    hlo = programs.hlo_text(made.lower(), True)
    linked = link(made, hlo, graph)
    exports = {
        "read the eager graph": lambda: eager.read(end, clusters=True),
        "DOT": lambda: dot.write(graph),
        "JSON": lambda: json.write(graph),
        "text": lambda: text.write(graph),
        "Mermaid": lambda: mermaid.write(graph),
        "diff with itself": lambda: jaxchain.diff(graph, graph),
        "link eager graph, jaxpr and HLO": lambda: link(made, hlo, graph),
        "explorer": lambda: explorer.write({"forward": linked}),
    }
    for name, run in exports.items():
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            result = run()
            times.append(time.perf_counter() - start)
        yield name, statistics.median(times), len(result) if isinstance(result, str) else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=10_000, help="nodes of the graph (default: 10000)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each; the median counts (default: 3)")
    parser.add_argument("--markdown", metavar="FILE", help="write the table there")
    arguments = parser.parse_args()
    small = list(measure(arguments.nodes // 4, arguments.rounds))
    large = list(measure(arguments.nodes, arguments.rounds))
    lines = [
        f"| {arguments.nodes:,} nodes | ms | times a quarter's | MB |",
        "|---|---:|---:|---:|",
    ]
    missed = []
    for (name, before, _), (_, seconds, size) in zip(small, large, strict=True):
        growth = seconds / before
        megabytes = "" if size is None else f"{size / 1e6:.2f}"
        lines.append(f"| {name} | {seconds * 1e3:.0f} | {growth:.1f} | {megabytes} |")
        if seconds > SECONDS * arguments.nodes / 10_000 or growth > GROWTH:
            missed.append(name)
    lines += ["", f"Bars missed by: {', '.join(missed) or 'none'}.", "", machine(None)]
    print("\n".join(lines))
    if arguments.markdown:
        with open(arguments.markdown, "w") as file:
            file.write("# Views of large graphs\n\n" + "\n".join(lines) + "\n")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
