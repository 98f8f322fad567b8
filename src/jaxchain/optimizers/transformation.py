"""Any optax transformation as an optimizer: one state for all parameters, updated in one compiled call."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxchain.core.arrays import from_numpy, plain_number, zeros
from jaxchain.core.config import lock, thread_state
from jaxchain.core.interrupts import whole
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable
from jaxchain.link import Link
from jaxchain.optimizers.compiled import apply_hooks, call_update, hooks_of, scale_of_each, scales_apart, unscaled
from jaxchain.optimizers.gradient_method import GradientMethod
from jaxchain.optimizers.hooks import Hooks
from jaxchain.optimizers.update_rule import Loader, UpdateRule

COUNT = "count"  # the leaf of a transformation that has no state: what an update leaves behind


class OptaxRule(UpdateRule):
    """The part of an `Optax` optimizer that belongs to one parameter: hooks, and whether it is updated.

    Args:
        optimizer: The optimizer.
        path: Path of the parameter.
    """

    def __init__(self, optimizer: Optax | None = None, path: str = "") -> None:
        super().__init__()
        self.path = path
        self._optimizer: Any = (lambda: None) if optimizer is None else weakref.ref(optimizer)

    @property
    def state(self) -> dict[str, Any] | None:  # type: ignore[override] - made by the optimizer
        """State of the whole transformation, by leaf; None before the first update."""
        optimizer = self._optimizer()
        return optimizer._leaves if optimizer is not None and self.path in optimizer._names else None

    def _is_pure(self) -> bool:
        hooks = self._status.hooks
        return hooks is None or not (hooks.pre or hooks.post)

    def _begin(self, param: Parameter) -> Callable[[], None] | None:
        optimizer = self._optimizer()
        if optimizer is None or self.state is not None:
            return None
        before = {k: optimizer.__dict__[k] for k in ("_names", "_leaves", "_owners", "_tree", "_injected")}

        def undo() -> None:
            optimizer.__dict__.update(before)

        optimizer._prepare()
        if self.state:
            return undo
        undo()
        return None

    def update(self, param: Parameter) -> None:
        """Refuse to update one parameter: the transformation sees all of them.

        Args:
            param: The parameter.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError("Optax: a transformation updates all parameters at once: call optimizer.update()")

    def __getstate__(self) -> Any:
        return {k: v for k, v in self.__dict__.items() if k != "_optimizer"}

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state, _optimizer=lambda: None)  # a copy of a parameter has no optimizer


class InjectedHyperparameters:
    """The numbers that `optax.inject_hyperparams` put into a state, as attributes.

    Args:
        optimizer: The optimizer.
    """

    __slots__ = ("_optimizer",)

    def __init__(self, optimizer: Optax) -> None:
        object.__setattr__(self, "_optimizer", optimizer)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self._optimizer._injected:
            raise AttributeError(
                f"hyperparameter {name!r} is not set: injected by optax.inject_hyperparams are "
                f"{sorted(self._optimizer._injected) or 'none'}"
            )
        return plain_number(self._optimizer._leaves[self._optimizer._injected[name][0]])

    def __setattr__(self, name: str, value: Any) -> None:
        getattr(self, name)
        leaves = self._optimizer._leaves
        for key in self._optimizer._injected[name]:
            with jax.ensure_compile_time_eval():
                leaves[key] = jnp.asarray(value, leaves[key].dtype)

    def __repr__(self) -> str:
        return f"InjectedHyperparameters({', '.join(f'{k}={v}' for k, v in self.get_dict().items())})"

    def get_dict(self) -> dict[str, Any]:
        """Return every value by name."""
        return {name: getattr(self, name) for name in sorted(self._optimizer._injected)}


