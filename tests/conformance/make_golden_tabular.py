"""Write golden/tabular.json: what real Chainer 7.8.1 makes of the expressions in tabular_cases.py.

Run with an interpreter that has Chainer 7.8.1 (NumPy 1.23): ``python tests/conformance/make_golden_tabular.py``.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import tabular_cases  # noqa: E402
from chainer.dataset import tabular  # noqa: E402

with open(os.path.join(HERE, "golden", "tabular.json"), "w") as file:
    json.dump(tabular_cases.answers(tabular), file)
