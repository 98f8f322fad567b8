"""Layers called one after the other."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

from jaxchain.link.base import Link
from jaxchain.link.containers import ChainList, indented


class Sequential(ChainList):
    """Layers called one after the other: links, and any other callables. Tuples are unpacked into arguments.

    Args:
        *layers: The layers.

    Examples:
        >>> model = jaxchain.Sequential(L.Linear(None, 8), F.relu, L.Linear(8, 3))
        >>> model(np.ones((2, 5), np.float32)).shape
        (2, 3)
    """

    __slots__ = ("_layers",)
    _walk_slots = (*Link._walk_slots, "_layers", "_children")

    def __init__(self, *layers: Callable[..., Any]) -> None:
        super().__init__()
        self._layers: list[Any] = []
        for layer in layers:
            self.append(layer)

    def forward(self, *x: Any) -> Any:
        """Call the layers one after the other.

        Args:
            *x: Arguments of the first layer.

        Returns:
            What the last layer returns.

        Raises:
            RuntimeError: There is no layer.
        """
        if not self._layers:
            raise RuntimeError("Sequential does not have any layer.")
        value: Any = x
        for layer in self._layers:
            value = layer(*value) if isinstance(value, tuple) else layer(value)
        return value

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._layers)

    def __reversed__(self) -> Iterator[Any]:
        return reversed(self._layers)

    def __contains__(self, item: Any) -> bool:
        return item in self._layers

    def __getitem__(self, index: Any) -> Any:
        """Return a layer, or a list of them."""
        return self._layers[index]

    def __setitem__(self, index: int, layer: Any) -> None:
        if index >= len(self):
            raise ValueError(f"{index} should be less than {len(self)}")
        _check_callable(layer)
        if self._layers[index] is not layer:
            del self[index]
            self.insert(index, layer)

    def __delitem__(self, index: Any) -> None:
        gone = self._layers[index]
        del self._layers[index]
        for layer in gone if isinstance(index, slice) else [gone]:
            if isinstance(layer, Link) and not any(layer is other for other in self._layers):
                self._children = [child for child in self._children if child is not layer]
        self._rename()

    def __add__(self, other: Any) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"add (+) operator supports only objects of Sequential class, but {type(other)} is given.")
        return Sequential(*self, *other)

    def __iadd__(self, other: Any) -> Self:  # type: ignore[override, misc]
        if not isinstance(other, Sequential):
            raise ValueError(f"add (+) operator supports only objects of Sequential class, but {type(other)} is given.")
        self.extend(other)
        return self

    def append(self, layer: Callable[..., Any]) -> None:  # type: ignore[override]
        """Add a layer at the end.

        Args:
            layer: The layer.
        """
        self.insert(len(self), layer)

    def extend(self, sequential: Iterable[Callable[..., Any]]) -> None:  # type: ignore[override]
        """Add layers at the end.

        Args:
            sequential: The layers: a `Sequential`, or any others.
        """
        for layer in list(sequential):
            self.append(layer)

    def insert(self, i: int, layer: Callable[..., Any]) -> None:  # type: ignore[override]
        """Insert a layer.

        Args:
            i: Where.
            layer: The layer.

        Raises:
            IndexError: There is no such place.
            ValueError: It is not callable.
        """
        n = len(self._layers)
        if not -n <= i <= n:
            raise IndexError(f"Index out of range: {i}")
        if i < 0:
            i += n
        _check_callable(layer)
        self._layers.insert(i, layer)
        if isinstance(layer, Link):
            # Chainer's numbering, which its files have: a new link goes behind the first one, so that the links of
            # Sequential(a, b, c) are called 0, 2, 1.
            before = [j for j in range(i) if isinstance(self._layers[j], Link)]
            place = 0 if i == 0 else (before[0] if before else 0) + 1
            self._children.insert(place, layer)
            self._rename()

    def remove(self, layer: Any) -> None:  # type: ignore[override]
        """Remove the first layer that equals `layer`.

        Args:
            layer: The layer.

        Raises:
            ValueError: There is none.
        """
        if layer not in self:
            raise ValueError(f"There is no layer object that is same as {layer}")
        del self[self.index(layer)]

    def remove_by_layer_type(self, type_name: str) -> None:
        """Remove the layers of one kind.

        Args:
            type_name: Class name of a link, or name of a function.
        """
        for layer in [layer for layer in self if _type_name(layer) == type_name]:
            self.remove(layer)

    def pop(self, i: int = -1) -> Any:  # type: ignore[override]
        """Remove a layer and return it.

        Args:
            i: Which.
        """
        layer = self._layers[i]
        del self[i]
        return layer

    def clear(self) -> None:
        """Remove every layer."""
        self._layers, self._children = [], []

    def index(self, layer: Any, start: int | None = None, end: int | None = None) -> int:  # type: ignore[override]
        """Return the index of a layer, counted from `start`.

        Args:
            layer: The layer.
            start: First index to look at.
            end: End of the indices to look at.
        """
        return self._layers[start:end].index(layer)

    def count(self, layer: Any) -> int:  # type: ignore[override]
        """Return how often a layer occurs.

        Args:
            layer: The layer.
        """
        return self._layers.count(layer)

    def count_by_layer_type(self, type_name: str) -> int:
        """Return how many layers of one kind there are.

        Args:
            type_name: Class name of a link, or name of a function.
        """
        return sum(_type_name(layer) == type_name for layer in self._layers)

    def copy(self, mode: str = "share") -> Sequential:  # type: ignore[override]
        """Copy the layers: links by their `copy(mode)`, other callables shallowly.

        Args:
            mode: As for `Link.copy`.
        """
        return Sequential(*(layer.copy(mode) if isinstance(layer, Link) else copy.copy(layer) for layer in self))

    def copyparams(self, link: Link, copy_persistent: bool = True) -> None:
        """Take over the parameter arrays of another `Sequential` of the same structure.

        Args:
            link: The one to take from.
            copy_persistent: Also take its persistent values.

        Raises:
            ValueError: It is not a `Sequential`.
        """
        if not isinstance(link, Sequential):
            raise ValueError("Objects other than Sequential object cannot be copied to a Sequential object.")
        for mine, other in zip(self, link, strict=False):
            if isinstance(mine, Link):
                mine.copyparams(other, copy_persistent)

    def flatten(self) -> Sequential:
        """Return one `Sequential` of the layers of this one and of those in it."""
        flat = Sequential()
        for layer in self:
            flat.extend(layer.flatten() if isinstance(layer, Sequential) else [layer])
        return flat

    def _with_children(self, link: Any, do: Callable[[Link, Link], None]) -> None:
        for mine, other in zip(self._children, link._children, strict=True):
            do(mine, other)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if any(getattr(layer, "__name__", None) == "<lambda>" for layer in self._layers):
            raise ValueError(
                "This Sequential object has at least one lambda function as its component. Lambda function can not be "
                "pickled, so please consider to use functools.partial instead."
            )
        return super().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = memo[id(self)] = type(self).__new__(type(self))
        attributes, slots = copy.deepcopy(self.__getstate__(), memo)
        copied.__dict__.update(attributes)
        for name, value in slots.items():
            object.__setattr__(copied, name, value)
        return copied

    def __str__(self) -> str:
        return f"{type(self).__name__}({indented((i, _layer_text(layer)) for i, layer in enumerate(self))})"


def _check_callable(layer: Any) -> None:
    if not callable(layer):
        raise ValueError(f"All elements of a Sequential class should be callable. But given {layer} is not callable.")


def _type_name(layer: Any) -> str:
    return type(layer).__name__ if isinstance(layer, Link) else getattr(layer, "__name__", type(layer).__name__)


def _layer_text(layer: Any) -> str:
    typed = getattr(getattr(layer, "__code__", None), "co_filename", "<") == "<string>"  # Python 3.13 gives `-c`'s text
    if getattr(layer, "__name__", None) == "<lambda>" and not typed:
        with contextlib.suppress(OSError):  # typed at a prompt, it has no source
            return inspect.getsource(layer).strip().rstrip(",")
    return str(layer)