class Optax(GradientMethod):
    """Any optax transformation as an optimizer, e.g. ``Optax(optax.lion(1e-3)).setup(model)``.

    The transformation is given all parameters and gradients in a dictionary by path, as `Link.namedparams` names them
    (``"/l1/W"``): global ones (`optax.clip_by_global_norm`) see the whole model, masks and labels can tell parameters
    apart by name. Its state is made at the first update, and saved and loaded with the optimizer. Parameters that are
    disabled (`Link.disable_update`) have zero gradients for it, and keep their values and their part of the state.

    Numbers made adjustable by `optax.inject_hyperparams` are attributes: ``optimizer.learning_rate = 0.1``, and ``lr``
    stands for ``learning_rate``, so that extensions like `ExponentialShift` work on them. No new value compiles.

    Transformations that take the loss (`optax.contrib.reduce_on_plateau`) get it from ``update(lossfun, ...)``, or as
    ``update(value=loss)``.

    Args:
        transformation: The transformation, or an `optax.MultiSteps` around one.

    Attributes:
        transformation: The transformation.

    Raises:
        TypeError: It is not a transformation.

    Examples:
        >>> import optax
        >>> model = L.Linear(3, 2)
        >>> rule = optax.chain(optax.clip_by_global_norm(1.0), optax.inject_hyperparams(optax.lion)(learning_rate=0.1))
        >>> optimizer = jaxchain.optimizers.Optax(rule).setup(model)
        >>> optimizer.update(lambda: F.sum(model(np.ones((4, 3), np.float32)) ** 2))
        >>> optimizer.lr = 0.01
        >>> round(optimizer.learning_rate, 4)
        0.01
    """

    def __init__(self, transformation: Any) -> None:
        if isinstance(transformation, optax.MultiSteps):
            transformation = transformation.gradient_transformation()
        if not isinstance(transformation, optax.GradientTransformation):
            raise TypeError(
                "Optax: expected an optax.GradientTransformation, e.g. optax.adam(1e-3), "
                f"got {type(transformation).__name__}"
            )
        self._injected: dict[str, list[str]] = {}
        self.transformation = transformation
        self._value: Any = None
        self._start()
        super().__init__()

    # -- state -------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Start without parameters: hyperparameters are there, to be read and set."""
        self._names: tuple[str, ...] = ()
        self._leaves: dict[str, Any] = {}
        self._owners: tuple[str | None, ...] = ()  # whose leaf each is
        self._tree: Any = None
        try:
            self._make({})
        except Exception:  # an init that needs parameters: what it injects is known from the first update on
            self._names = ()

    def _make(self, params: Mapping[str, Any]) -> None:
        """Make the state for parameters; leaves that are there already stay."""
        old = self._leaves
        with_paths, tree = jax.tree_util.tree_flatten_with_path(self.transformation.init(dict(params)))
        leaves, owners, injected = {}, [], {}
        for path, leaf in with_paths:
            owner, key, hyperparameter = _describe(path, params)
            value = old.get(key)
            if value is None or value.shape != jnp.shape(leaf):
                value = jnp.asarray(leaf, jnp.asarray(leaf).dtype)  # never weakly typed
            leaves[key] = value
            owners.append(owner)
            if hyperparameter is not None:
                injected.setdefault(hyperparameter, []).append(key)
        if not leaves:
            leaves[COUNT] = old.get(COUNT, jnp.asarray(0, jnp.int32))
        self._names, self._leaves, self._owners = tuple(params), leaves, tuple(owners)
        self._tree, self._injected = tree, injected

    def _params(self) -> dict[str, Parameter]:
        """Return the parameters that rules of this optimizer are on, by path."""
        found: dict[str, Parameter] = {}
        for path, param in self.target.namedparams():
            rule = param.update_rule
            if isinstance(rule, OptaxRule) and rule.path == path and rule._optimizer() is self:
                found[path] = param
        return found

    def _prepare(self) -> dict[str, Parameter]:
        """Return the initialised parameters by path; the state is made for them if it has not been."""
        params = {path: p for path, p in self._params().items() if p._array is not None}
        if tuple(params) != self._names:
            if thread_state().trace is None:
                with jax.ensure_compile_time_eval():
                    self._make({path: p._array for path, p in params.items()})
            else:  # parameters are new in this trace, so it starts over, with the state made
                self._make({path: p._array for path, p in params.items()})
        return params

    # -- hyperparameters -----------------------------------------------------------------------------

    @property
    def hyperparam(self) -> Any:
        """What `optax.inject_hyperparams` injected, as attributes."""
        return InjectedHyperparameters(self)

    @hyperparam.setter
    def hyperparam(self, value: Any) -> None:
        """Ignore what the base class sets."""

    def _injected_name(self, name: str) -> str | None:
        """Return the injected hyperparameter that an attribute stands for, or None."""
        injected = self.__dict__.get("_injected", {})
        known = "learning_rate" if name == "lr" and "lr" not in injected else name
        return known if known in injected else None

    def __getattr__(self, name: str) -> Any:
        if (known := self._injected_name(name)) is not None:
            return getattr(self.hyperparam, known)
        raise AttributeError(
            f"Optax has no attribute {name!r}: hyperparameters are attributes where optax.inject_hyperparams is used "
            f"(here: {sorted(self.__dict__.get('_injected', ())) or 'none'})"
        )

    def __setattr__(self, name: str, value: Any) -> None:
        if (known := self._injected_name(name)) is not None:
            setattr(self.hyperparam, known, value)
        elif name == "lr":
            raise AttributeError("Optax: the learning rate cannot be set: make it with optax.inject_hyperparams")
        else:
            object.__setattr__(self, name, value)

    # -- updates -----------------------------------------------------------------------------------

    def create_update_rule(self) -> UpdateRule:
        """Return a new rule for a parameter."""
        return OptaxRule(self)

    def setup(self, link: Link) -> Self:
        """Take over the parameters of a link. The state starts anew, injected hyperparameters as they are now.

        Args:
            link: The link.

        Returns:
            The optimizer itself.
        """
        kept = {key: self._leaves[key] for keys in self._injected.values() for key in keys}
        super().setup(link)
        self._start()
        self._leaves.update({key: value for key, value in kept.items() if key in self._leaves})
        seen: set[int] = set()
        for path, param in link.namedparams():
            if id(param) not in seen:
                seen.add(id(param))
                param.update_rule.path = path
        return self

    def update(self, lossfun: Callable[..., Any] | None = None, *args: Any, **kwds: Any) -> None:
        """Update the parameters, from a loss function or from the gradients that are there.

        Args:
            lossfun: Called with the arguments; then gradients are cleared and its result's `backward` runs.
            *args: Its arguments.
            **kwds: The same by name. Without a `lossfun`: ``value``, the loss, for transformations that take it.

        Raises:
            RuntimeError: The optimizer is not set up.
            TypeError: Other arguments without a `lossfun`.
        """
        function = lossfun
        if lossfun is None:
            self._value = kwds.pop("value", None)
            if args or kwds:
                raise TypeError(f"Optax.update: expected a lossfun or value=, got {sorted(kwds) or args}")
        else:

            def remembering(*args: Any, **kwds: Any) -> Any:
                self._value = loss = lossfun(*args, **kwds)
                return loss

            function = remembering
        try:
            super().update(function, *args, **kwds)
        finally:
            self._value = None

    def _apply(self, name: str, params: Sequence[Parameter], pre: Any = (), post: Any = ()) -> None:
        own = self._prepare()
        paths = {id(p): path for path, p in own.items()}
        for p in params:  # those of others are seen by hooks
            paths.setdefault(id(p), "")
        pre_static, pre_numbers = hooks_of(pre)
        post_static, post_numbers = hooks_of(post)
        frozen = frozenset(path for path, p in own.items() if not p.update_rule.enabled)  # type: ignore[union-attr]
        scaled, scales = scales_apart(self._scales(params))
        value = self._value.array if isinstance(self._value, Variable) else self._value
        compiled = _program(
            name,
            self.transformation,
            self._tree,
            self._owners,
            tuple(paths[id(p)] for p in params),
            frozen,
            (pre_static, post_static),
            scaled,
        )
        arguments = (
            (pre_numbers, post_numbers),
            scales,
            [p._array for p in params],
            [p.grad for p in params],
            list(self._leaves.values()),
            value,
        )

        def homes() -> tuple[Any, ...]:
            places = [p._array.sharding for p in params]
            return places, places, None  # the state is one of all parameters

        new, grads, leaves = call_update(name, compiled, arguments, homes)

        def write() -> None:
            for p, array in zip(params, new, strict=True):
                if paths[id(p)] and paths[id(p)] not in frozen:
                    p._array = array
            for key, leaf in zip(self._leaves, leaves, strict=True):
                self._leaves[key] = leaf
            if grads is not None:
                for p, g in zip(params, grads, strict=True):
                    p._grad = g

        whole(write)

    def _update_each(self, name: str, params: Sequence[Parameter]) -> None:
        """Update between hooks written in Python."""
        some = [p for p in params if p._array is not None and p._grad is not None]
        self._call_rule_hooks(some, "pre")
        self._apply(name, some)
        self._call_rule_hooks(some, "post")

    def _call_rule_hooks(self, params: Sequence[Parameter], timing: str) -> None:
        for p in params:
            hooks: Hooks | None = p.update_rule._status.hooks if isinstance(p.update_rule, OptaxRule) else None
            if hooks is not None and p.update_rule.enabled:
                for hook in hooks.at(timing):
                    hook(p.update_rule, p)

    def use_fp32_update(self, flag: bool = True) -> None:
        """Refuse float32 copies of float16 parameters: optax has transformations for that.

        Args:
            flag: Whether to.

        Raises:
            NotImplementedError: `flag` is true.
        """
        if flag:
            raise NotImplementedError("Optax: use_fp32_update is not there; keep the parameters in float32")

    # -- files -------------------------------------------------------------------------------------

    def serialize(self, serializer: Any) -> None:
        """Save or load counters and the state: leaves of parameters under their paths, the others under ``optax``.

        Args:
            serializer: The serializer or deserializer.
        """
        with lock:  # no static step of another thread comes in between
            self._serialize(serializer)

    def _serialize(self, serializer: Any) -> None:
        self.t = int(serializer("t", self.t))
        self.epoch = int(serializer("epoch", self.epoch))
        uninitialised: set[str] = set()
        loading = isinstance(serializer, Loader)
        common: Any = serializer["optax"]  # type: ignore[index]
        names = common("names", None if loading else np.frombuffer("\n".join(self._names).encode(), np.uint8))
        if loading:
            uninitialised = self._prepare_to_load(set(bytes(np.asarray(names, np.uint8)).decode().split("\n")) - {""})
        owners = self._owners or (None,) * len(self._leaves)
        for (key, leaf), owner in zip(list(self._leaves.items()), owners, strict=True):
            inner: Any = common if owner is None else serializer[owner.removeprefix("/")]  # type: ignore[index]
            typed_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            data = jax.random.key_data(leaf) if typed_key else leaf
            value = inner(key.removeprefix(f"{owner}/"), None if owner in uninitialised else data)
            if loading:
                value = from_numpy(np.asarray(value, data.dtype))
                self._leaves[key] = jax.random.wrap_key_data(value) if typed_key else value

    def _prepare_to_load(self, saved: set[str]) -> set[str]:
        """Make the state that a file has for parameters; return those that are not initialised yet."""
        params = self._params()
        missing = [path for path, p in params.items() if p._array is not None and path not in saved]
        if saved and missing:
            raise KeyError(f"the state of the transformation for {', '.join(missing)}")
        if saved:
            one = zeros((1,), np.float32)  # tells which keys there are
            self._make({path: one if p._array is None else p._array for path, p in params.items() if path in saved})
        return {path for path in self._names if params[path]._array is None}


