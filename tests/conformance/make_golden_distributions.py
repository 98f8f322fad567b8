"""Record Chainer's answers for the rows of tests/distributions/rows.py into tests/distributions/golden.npz.

Run with a Python that has Chainer 7.8.1 (NumPy 1.23): `python tests/conformance/make_golden_distributions.py`.
"""

import sys
import warnings
from pathlib import Path

import chainer
import chainer.distributions as D
import numpy as np

ROOM = Path(__file__).resolve().parent.parent / "distributions"
sys.path.insert(0, str(ROOM))
from rows import CASES, cotangent, quantities  # noqa: E402

warnings.simplefilter("ignore")
np.seterr(all="ignore")
out = {}
for row in CASES:
    d, params = row.make(D, chainer.Variable)
    e, others = row.make(D, chainer.Variable, row.other) if row.other is not None else (None, {})
    out[f"{row.name}/shapes"] = np.array(str((d.batch_shape, d.event_shape)))
    try:
        out[f"{row.name}/support"] = np.array(d.support)
    except NotImplementedError:
        pass
    for name, compute, x in quantities(row, d, e, chainer.Variable, chainer.kl_divergence):
        key = f"{row.name}/{name}"
        y = compute()
        out[key] = np.asarray(y.array)
        inputs = [*params.values(), *others.values(), *([x] if isinstance(x, chainer.Variable) else [])]
        if y.creator_node is None:
            continue
        gs = chainer.grad([y], inputs, [chainer.Variable(cotangent(key, y.shape))])
        for i, g in enumerate(gs):
            if g is not None:
                out[f"{key}/g{i}"] = np.asarray(g.array)
np.savez_compressed(ROOM / "golden.npz", **out)
print(len(out), "arrays,", (ROOM / "golden.npz").stat().st_size // 1024, "KiB")
