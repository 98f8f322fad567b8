"""A Flax module, linen or nnx, as a link. Flax is imported when the first one is made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.arrays import ARRAY_LIKE
from jaxchain.core.config import config, thread_state
from jaxchain.core.op import Array, op
from jaxchain.core.random import as_key, next_init_rng, next_key
from jaxchain.core.variable import Variable, as_array
from jaxchain.functions.noise import NO_KEY
from jaxchain.link import Link
from jaxchain.links.parameter_tree import PARAM, STATE, Key_, ParameterTree

FLAGS = {  # arguments of modules that say whether they train: their values by config.train
    "train": lambda train: train,
    "training": lambda train: train,
    "is_training": lambda train: train,
    "deterministic": lambda train: not train,
    "use_running_average": lambda train: not train,
}


class FlaxFunction(ParameterTree):
    """A Flax module as a link: its parameters are the chain's, and it trains, saves and shows like any other.

    Parameters are named by their paths in the module (``/Dense_0/kernel``), other variables, as the statistics of
    ``BatchNorm``, are persistent values that are updated in training mode. Random streams (dropout) draw from
    jaxchain's stream. ``config.train`` decides about training: it is given to arguments of a linen module called
    ``train``, ``training``, ``is_training``, ``deterministic`` and ``use_running_average`` that the caller leaves out,
    and calls ``train()`` or ``eval()`` on an nnx module. In the graph the whole module is one function.

    Args:
        module: A `flax.linen.Module` or a `flax.nnx.Module`. The link takes its own copy of an nnx module's weights.
        inputs: Arguments to make the parameters of a linen module with, arrays or `jax.ShapeDtypeStruct`. Without
            them they are made in the first call, which must then be an eager one.
        variables: Variables of a linen module that are there already, e.g. trained ones.
        rngs: Names of the random streams that a linen module draws from in training.
        kwargs: Arguments by name that go with `inputs`.

    Raises:
        TypeError: `module` is no Flax module.

    Attributes:
        module: The linen module, or the graph definition of the nnx module.

    Examples:
        >>> from flax import linen
        >>> dense = L.FlaxFunction(linen.Dense(2), np.zeros((1, 3), np.float32))
        >>> [(path, p.shape) for path, p in dense.namedparams()]
        [('/bias', (2,)), ('/kernel', (3, 2))]
        >>> dense(np.ones((4, 3), np.float32)).shape
        (4, 2)
    """

    def __init__(
        self,
        module: Any,
        *inputs: Any,
        variables: Mapping[str, Any] | None = None,
        rngs: Sequence[str] = ("dropout",),
        **kwargs: Any,
    ) -> None:
        super().__init__()
        from flax import linen, nnx

        if isinstance(module, nnx.Module):
            if inputs or variables is not None or kwargs:
                raise TypeError("FlaxFunction: an nnx module has its parameters: expected no inputs and no variables")
            self._flax: Any = NnxModule(module)
            self._register(self._flax.leaves, self._flax.path)
        elif isinstance(module, linen.Module):
            self._flax = LinenModule(module, tuple(rngs))
            if variables is not None:
                self._register(self._flax.flatten(variables), self._flax.path)
            elif inputs or kwargs:
                self._register(self._flax.init(inputs, kwargs), self._flax.path)
        else:
            raise TypeError(f"FlaxFunction: expected a module of flax.linen or flax.nnx, got {type(module).__name__}")

    @property
    def module(self) -> Any:
        """The linen module, or the graph definition of the nnx module."""
        return self._flax.module

    @property
    def printable_specs(self) -> Iterator[tuple[str, Any]]:
        """Name and value of each argument, for `str(link)`."""
        yield "module", self._flax.label

    def __str__(self) -> str:
        return Link.__str__(self)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module.

        Args:
            *args: What the module takes: arrays and Variables, in containers too, become inputs of the graph.
                Everything else is static and must be hashable.
            **kwargs: The same by name.

        Returns:
            What the module returns, with Variables in the place of arrays.

        Raises:
            RuntimeError: The parameters have not been made, and the call is traced: it runs eagerly then, and says so.
        """
        train = bool(config.train)
        kwargs = {**self._flax.flags(train, args, kwargs), **kwargs}
        if not self._layout:
            if thread_state().trace is not None:
                raise RuntimeError(
                    f"FlaxFunction: the parameters of {self._flax.label} have not been made. Give it example inputs, "
                    "FlaxFunction(module, x), or call it once in eager mode"
                )
            self._register(self._flax.init(args, kwargs), self._flax.path)
        leaves, tree = jax.tree_util.tree_flatten((args, kwargs), is_leaf=lambda v: v is None)
        arrays = [x for x in leaves if isinstance(x, (Variable, *ARRAY_LIKE))]
        static = tuple(INPUT if isinstance(x, (Variable, *ARRAY_LIKE)) else x for x in leaves)
        params, cells = self._cells()
        state = [as_array(owner._home(name)[name]) for owner, name in cells]
        key = next_key() if train and self._flax.draws else NO_KEY
        structure = (self._layout, tree, static)
        outputs = self._flax.call(params, arrays, [*state, key], structure, train)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        out_tree = self._flax.out_trees[structure, train]
        count = out_tree.num_leaves
        if train and not config.in_recomputing:
            for (owner, name), new in zip(cells, outputs[count:], strict=True):
                owner._home(name)[name] = new.array
        return jax.tree_util.tree_unflatten(out_tree, outputs[:count])

    def to_flax(self) -> Any:
        """Return the weights as Flax has them: the variables of a linen module, or a new nnx module."""
        params, cells = self._cells()
        values = iter([p.array for p in params])
        others = iter([owner._home(name)[name] for owner, name in cells])
        return self._flax.unflatten(
            {key: next(values) if kind == PARAM else next(others) for kind, key, _, _ in self._layout}
        )


