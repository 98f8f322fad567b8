"""Programs compiled to compute what eager mode computes, on whatever device their arguments are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
from jax.extend.backend import backends

# The compiler would leave out a cast to float16 and back: the static result would not be the eager one.
EXACT = {"xla_allow_excess_precision": False}
# The CPU's compiler would drop barriers before it fuses: what stands behind one would be computed twice, differently.
# The GPU's drops them after that, with the same pass, without which it has no code for them.
KEEP_BARRIERS = {"xla_disable_hlo_passes": "cse_barrier_expander"}


def has_only_cpus() -> bool:
    """Return whether JAX has no other devices than CPUs."""
    return set(backends()) <= {"cpu"}


def devices_of(values: Iterable[Any]) -> list[set[Any]]:
    """Return the devices that arrays are bound to: more than one entry, and no program can take all of them."""
    bound = {frozenset(v.devices()): v.devices() for v in values if isinstance(v, jax.Array) and v.committed}
    return list(bound.values())


def exact_jit(function: Callable[..., Any], **options: Any) -> Any:
    """Return `jax.jit(function, **options)`, compiled to compute what eager mode computes."""
    on_cpu = jax.jit(function, compiler_options=EXACT | KEEP_BARRIERS, **options)
    if has_only_cpus():
        return on_cpu
    return ByPlatform(on_cpu, jax.jit(function, compiler_options=EXACT, **options))


class ByPlatform:
    """A jitted function where there are other devices than CPUs: the compiler's options depend on the device.

    Args:
        on_cpu: The function, jitted for a CPU.
        elsewhere: The same, jitted for other devices.
    """

    def __init__(self, on_cpu: Any, elsewhere: Any) -> None:
        self.on_cpu, self.elsewhere = on_cpu, elsewhere
        self.__wrapped__ = elsewhere.__wrapped__

    def __call__(self, *args: Any) -> Any:
        """Run it where its arguments are."""
        return self.placed(args)(*args)

    def lower(self, *args: Any) -> Any:
        """Lower it for the device where its arguments are."""
        return self.placed(args).lower(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.elsewhere, name)  # what is the same everywhere: `trace`, `eval_shape`

    def placed(self, args: Sequence[Any]) -> Any:
        """Return the function for the device that the arguments are bound to, or else for the default one."""
        for value in args:
            if getattr(value, "committed", False):
                return self.on_cpu if next(iter(value.devices())).platform == "cpu" else self.elsewhere
        default = jax.config.jax_default_device or jax.default_backend()  # type: ignore[attr-defined]
        return self.on_cpu if getattr(default, "platform", default) == "cpu" else self.elsewhere
