"""Record what real Chainer 7.8.1 does for the rows of link_cases_*.py into golden/links_*.npz.

Run with a Python that has Chainer 7.8.1 (NumPy 1.23): `python make_golden_link_tables.py [TABLE ...]` in this folder.
Without names every table is recorded; `recurrent` records link_cases_recurrent.py only.
"""

import importlib
import inspect
import json
import sys
import warnings
from pathlib import Path

import chainer
import chainer.links as L
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from link_cases import entries_of, evaluation_kwargs, fill, run  # noqa: E402
from packed import save  # noqa: E402


def record(case):
    """Return what a row gives, by key."""
    np.random.seed(0)
    link = case.build(L)
    with chainer.using_config("train", False), chainer.no_backprop_mode():
        link(*case.calls[0], **evaluation_kwargs(case))  # makes lazy parameters
    if hasattr(link, "reset_state"):
        link.reset_state()
    before = fill(case.name, entries_of(chainer, link))
    chainer.serializers.NpzDeserializer(before).load(link)
    found = {f"before/{key}": value.copy() for key, value in before.items()}
    found.update(run(case, chainer, link, np.array))
    found["namedparams"] = np.array(" ".join(sorted(path for path, _ in link.namedparams())))
    found["str"] = np.array(str(link))
    return found


def signatures():
    """Return {link: {method: (kind, name) of each argument}} for the constructor and forward."""
    links = {name: link for name, link in vars(L).items() if inspect.isclass(link) and issubclass(link, chainer.Link)}
    return {
        name: {
            method: [
                (p.kind.name, p.name) for p in list(inspect.signature(getattr(link, method)).parameters.values())[1:]
            ]
            for method in ("__init__", "forward")
            if method in dir(link)
        }
        for name, link in links.items()
    }


def main():
    """Write a file for each table, and the signatures."""
    (HERE / "golden" / "link_signatures.json").write_text(
        json.dumps(signatures(), sort_keys=True, separators=(",", ":")) + "\n"
    )
    warnings.simplefilter("ignore")
    tables = sys.argv[1:] or [path.stem[len("link_cases_") :] for path in sorted(HERE.glob("link_cases_*.py"))]
    for table in tables:
        cases = importlib.import_module(f"link_cases_{table}").CASES
        golden = {f"{case.name}/{key}": value for case in cases for key, value in record(case).items()}
        path = HERE / "golden" / f"links_{table}.npz"
        save(path, golden)
        print(f"{path.name}: {len(cases)} rows, {len(golden)} arrays, {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
