"""Write golden/chainer_model.npz: a model saved by real Chainer, with an uninitialised parameter.

Run with the oracle's interpreter. ``make_golden_files.py check FILE`` loads a file of jaxchain's into the same model.
"""

import os
import sys

import chainer
import chainer.links as L
import numpy as np


def model():
    """Return the model of tests/serializers/test_npz.py."""
    chain = chainer.Chain()
    with chain.init_scope():
        chain.l1 = L.Linear(3, 2)
        chain.bn = L.BatchNormalization(2)
        chain.lst = chainer.ChainList(L.Linear(None, 4))
    return chain


if __name__ == "__main__":
    link = model()
    if sys.argv[1:2] == ["check"]:
        chainer.serializers.load_npz(sys.argv[2], link)
        print(
            {key: None if p.array is None else p.array.tolist() for key, p in link.namedparams()},
            link.bn.avg_mean,
            link.bn.N,
        )
    else:
        np.random.seed(0)
        link.l1.W.array[...] = np.random.randn(2, 3)
        for _ in range(2):
            link.bn(np.random.randn(4, 2).astype(np.float32), finetune=True)
        folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
        chainer.serializers.save_npz(os.path.join(folder, "chainer_model.npz"), link)