def _describe(path: Any, params: Mapping[str, Any]) -> tuple[str | None, str, str | None]:
    """Return (path of the parameter that a leaf belongs to, key of the leaf, hyperparameter that it is)."""
    owner, parts = None, []
    for part in path:
        name = getattr(part, "name", getattr(part, "key", getattr(part, "idx", None)))
        if owner is None and isinstance(part, jax.tree_util.DictKey) and name in params:
            owner = name
        else:
            parts.append(str(name))
    key = ".".join(parts)
    hyperparameter = parts[-1] if owner is None and len(parts) > 1 and parts[-2] == "hyperparams" else None
    return owner, f"{owner}/{key}" if owner else key, hyperparameter


@functools.lru_cache(maxsize=64)
def _program(
    name: str,
    transformation: optax.GradientTransformation,
    tree: Any,
    owners: tuple[str | None, ...],
    paths: tuple[str, ...],
    frozen: frozenset[str],
    hooks: Any,
    scaled: tuple[int, ...],
) -> Callable[..., Any]:
    """Return the compiled update of one layout.

    Args:
        name: Its name in jaxprs.
        transformation: The transformation.
        tree: Structure of its state.
        owners: Path of the parameter that each leaf of the state belongs to, or None.
        paths: Path of each parameter; empty: hooks see it, the transformation does not.
        frozen: Paths of the parameters that are not updated.
        hooks: (class, static values) of the optimizer's hooks before and after.
        scaled: As in `compiled.program`.
    """
    step = optax.with_extra_args_support(transformation).update

    def update(hook_numbers: Any, scales: Any, params: Any, grads: Any, leaves: Any, value: Any) -> Any:
        each = scale_of_each(scales, scaled, len(params))
        grads = list(apply_hooks(hooks[0], hook_numbers[0], params, grads, each))
        grads = list(map(unscaled, grads, each))
        by_path = {
            path: jnp.zeros_like(g) if path in frozen else g for path, g in zip(paths, grads, strict=True) if path
        }
        arrays = {path: p for path, p in zip(paths, params, strict=True) if path}
        extra = {} if value is None else {"value": value}
        state = jax.tree_util.tree_unflatten(tree, leaves if owners else [])
        updates, state = step(by_path, state, arrays, **extra)
        changes: Any = updates
        new = [
            jnp.asarray(p + changes[path]).astype(p.dtype) if path and path not in frozen else p
            for path, p in zip(paths, params, strict=True)
        ]
        states = [
            old if owner in frozen else _as_dtype(jnp.asarray(new), old.dtype)
            for owner, new, old in zip(owners, tree.flatten_up_to(state), leaves if owners else (), strict=True)
        ]
        changed = bool(scaled or any(hooks))
        grads = list(apply_hooks(hooks[1], hook_numbers[1], new, grads, each))
        return new, grads if changed else None, states if owners else [leaves[0] + 1]

    update.__name__ = update.__qualname__ = name
    return jax.jit(update)


def _as_dtype(array: jax.Array, dtype: Any) -> jax.Array:
    return array if array.dtype == dtype else array.astype(dtype)
