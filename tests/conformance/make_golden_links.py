"""Write golden/links.npz: what real Chainer 7.8.1 does for every row of link_cases.py.

Run with a Python that has Chainer (see CONTRIBUTING): ``python tests/conformance/make_golden_links.py``.
"""

import os
import sys

import chainer
import chainer.links as L
import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import link_cases


def main():
    """Write the file."""
    golden = {}
    for case in link_cases.CASES:
        np.random.seed(0)
        link = case.build(L)
        with chainer.using_config("train", False), chainer.no_backprop_mode():
            link(*case.calls[0], **link_cases.evaluation_kwargs(case))  # makes lazy parameters
        if hasattr(link, "reset_state"):
            link.reset_state()
        before = link_cases.fill(case.name, link_cases.entries_of(chainer, link))
        chainer.serializers.NpzDeserializer(before).load(link)
        golden.update({f"{case.name}/before/{key}": value.copy() for key, value in before.items()})
        for key, value in link_cases.run(case, chainer, link, np.array).items():
            golden[f"{case.name}/{key}"] = value
        golden[f"{case.name}/namedparams"] = np.array(sorted(path for path, _ in link.namedparams()), dtype="U")
        golden[f"{case.name}/str"] = np.array(str(link))
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "links.npz")
    np.savez_compressed(path, **golden)
    print(len(link_cases.CASES), "cases,", len(golden), "arrays,", os.path.getsize(path), "bytes")


if __name__ == "__main__":
    main()
