"""A softmax over the leaves of a binary tree: its cost is that of a path, not of the vocabulary."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.config import get_dtype
from jaxchain.core.errors import expect
from jaxchain.core.op import Array, Key, op
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable, as_array
from jaxchain.functions.checks import same_dtype
from jaxchain.functions.indexing import in_range
from jaxchain.initializers import Uniform
from jaxchain.link import Link


@op(label="BinaryHierarchicalSoftmaxFunction", name="binary_hierarchical_softmax")
def _loss(x: Array, t: Array, W: Array, paths: Key, codes: Key) -> Array:
    expect(jnp.issubdtype(x.dtype, jnp.floating), "x.dtype is float", x.dtype)
    expect(x.ndim == 2, "x.ndim == 2", f"{x.ndim} != 2")
    expect(t.dtype == jnp.int32, "t.dtype is int32", t.dtype)
    expect(t.ndim == 1, "t.ndim == 1", f"{t.ndim} != 1")
    expect(x.shape[0] == t.shape[0], "x.shape[0] == t.shape[0]", f"{x.shape[0]} != {t.shape[0]}")
    same_dtype(x=x, W=W)
    expect(W.shape[1] == x.shape[1], "W.shape[1] == x.shape[1]", f"{W.shape[1]} != {x.shape[1]}")
    # A label out of range gives nan: a loss that is wrong and looks right is worse.
    code = codes.astype(x.dtype).at[jnp.where(t < -1, len(codes), t)].get(mode="fill", fill_value=jnp.nan)
    code = jnp.where((t == -1)[:, None], 0, code)
    scores = jnp.einsum("nd,nkd->nk", x, W[paths[t]]) * code
    return jnp.where(code == 0, 0, jax.nn.softplus(-scores)).sum()


def _paths(tree: Any, dtype: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """Return for each leaf the inner nodes above it and the side it is on (1 left, -1 right, 0 padding), and how many
    inner nodes there are. They are numbered in the order in which they are met, left before right.
    """
    leaves: dict[int, tuple[list[int], list[float]]] = {}
    count = 0
    stack: list[tuple[Any, list[int], list[float]]] = [(tree, [], [])]
    while stack:
        node, path, code = stack.pop()
        if not isinstance(node, tuple):
            leaves[node] = path, code
            continue
        if len(node) != 2:
            raise ValueError("All internal nodes must have two child nodes")
        path = [*path, count]
        count += 1
        stack += [(node[1], path, [*code, -1.0]), (node[0], path, [*code, 1.0])]
    shape = (max(leaves) + 1, max(len(p) for p, _ in leaves.values()))
    paths, codes = np.zeros(shape, np.int32), np.zeros(shape, dtype)
    for leaf, (path, code) in leaves.items():
        paths[leaf, : len(path)], codes[leaf, : len(code)] = path, code
    return paths, codes, count


class BinaryHierarchicalSoftmax(Link):
    r"""Hierarchical softmax loss: the sum of :math:`-\log\sigma(\pm w_j^\top x)` over the inner nodes above the label.

    Args:
        in_size: Size of the input vectors.
        tree: Binary tree of labels: nested pairs with integers at the leaves, as ``((0, 1), 2)``.
        dtype: Type of the codes. None: ``config.dtype``.

    Raises:
        ValueError: An inner node has not two children.

    Attributes:
        W: Parameter ``(inner nodes, in)``, uniform in [-1, 1] at first.

    Source:
        Morin & Bengio 2005, Hierarchical probabilistic neural network language model.

    Examples:
        >>> tree = L.BinaryHierarchicalSoftmax.create_huffman_tree({0: 8, 1: 5, 2: 6, 3: 4})
        >>> tree
        ((3, 1), (2, 0))
        >>> L.BinaryHierarchicalSoftmax(3, tree)(np.zeros((1, 3), np.float32), np.int32([1])).array.round(4)  # 2 log 2
        Array(1.3863, dtype=float32)
    """

    def __init__(self, in_size: int, tree: Any, dtype: Any = None) -> None:
        super().__init__()
        self._paths, self._codes, count = _paths(tree, get_dtype(dtype))
        with self.init_scope():
            self.W = Parameter(Uniform(1), (count, in_size))

    @staticmethod
    def create_huffman_tree(word_counts: Mapping[int, float]) -> Any:
        """Return the Huffman tree of words: frequent ones are near the root.

        Args:
            word_counts: How often each word occurs.

        Returns:
            Nested pairs of words.

        Raises:
            ValueError: There is no word.
        """
        if not word_counts:
            raise ValueError("Empty vocabulary")
        heap: list[tuple[float, int, Any]] = [(count, i, word) for i, (word, count) in enumerate(word_counts.items())]
        heapq.heapify(heap)
        while len(heap) > 1:
            (count1, i1, first), (count2, i2, second) = heapq.heappop(heap), heapq.heappop(heap)
            heapq.heappush(heap, (count1 + count2, min(i1, i2), (first, second)))
        return heap[0][2]

    def forward(self, x: Any, t: Any) -> Variable:
        """Return the loss, summed over the vectors.

        Args:
            x: Vectors ``(n, in)``.
            t: Labels ``(n,)``, int32. -1 adds nothing, and so does a number below the largest label that no leaf has.

        Returns:
            A scalar; NaN if a label is out of range.

        Raises:
            IndexError: A label in a NumPy array is out of range.
        """
        in_range("binary_hierarchical_softmax", as_array(t), self._paths.shape, 0)
        return _loss(x, t, self.W, self._paths, self._codes)
