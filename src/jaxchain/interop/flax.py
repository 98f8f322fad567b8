"""Models to Flax and back: a chain as an `nnx.Module`, an `nnx.Module` as a chain, weights included."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxchain.core.attempt import borrowed
from jaxchain.core.config import force_backprop_mode, using_config
from jaxchain.core.parameter import Parameter
from jaxchain.core.random import next_init_rng
from jaxchain.core.trace import Trace
from jaxchain.core.variable import Variable, on_tape
from jaxchain.link import Link
from jaxchain.links.flax_function import FlaxFunction as FlaxFunction
from jaxchain.links.parameter_tree import free_name


class _ChainTrace(Trace):
    """What ops and links see while a chain runs inside a transformation of Flax or JAX.

    Args:
        parameters: The parameters of the chain.
        rngs: Where random keys come from.
    """

    by_jax = True

    def __init__(self, parameters: list[Parameter], rngs: Any) -> None:
        super().__init__({id(p) for p in parameters}, None, ())
        self.rngs = rngs

    def next_key(self) -> Any:
        """Return the next key; the first draws from Flax's stream."""
        if self.key is None:
            words = jax.random.key_data(self.rngs.dropout()).ravel()[:2]
            self.key = jnp.concatenate([words, jnp.zeros(1, words.dtype)])
        return super().next_key()


class _Structure:
    """The chain behind a module, and which variable of the module each of its cells is.

    Args:
        chain: The chain.
    """

    def __init__(self, chain: Link) -> None:
        self.chain = chain
        self.cells: list[tuple[Link, str, tuple[str, ...]]] = []

    def forward(self, module: Any, args: Any, kwargs: Any) -> Any:
        """Call the chain with the module's variables in its cells, and take over what it writes."""
        from flax import nnx

        with borrowed(self.chain, lambda parameters: _ChainTrace(parameters, module.rngs)):
            written = []
            for link, name, path in self.cells:
                variable = _at(module, path)
                cell = link._home(name)[name]
                if isinstance(cell, Parameter):
                    cell._array = variable[...]
                else:
                    value = link._home(name)[name] = variable[...]
                    written.append((link, name, variable, value))
            train = not module.deterministic
            with using_config("train", train), force_backprop_mode():
                out = self.chain(*args, **kwargs)
            for link, name, variable, value in written:
                new = link._home(name)[name]
                if new is not value and isinstance(variable, nnx.Variable):
                    variable[...] = new
        return jax.tree_util.tree_map(on_tape, out, is_leaf=lambda v: isinstance(v, Variable))


@functools.cache
def _classes() -> tuple[type, type]:
    """Return the module of a chain and of the links in it; Flax is imported now."""
    from flax import nnx

    class LinkModule(nnx.Module):
        """Variables of a link inside a chain."""

    class ChainModule(nnx.Module):
        """A chain of jaxchain as a module of Flax."""

        def __init__(self, structure: _Structure, rngs: Any) -> None:
            self.structure = structure
            self.rngs = rngs
            self.deterministic = False

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self.structure.forward(self, args, kwargs)

    return ChainModule, LinkModule


def _at(module: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        module = getattr(module, name)
    return module


def to_nnx(chain: Link, rngs: Any = None) -> Any:
    """Return an `nnx.Module` that computes what a chain computes, with a copy of its weights.

    Parameters become `nnx.Param`, persistent arrays `nnx.BatchStat`, under the names that they have in the chain
    (``module.l1.W``; an underscore is added to a name that modules use themselves). The module can be transformed and
    trained by Flax: ``nnx.jit``, ``nnx.grad``, `nnx.Optimizer`. ``module.train()`` and ``module.eval()`` stand for
    ``config.train``. Gradients are those of `backward`, also where ``x.array`` or `Variable.unchain` cut the graph.
    State that is neither parameter nor persistent (an LSTM's ``h``) is not carried from call to call.

    Args:
        chain: The link. All of its parameters must be initialised.
        rngs: `nnx.Rngs` that random functions draw from, or a seed. None: a seed from jaxchain's stream.

    Returns:
        The module. It takes and returns arrays.

    Raises:
        TypeError: `chain` is not a link.
        ValueError: A parameter is not initialised.

    Examples:
        >>> from jaxchain.interop.flax import to_nnx
        >>> module = to_nnx(jaxchain.Sequential(L.Linear(3, 2), F.relu))
        >>> module(np.ones((4, 3), np.float32)).shape
        (4, 2)
    """
    from flax import nnx

    if not isinstance(chain, Link):
        raise TypeError(f"to_nnx: expected a link, got {type(chain).__name__}")
    missing = [path for path, p in chain.namedparams() if p.array is None]
    if missing:
        raise ValueError(f"to_nnx: parameters {', '.join(missing)} are not initialised: call the chain once before")
    if rngs is None:
        rngs = int(next_init_rng().randint(2**31))
    structure = _Structure(chain.copy())
    root, inner = _classes()
    module = root(structure, nnx.Rngs(rngs) if isinstance(rngs, int) else rngs)
    places: dict[str, tuple[str, ...]] = {"/": ()}
    seen: set[int] = set()
    for path, link in structure.chain.namedlinks():
        if path != "/":
            parent, _, name = path.rpartition("/")
            owner = _at(module, places[parent or "/"])
            name = free_name(owner, name)
            setattr(owner, name, inner())
            places[path] = (*places[parent or "/"], name)
        for name in sorted(link._params | link._persistent):
            value = link._home(name)[name]
            if id(value) in seen or not isinstance(value, Parameter | jax.Array):
                continue
            seen.add(id(value))
            owner = _at(module, places[path])
            variable = nnx.Param(value.array) if isinstance(value, Parameter) else nnx.BatchStat(value)
            own = free_name(owner, name)
            setattr(owner, own, variable)
            structure.cells.append((link, name, (*places[path], own)))
    return module


def from_nnx(module: Any) -> Link:
    """Return a link with the weights of an `nnx.Module`.

    Args:
        module: A module that `to_nnx` returned, also one trained, cloned or merged since: the result is a copy of its
            chain. Any other module becomes a `FlaxFunction`.

    Returns:
        The link. The module stays as it is.

    Raises:
        TypeError: `module` is not an `nnx.Module`.
    """
    from flax import nnx

    if not isinstance(module, nnx.Module):
        raise TypeError(f"from_nnx: expected a module of flax.nnx, got {type(module).__name__}")
    if not isinstance(module, _classes()[0]):
        return FlaxFunction(module)
    structure: _Structure = module.structure  # type: ignore[attr-defined]
    chain = structure.chain.copy()
    links = {id(old): new for old, new in zip(structure.chain.links(), chain.links(), strict=True)}
    for link, name, path in structure.cells:
        own, value = links[id(link)], _at(module, path)[...]
        if isinstance(own._home(name)[name], Parameter):
            own._home(name)[name].array = value
        else:
            own._home(name)[name] = value
    return chain
