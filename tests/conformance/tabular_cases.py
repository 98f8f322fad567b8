"""Expressions on tables, evaluated in Chainer and in jaxchain: `answers(module)` gives what each is."""

import numpy as np

A, B = [3, 1, 4, 1, 5], ["a", "b", "c", "d", "e"]
C = np.arange(10, dtype=np.float32).reshape(5, 2)
INDEXINGS = [
    "[:]",
    "[1:4]",
    "[::-1]",
    "[4:0:-2]",
    "[-3:]",
    "[2:2]",
    "[[3, 1, 1]]",
    "[[-1, 0]]",
    "[[]]",
    "[np.array([4, 2])]",
]
INDEXINGS += [
    "[[True, False, True, False, False]]",
    "[:, 'b']",
    "[:, ('c', 'a')]",
    "[1:3, (0, -1)]",
    "[[4], 1]",
    "[:, ()]",
]
TABLES = {
    "tuple": "from_data((('a', A), ('b', B), ('c', C)))",
    "dict": "from_data({'a': A, 'b': B, 'c': C})",
    "function": "from_data((('a', A), (('b', 'c'), lambda i: (B[i], C[i]))))",
    "array": "from_data(('a', C))",
    "list": "from_data(A)",
    "index": "from_data(('a', lambda i: i * i), size=5)",
    "dict function": "from_data({('a', 'b'): lambda i: {'a': A[i], 'b': B[i]}, 'c': C})",
    "concat": "from_data({'a': A[:2], 'b': B[:2], 'c': C[:2]}).concat(from_data({'a': A[2:], 'b': B[2:], 'c': C[2:]}))",
    "concat 3": "from_data(('a', C[:1])).concat(from_data(('a', C[1:1])), from_data(('a', C[1:])))",
    "join": "from_data({'b': B}).join(from_data(('c', C)), from_data((('a', A), ('d', B))))",
    "join modes": "from_data(('a', A)).join(from_data(('b', B)), from_data({'c': C, 'd': A}))",
    "transform": "from_data({'a': A, 'c': C}).transform(('b', 'a', 'c'), lambda a, c: (a + 1, c * 2, -a))",
    "transform value": "from_data((('a', A), ('c', C))).transform('a', lambda a, c: a + int(c[0]))",
    "transform dict": "from_data(('a', A)).transform(('a', 'c', 'b'), lambda a: {'a': a, 'b': -a, 'c': 2 * a})",
    "batch": "from_data({'a': A, 'c': C}).transform_batch(('c', 'b', 'a'), lambda a, c: (c + 1, c * 2, a))",
    "batch value": "from_data((('a', A), ('c', C))).transform_batch('a', lambda a, c: [x + 1 for x in a])",
    "batch dict": "from_data(('a', A)).transform_batch(('a', 'c', 'b'), lambda a: {'a': a, 'b': a, 'c': a})",
    "slice of slice": "from_data((('a', A), ('b', B), ('c', C))).slice[[4, 0, 2, 1, 3]].slice[::-1]",
    "slice of columns": "from_data((('a', A), ('b', B), ('c', C))).slice[:, ('c', 'b', 'a')].slice[[0, 4, 1, 3, 2]]",
    "as dict": "from_data((('a', A), ('b', B), ('c', C))).asdict()",
    "as tuple": "from_data({'a': A, 'b': B, 'c': C}).astuple()",
}
CONVERSIONS = {
    "default": "from_data((('a', A), ('b', B), ('c', C)))",
    "dict": "from_data({'a': A, 'c': C}).slice[1:]",
    "value": "from_data(A)",
    "with_converter": "from_data((('a', A), ('c', C))).with_converter(lambda a, c: (a, 'converted'))",
    "with_converter dict": "from_data({'a': A, 'c': C}).with_converter(lambda a, c: {'a': 'converted'})",
    "with_converter value": "from_data(A).with_converter(lambda a: ('converted', a))",
    "of a view": "from_data((('a', A), ('b', B))).with_converter(lambda a, b: 'converted').slice[1:]"
    ".asdict().astuple()",
    "of concat": "from_data(A).with_converter(lambda a: 'first')"
    ".concat(from_data(A).with_converter(lambda a: 'second'))"
    ".transform(('_',), lambda a: a)",
    "delegate": "tabular.DelegateDataset(from_data(A).with_converter(lambda a: 'converted'))",
}
ERRORS = [
    "from_data(lambda i: i)",
    "from_data(('a', lambda i: i))",
    "from_data(A).concat(from_data(('a', A)))",
    "from_data(('a', A)).join(from_data(('b', A[1:])))",
    "from_data(('a', A)).join(from_data(('a', A)))",
    "from_data(A).slice[[5]]",
    "from_data(A).slice[[-6]]",
    "from_data(A).slice[[True]]",
    "from_data(A).slice[:, 'b']",
    "from_data(A).slice[:, 1]",
    "from_data(A).transform(('a', 'b'), lambda a: (a, a) if a == 3 else a).fetch()",
    "from_data(A).transform_batch('a', lambda a: a[1:]).fetch()",
    "from_data(A)[5]",
]


def plain(value):
    """Return a value as JSON holds it: kinds of containers by name, arrays with their dtype."""
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [plain(v) for v in value]}
    if isinstance(value, dict):
        return {"dict": [[k, plain(v)] for k, v in value.items()]}
    if hasattr(value, "dtype"):
        return {str(value.dtype): np.asarray(value).tolist()}
    return value


def names(keys):
    """Return keys; those made up of an object's address by one name."""
    return ["_" if k.startswith("_") else k for k in keys]


def answers(tabular):
    """Return what the expressions are for one package's `dataset.tabular`."""
    scope = {"A": A, "B": B, "C": C, "np": np, "tabular": tabular, "from_data": tabular.from_data}
    found = {}
    for name, text in TABLES.items():
        table = eval(text, scope)
        found[name] = {
            "keys": names(table.keys),
            "mode": str(table.mode),
            "all": plain(table[:]),
            "iter": plain(list(table)),
        }
        for indexing in INDEXINGS:
            if ("'b'" in indexing or "'c'" in indexing or "1)" in indexing or ", 1]" in indexing) and len(
                table.keys
            ) < 3:
                continue
            view = eval(f"table.slice{indexing}", {**scope, "table": table})
            found[name][indexing] = {
                "len": len(view),
                "keys": names(view.keys),
                "mode": str(view.mode),
                "fetch": plain(view.fetch()),
                "examples": plain([view[i] for i in range(len(view))]),
            }
    for name, text in CONVERSIONS.items():
        table = eval(text, scope)
        found[f"convert {name}"] = plain(table.convert(table.fetch()))
    for text in ERRORS:
        try:
            eval(text, scope)
            found[text] = None
        except Exception as error:
            found[text] = type(error).__name__
    return found
