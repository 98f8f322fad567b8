"""Write golden/optimizers.npz: ten steps of every row of optimizer_cases.py, by real Chainer 7.8.1.

Run with a Python that has Chainer (see CONTRIBUTING): ``python tests/conformance/make_golden_optimizers.py``.
"""

import os
import sys

import chainer
import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import optimizer_cases


def main():
    """Write the file."""
    golden = {}
    for case in optimizer_cases.CASES:
        for key, value in optimizer_cases.run(case, chainer, np.array).items():
            golden[f"{case.name}/{key}"] = value
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "optimizers.npz")
    np.savez_compressed(path, **golden)
    print(len(optimizer_cases.CASES), "cases,", len(golden), "arrays,", os.path.getsize(path), "bytes")


if __name__ == "__main__":
    main()