class _Input:
    """Stands for an array among static arguments."""

    def __repr__(self) -> str:
        return "array"

    def __reduce__(self) -> str:
        return "INPUT"


INPUT = _Input()


class FlaxModule:
    """A Flax module as a pure function of its variables. Subclasses know linen and nnx."""

    _opaque = True  # nothing in here changes: static mode does not look inside
    module: Any
    label: str
    draws: bool

    def __init__(self) -> None:
        self.out_trees: dict[Any, Any] = {}
        self._call: Callable[..., Any] | None = None

    @property
    def call(self) -> Callable[..., Any]:
        """The op: parameters, inputs, state and a key, structure, train -> outputs and new state."""
        if self._call is None:
            self._call = op(label=self.label, name=self.label)(self._function())
        return self._call

    def _function(self) -> Callable[..., Any]:
        def flax_module(
            params: Sequence[Array], inputs: Sequence[Array], state: Sequence[Array], structure: Any, train: bool
        ) -> Any:
            layout, tree, static = structure
            *others, key = state  # no `Key` parameter: whether the module draws, and its gradient, only Flax knows
            rest, values, persistent = iter(inputs), iter(params), iter(others)
            args, kwargs = jax.tree_util.tree_unflatten(tree, [next(rest) if x is INPUT else x for x in static])
            variables = {k: next(values) if kind == PARAM else next(persistent) for kind, k, _, _ in layout}
            out, new = self.apply(variables, key, train, args, kwargs)
            leaves, self.out_trees[structure, train] = jax.tree_util.tree_flatten(out)
            return (*map(jnp.asarray, leaves), *(new[k] for kind, k, _, _ in layout if kind == STATE and train))

        return flax_module

    def __deepcopy__(self, memo: Any) -> FlaxModule:
        return self  # all that changes is what it remembers of calls

    def __getstate__(self) -> Any:
        return {**self.__dict__, "out_trees": {}, "_call": None}

    def path(self, key: Key_) -> tuple[str, ...]:
        """Return the names of the links and of the attribute of a leaf."""
        return key

    def flags(self, train: bool, args: Any, kwargs: Any) -> dict[str, Any]:
        """Return arguments that say whether the module trains, where it takes them."""
        return {}

    def apply(self, variables: Mapping[Key_, Any], key: Any, train: bool, args: Any, kwargs: Any) -> Any:
        """Return (result, new variables by key)."""
        raise NotImplementedError

    def unflatten(self, variables: Mapping[Key_, Any]) -> Any:
        """Return variables as Flax has them."""
        raise NotImplementedError


