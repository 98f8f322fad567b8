"""Compiling before the first call, and keeping what was compiled."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxchain.core import cache
from jaxchain.core.exact import exact_jit
from jaxchain.core.variant import Variant

MEMORY = {
    "arguments": "argument_size_in_bytes",
    "results": "output_size_in_bytes",
    "shared": "alias_size_in_bytes",
    "temporary": "temp_size_in_bytes",
    "code": "generated_code_size_in_bytes",
}


class Lowered:
    """A static callable traced and lowered for given shapes, not compiled yet.

    Args:
        call: The static callable.
        variant: Its variant for these shapes.
    """

    def __init__(self, call: Callable[..., Any], variant: Variant) -> None:
        self.call, self.variant = call, variant
        self._stages = variant.lowered(variant.programs())

    def as_text(self) -> str:
        """Return the program as StableHLO; a link's backward pass follows its forward pass."""
        return "\n".join(stage.as_text() for stage in self._stages)

    def cost_analysis(self) -> Any:
        """Return XLA's estimate of the cost of the program: FLOPs, bytes accessed. On a GPU it has to be compiled."""
        found = self._stages[0].cost_analysis()
        return self.compile().cost_analysis() if found is None else found

    def compile(self) -> Compiled:
        """Compile it. Calls on such arguments then find it compiled."""
        return Compiled(self.call, [stage.compile() for stage in self._stages])


class Compiled:
    """A static callable compiled for given shapes.

    Args:
        call: The static callable.
        stages: The compiled programs: the call's, and for a link that of its backward pass.
    """

    def __init__(self, call: Callable[..., Any], stages: Sequence[Any]) -> None:
        self.call, self._stages = call, stages

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, as the static callable is called."""
        return self.call(*args, **kwargs)

    def as_text(self) -> str:
        """Return the optimised HLO; a link's backward pass follows its forward pass."""
        return "\n".join(stage.as_text() for stage in self._stages)

    def cost_analysis(self) -> Any:
        """Return XLA's estimate of the cost of the optimised program."""
        return self._stages[0].cost_analysis()

    def memory_analysis(self) -> dict[str, int]:
        """Return the bytes of arguments, results, what both share (donated buffers), temporaries and code."""
        return memory_of(self._stages[0])


def memory_of(compiled: Any) -> dict[str, int]:
    """Return the memory of a compiled program in bytes, by what takes it; empty where XLA does not say."""
    analysis = compiled.memory_analysis()
    return {} if analysis is None else {name: int(getattr(analysis, field)) for name, field in MEMORY.items()}


def save(variants: Iterable[Variant], folder: str | os.PathLike[str]) -> int:
    """Write the compiled programs of variants into a cache folder; return how many they are.

    Raises:
        StaticError: Others can write to the folder, or it cannot be made.
    """
    count = 0
    with cache.redirected(Path(folder)):
        for variant in variants:
            for lowered in variant.lowered(_fresh(variant)):
                lowered.compile()
                count += 1
    return count


def _fresh(variant: Variant) -> Iterator[tuple[Any, Sequence[Any]]]:
    """Return the programs of a variant as functions that JAX has not compiled yet."""
    for jitted, specs in variant.programs():
        function = jitted.__wrapped__

        def call(*args: Any, _function: Callable[..., Any] = function) -> Any:
            return _function(*args)

        call.__name__ = call.__qualname__ = function.__name__
        donated = tuple(variant.donated) if jitted is variant.compiled else ()
        yield exact_jit(call, donate_argnums=donated), specs
