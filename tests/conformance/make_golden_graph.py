"""Write tests/views/golden/chainer_graphs.json: what real Chainer 7.8.1 draws for `tests/views/graph_cases.py`.

Run with a Python that has Chainer (see CONTRIBUTING): `python tests/conformance/make_golden_graph.py`. Ids are made
small numbers in order of appearance; everything else is Chainer's own text.
"""

import json
import re
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
import chainer  # noqa: E402
import numpy as np  # noqa: E402
from chainer.computational_graph import build_computational_graph  # noqa: E402

VIEWS = Path(__file__).resolve().parents[1] / "views"
sys.path.insert(0, str(VIEWS))
import graph_cases  # noqa: E402


def small_ids(text):
    """Replace addresses by 1, 2, 3 ..."""
    numbers = {}
    return re.sub(r"(?<=[;>{ ])\d{9,}", lambda m: str(numbers.setdefault(m.group(), len(numbers) + 1)), text)


def main():
    """Write the golden file."""
    np.random.seed(0)
    graphs = {name: small_ids(graph_cases.dump(chainer, build_computational_graph, name)) for name in graph_cases.CASES}
    target = VIEWS / "golden" / "chainer_graphs.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"chainer": chainer.__version__, "graphs": graphs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