class LinenModule(FlaxModule):
    """A linen module.

    Args:
        module: The module.
        rngs: Names of its random streams.
    """

    def __init__(self, module: Any, rngs: tuple[str, ...]) -> None:
        super().__init__()
        self.module, self.rngs = module, rngs
        self.label, self.draws = type(module).__name__, bool(rngs)
        parameters = inspect.signature(type(module).__call__).parameters
        self._flags = [(name, list(parameters).index(name) - 1) for name in FLAGS if name in parameters]

    def path(self, key: Key_) -> tuple[str, ...]:
        """Return the key without its collection."""
        return key[1:]

    def flags(self, train: bool, args: Any, kwargs: Any) -> dict[str, Any]:
        """Return the flags that the caller left out."""
        return {name: FLAGS[name](train) for name, at in self._flags if name not in kwargs and at >= len(args)}

    def flatten(self, variables: Any) -> dict[Key_, tuple[str, Any]]:
        """Return (kind, array) of each variable by collection and path."""
        from flax import linen
        from flax.traverse_util import flatten_dict

        flat = flatten_dict(linen.meta.unbox(dict(variables)))
        return {tuple(map(str, k)): (PARAM if k[0] == "params" else STATE, v) for k, v in flat.items()}

    def unflatten(self, variables: Mapping[Key_, Any]) -> Any:
        """Return the variables by collection, as nested dictionaries."""
        from flax.traverse_util import unflatten_dict

        return unflatten_dict(dict(variables))

    def init(self, args: Any, kwargs: Any) -> dict[Key_, tuple[str, Any]]:
        """Return new variables for example arguments."""
        seeds = next_init_rng().randint(2**32, size=(1 + len(self.rngs), 2), dtype=np.uint32)
        keys = [jax.random.wrap_key_data(jnp.asarray(seed), impl="threefry2x32") for seed in seeds]
        is_struct = lambda v: isinstance(v, jax.ShapeDtypeStruct | Variable)  # noqa: E731
        args, kwargs = jax.tree_util.tree_map(
            lambda v: jnp.zeros(v.shape, v.dtype) if is_struct(v) else v, (args, kwargs), is_leaf=is_struct
        )
        kwargs = {**self.flags(False, args, kwargs), **kwargs}
        rngs = dict(zip(("params", *self.rngs), keys, strict=True))
        variables = self.flatten(self.module.init(rngs, *args, **kwargs))
        return {k: v for k, v in variables.items() if k[0] not in ("intermediates", "perturbations")}

    def apply(self, variables: Mapping[Key_, Any], key: Any, train: bool, args: Any, kwargs: Any) -> Any:
        """Return (result, new variables by key)."""
        collections = sorted({k[0] for k in variables} - {"params"})
        rngs = {name: jax.random.fold_in(as_key(key), i) for i, name in enumerate(self.rngs)} if train else {}
        nested = self.unflatten(variables)
        if not train or not collections:
            return self.module.apply(nested, *args, rngs=rngs, **kwargs), {}
        out, new = self.module.apply(nested, *args, rngs=rngs, mutable=collections, **kwargs)
        return out, {k: v for k, (_, v) in self.flatten(new).items()}


class NnxModule(FlaxModule):
    """An nnx module.

    Args:
        module: The module; it stays as it is.
    """

    def __init__(self, module: Any) -> None:
        from flax import nnx

        super().__init__()
        self.label = type(module).__name__
        self.module, state = nnx.split(module)
        flat = dict(nnx.to_flat_state(state))
        self.keys = {path: tuple(map(str, path)) for path in flat}
        self.variables = flat
        self.random = {p: v for p, v in flat.items() if isinstance(v, nnx.RngState)}
        self.draws = bool(self.random)
        self.leaves = {
            self.keys[p]: (PARAM if isinstance(v, nnx.Param) else STATE, v[...])
            for p, v in flat.items()
            if p not in self.random
        }
        self.graphs = {}
        for train in (False, True):
            copied = nnx.merge(self.module, state)
            (copied.train if train else copied.eval)()
            self.graphs[train] = nnx.split(copied)[0]

    def _merge(self, graph: Any, values: Mapping[Key_, Any], random: Mapping[Any, Any]) -> Any:
        from flax import nnx

        flat = {p: v.replace(random[p] if p in random else values[self.keys[p]]) for p, v in self.variables.items()}
        return nnx.merge(graph, nnx.from_flat_state(flat))

    def apply(self, variables: Mapping[Key_, Any], key: Any, train: bool, args: Any, kwargs: Any) -> Any:
        """Return (result, new variables by key)."""
        from flax import nnx

        random = {p: v[...] for p, v in self.random.items()}
        if train:
            for i, (path, v) in enumerate(self.random.items()):
                if isinstance(v, nnx.RngKey):
                    bits = jax.random.key_data(jax.random.fold_in(as_key(key), i))
                    like = random[path]
                    if jax.random.key_data(like).shape != bits.shape:
                        bits = jax.random.bits(as_key(key), jax.random.key_data(like).shape, jnp.uint32)
                    random[path] = jax.random.wrap_key_data(bits, impl=jax.random.key_impl(like))
                else:
                    random[path] = jnp.zeros_like(random[path])
        module = self._merge(self.graphs[train], variables, random)
        out = module(*args, **kwargs)
        flat = dict(nnx.to_flat_state(nnx.state(module)))
        return out, {self.keys[p]: v[...] for p, v in flat.items() if p in self.keys and p not in self.random}

    def unflatten(self, variables: Mapping[Key_, Any]) -> Any:
        """Return a new module."""
        return self._merge(self.module, variables, {p: v[...] for p, v in self.random.items()})
