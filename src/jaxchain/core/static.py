"""Static mode: trace -> lift -> compile -> call -> write back.

The same Python code as in eager mode runs once with tracers in the cells (core/state.py); its jaxpr is compiled and
replayed. A call gathers the cells that the program reads into one flat tuple, calls the compiled program and writes the
results back. There is no second implementation of anything.

Three doors: `static(fn)` for a function (a whole training step), `link.static()` and `using_config("mode", "static")`
for the outermost link call. The latter leave one differentiable node in the eager graph, so `loss.backward()` works on
them, compiled.
"""

from __future__ import annotations

import functools
import inspect
import os
import time
import types
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxchain.core import background
from jaxchain.core.ahead import Lowered, save
from jaxchain.core.arguments import argument_names, keys_of, leaves_of
from jaxchain.core.attempt import Raised, own_errors
from jaxchain.core.calls import refuse_class
from jaxchain.core.compat import in_trace, jit_is_off, numerics
from jaxchain.core.config import config, is_debug, local, snapshot, thread_state, using_config
from jaxchain.core.errors import StaticError
from jaxchain.core.exact import devices_of
from jaxchain.core.explain import ATTRIBUTE, Compile, Explanation, key_difference, warn_eager, warn_if_often
from jaxchain.core.forks import running_state
from jaxchain.core.guard import Guard, NotCompilable, Outcome
from jaxchain.core.known import Known
from jaxchain.core.link_variant import LinkVariant
from jaxchain.core.merging import EQUATIONS, merge
from jaxchain.core.nodes import BrokenScope, Scope
from jaxchain.core.program import VariantMismatch
from jaxchain.core.sizes import bucket, give_back
from jaxchain.core.traced import Traced
from jaxchain.core.tracing import trace_call
from jaxchain.core.uncompiled import Uncompiled
from jaxchain.core.untouched import undone_on_error
from jaxchain.core.variant import MISS, GraphGoesOn, Variant

EAGER: Any = object()  # in place of variants: calls with this key run in eager mode


class Static:
    """A callable compiled on demand: one variant per structure of its arguments, configuration and state.

    Args:
        function: The function to compile.
        name: Name of the compiled program.
        roots: Where the walk for state starts: (name, object) pairs; the function itself by default.
        rules: Whether update rules belong to the state.
        donate: Whether the buffers of cells that are read and written may be reused.
        sizes: What is done about sizes that vary; None: each is a program of its own.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None = None,
        roots: Sequence[tuple[str, Any]] | None = None,
        rules: bool = True,
        donate: bool = True,
        sizes: bucket | None = None,
    ) -> None:
        functools.update_wrapper(self, function, updated=())
        self.function = function
        self.__wrapped_static__ = function
        self.name = name or getattr(function, "__name__", type(function).__name__).strip("<>")
        self.roots = [(self.name, function)] if roots is None else list(roots)
        self.rules, self.donate, self.differentiable = rules, donate, False
        self.sizes = sizes
        self.keywords = _takes_keywords(function)  # then their order is part of the program
        self.variants: dict[Any, Any] = {}  # EAGER, or Known
        self.compiles: list[Compile] = []
        self.eager_reasons: list[str] = []
        self.eager_outcomes: set[Any] = set()
        self.failed: set[Any] = set()  # keys with which a trace failed, and the eager call did not
        self.unbounded: set[Any] = set()  # keys for which the state differs at every call
        self.uncompiled = Uncompiled()

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind a decorated method: each instance has variants of its own, if it can hold them."""
        if instance is None:
            return self
        attributes = getattr(instance, "__dict__", None)
        if type(attributes) is not dict:  # slots, a class
            return types.MethodType(self, instance)
        cache = attributes.get("_static_methods")
        if cache is None or cache.owner() is not instance:  # a copy has that of the original
            cache = attributes["_static_methods"] = _Methods(instance)
        bound = cache.get(self)
        if bound is None:
            bound = cache[self] = Static(
                self.function.__get__(instance, owner),
                self.name,
                rules=self.rules,
                donate=self.donate,
                sizes=self.sizes,
            )
        return bound

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the compiled function; compile it first if no variant fits. Inside a trace, JAX's too, it is inlined.

        Link hooks of the thread may change what links do, and want to see every call: then it is not compiled, nor
        under `jax.disable_jit()`.
        """
        try:
            state = local.state
        except AttributeError:
            state = running_state()
        if state.trace is not None:
            return self.function(*args, **kwargs)
        if state.link_hooks or in_trace() or jit_is_off():
            return self.function_eager(args, kwargs)
        if self.sizes is not None:
            args, kwargs, padded = self.sizes.padded(self.function, args, kwargs)
            if padded:
                try:
                    return self(*args, **kwargs)
                finally:
                    give_back(padded)
        if len(kwargs) > 1 and not self.keywords:
            kwargs = dict(sorted(kwargs.items()))
        leaves, tree = leaves_of(args, kwargs)
        key = (tree, keys_of(leaves), _config_key(state))
        known = self.variants.get(key)
        if known is None:
            return self._of_a_new_kind(key, leaves, args, kwargs)
        if known is EAGER:
            return self.run_eager(args, kwargs)
        assumed: tuple[Outcome, ...] = ()
        many = len(known) > 1
        if many and known.merged is not None:
            known.take_in()
        elif many and known.turns >= known.due and not background.is_busy():
            self._merge(key, known, leaves, args, kwargs)
        walks: dict[Any, Any] = {}
        ask = many and known.doubt > known.DOUBTFUL
        for variant in known.ordered() if many else known:
            if assumed and tuple([g.outcome for g in variant.guards[: len(assumed)]]) != assumed:
                continue
            if not variant.applies(leaves, walks):
                continue
            try:
                result = MISS if ask and not assumed and not variant.foresee(leaves) else variant(leaves)
            except VariantMismatch:
                continue
            except NotCompilable as error:
                return self._with_these_values(error, args, kwargs)
            if result is not MISS:
                if many:
                    known.took(variant, not assumed)
                return result
            assumed = variant.missed
        walks.clear()  # they hold the state
        return self._of_a_new_variant(key, known, leaves, args, kwargs, assumed)

    def _of_a_new_variant(
        self, key: Any, known: Known, leaves: Sequence[Any], args: Any, kwargs: Any, assumed: tuple[Outcome, ...]
    ) -> Any:
        """Make a call for which none of the known variants fits: compile one, unless there are too many."""
        if (key, assumed) in self.eager_outcomes:
            return self.run_eager(args, kwargs)
        if len(known) < config.max_variants:
            return self._new(key, leaves, args, kwargs, assumed)
        result = self.run_eager(args, kwargs)
        many = f"{len(known)} variants are compiled for"
        if assumed:
            self.warn(
                f"{many} values that differ from call to call (config.max_variants), the last asked for: "
                f"{known[0].guards[-1]}"
            )
        elif key not in self.unbounded:
            self.unbounded.add(key)
            self.warn(
                f"{many} state that differs from call to call (config.max_variants), the last because of: "
                f"{self.compiles[-1].reason}. {ATTRIBUTE}"
            )
        return result

    def _of_a_new_kind(self, key: Any, leaves: Sequence[Any], args: Any, kwargs: Any) -> Any:
        """Make a call with a key that is not known: where keys are ever new, one that comes often is compiled for.

        A batch of sequences of different lengths, say, may never come again; a number that changes at every step comes
        a few times. Where an eager call takes as long as a compile, as it may with shapes that are new to its ops, too,
        every key is compiled for.
        """
        alike = sum(k[2] == key[2] for k in self.variants)  # under this configuration
        at_once = alike < config.compile_at_once or jax.process_count() > 1  # they do alike, whatever the clock says
        if at_once or not self.uncompiled.pays(key, self.compiles):
            self.uncompiled.forget(key)
            return self._new(key, leaves, args, kwargs, ())
        return self.uncompiled.call(key, self.function_eager, args, kwargs)

    def _new(self, key: Any, leaves: Sequence[Any], args: Any, kwargs: Any, assumed: tuple[Outcome, ...]) -> Any:
        """Compile a variant for outcomes of which the first are known, and call it."""
        raised = None
        for _ in range(2):
            try:
                variant = self.compile(key, args, kwargs, assumed)
            except NotCompilable as reason:
                result = self.run_eager(args, kwargs)
                self.warn(str(reason))
                if assumed:
                    self.eager_outcomes.add((key, assumed))
                else:
                    self.variants[key] = EAGER
                return result
            except Raised as error:
                raised = error
                break
            start = time.perf_counter()
            try:
                result = variant(leaves)
            except NotCompilable as error:
                return self._with_these_values(error, args, kwargs)
            self.compiles[-1].compile_seconds = time.perf_counter() - start
            if result is not MISS:
                return result
            assumed = variant.missed
        if raised is not None and not raised.trace.questions.guards:  # whatever the values: it leaves nothing behind
            with undone_on_error(self.function, args, kwargs):
                result = self.function_eager(args, kwargs)
            self.warn(f"while it is traced, and only then, it raises {raised.__cause__!r}")
            if key in self.failed:  # the eager call may have made what was missing: once more
                self.variants.setdefault(key, EAGER)
            self.failed.add(key)
            return result
        # what the program raises comes with its values; and an outcome may hang on how a sum was rounded
        return self.function_eager(args, kwargs)

    def _with_these_values(self, error: NotCompilable, args: Any, kwargs: Any) -> Any:
        """Make a call eagerly that no program can make with the values it has: the integer of NaN raises, say."""
        result = self.function_eager(args, kwargs)
        if isinstance(error, GraphGoesOn):
            self.warn(str(error))
        return result

    def _merge(self, key: Any, known: Known, leaves: Sequence[Any], args: Any, kwargs: Any) -> None:
        """Begin to make one program of the variants that differ by outcomes, if they leave the same things behind."""
        known.turns, known.due = 0, 2 * known.due
        if is_debug() or (self.differentiable and thread_state().record):
            return
        walks: dict[Any, Any] = {}
        variants = [v for v in known if v.guards and not v.is_merged and v.applies(leaves, walks)]
        equations = sum(len(v.traced.jaxpr.jaxpr.eqns) for v in variants)
        if len(variants) < 2 or equations > EQUATIONS:
            return
        try:
            traces = [self._trace(args, kwargs, [g.outcome for g in v.guards]) for v in variants]
        except (StaticError, Raised):
            return
        as_before = all(len(t.guards) == len(v.guards) for t, v in zip(traces, variants, strict=True))
        traced = merge(traces) if as_before else None
        if traced is None:
            return
        variant = self.make(traced)
        variant.is_merged = True
        traced.forget_values()
        compiled = Compile(self.name, f"outcomes in turn: {len(traces)} variants in one", key, variant, traced.seconds)
        self.compiles.append(compiled)
        values = [jax.device_put(v) if isinstance(v, int | float) else v for v in variant.gather(leaves)]
        lowered = variant.compiled.lower(*values)  # for just such values, or the call would compile again

        def work() -> None:
            start = time.perf_counter()
            lowered.compile()  # where the call of the jitted function finds it
            compiled.compile_seconds = time.perf_counter() - start
            known.merged = variant

        background.start(work)

    def _trace(self, args: Any, kwargs: Any, assumed: Sequence[Outcome]) -> Traced:
        differentiate = self.differentiable and thread_state().record
        return trace_call(self.function, args, kwargs, self.roots, self.name, self.rules, assumed, differentiate)

    def run_eager(self, args: Any, kwargs: Any) -> Any:
        """Run what could not be compiled as a whole: eagerly, but for the links that it calls."""
        with using_config("mode", "static"):
            return self.function(*args, **kwargs)

    def function_eager(self, args: Any, kwargs: Any) -> Any:
        """Run the function eagerly, all of it."""
        with using_config("mode", "eager"):
            return self.function(*args, **kwargs)

    def warn(self, reason: str) -> None:
        """Say once per reason why calls run in eager mode, and what to do about it."""
        if reason not in self.eager_reasons:
            self.eager_reasons.append(reason)
            warn_eager(self.name, reason)

    def compile(self, key: Any, args: Any, kwargs: Any, assumed: tuple[Outcome, ...]) -> Variant:
        """Trace and compile a new variant, and record why."""
        reason = self.reason(key, assumed, argument_names(self.function, args, kwargs))
        traced = self._trace(args, kwargs, assumed)
        if self.sizes is not None:
            self.sizes.warn_of_statistics(self.function, args, kwargs, traced)
        devices = devices_of(v for v, live in zip(traced.values, traced.lifted.live, strict=True) if live)
        if len(devices) > 1:
            raise NotCompilable(f"its arrays are on several devices: {', '.join(map(str, devices))}")
        variant = self.make(traced)
        variant.share([c.variant for c in self.compiles if not c.variant.shared])
        traced.forget_values()
        self.variants.setdefault(key, Known()).insert(0, variant)
        self.compiles.append(Compile(self.name, reason, key, variant, traced.seconds))
        warn_if_often(self.name, self.compiles)
        return variant

    def make(self, traced: Traced) -> Variant:
        """Return the variant of a trace."""
        return Variant(traced, self.donate)

    def reason(self, key: Any, assumed: Sequence[Outcome], names: Sequence[str]) -> str:
        """Return why no variant fits, as a difference from the nearest one."""
        if not self.compiles:
            return "first call"
        same = [c for c in self.compiles if c.key == key]
        if same and assumed:
            guards = next(v.guards for v in self.variants[key] if v.missed == assumed)
            return str(Guard(assumed[-1], guards[len(assumed) - 1].source))
        if same:
            last = same[-1].variant
            if last.made_with != numerics():
                (precision, wide), (precision_now, wide_now) = last.made_with, numerics()
                if precision != precision_now:
                    return f"jax_default_matmul_precision was {precision}, is {precision_now}"
                return f"jax_enable_x64 was {wide}, is {wide_now}"
            other = last.conditions.difference() or last.inputs.type_difference(last.traced.inputs)
            return other or "the type of a state array changed"
        return key_difference(self.compiles, key, names)

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """Trace and lower for given arguments, without running anything: ``lower(x).compile()`` compiles ahead of time.

        Args:
            *args: The arguments, or `jax.ShapeDtypeStruct` in the place of arrays.
            **kwargs: The same by name.

        Raises:
            StaticError: The program cannot be compiled, or it branches on a value and there are only shapes.
        """
        if self.sizes is not None:
            args, kwargs = self.sizes.apply(self.function, args, kwargs)
        if len(kwargs) > 1 and not self.keywords:
            kwargs = dict(sorted(kwargs.items()))
        leaves, tree = leaves_of(args, kwargs)
        key = (tree, keys_of(leaves), _config_key(thread_state()))
        known = self.variants.get(key)
        for variant in known if isinstance(known, list) else ():
            if variant.made_with == numerics() and variant.conditions.difference() is None:
                return Lowered(self, variant)
        with own_errors():
            return Lowered(self, self.compile(key, args, kwargs, ()))

    def save_cache(self, folder: str | os.PathLike[str]) -> int:
        """Write every compiled program of this callable into a folder.

        A process that is started with ``JAXCHAIN_CACHE=folder`` loads them instead of compiling: on this kind of
        machine, with this version of JAX. Machine code is run unchecked: use folders that only you can write to.

        Args:
            folder: The folder; it is made if it is not there.

        Returns:
            How many programs were written.

        Raises:
            StaticError: The folder cannot be made, or others can write to it.
        """
        return save((c.variant for c in self.compiles if not c.variant.shared), folder)

    def explain(self) -> Explanation:
        """Return every compile with its reason, times, state and what was baked in: print it, or take `to_dict()`."""
        return Explanation(self.name, self.compiles, self.eager_reasons, self.uncompiled.calls)

    def clear(self) -> None:
        """Forget every variant."""
        self.variants.clear()
        self.compiles.clear()
        self.eager_reasons.clear()
        self.eager_outcomes.clear()
        self.failed.clear()
        self.unbounded.clear()
        self.uncompiled.clear()

    def __copy__(self) -> Static:
        return self

    def __deepcopy__(self, memo: Any) -> Static:
        return self  # as functions are

    def __reduce__(self) -> Any:
        owner = getattr(self.function, "__self__", None)
        return self.function.__qualname__ if owner is None else (getattr, (owner, self.name))


class _Methods(dict):
    """Static methods of one instance, by what they were decorated with: not copied and not pickled with it."""

    _opaque = True

    def __init__(self, instance: Any = None) -> None:
        super().__init__()
        self.owner = _nobody if instance is None else _reference(instance)

    def __deepcopy__(self, memo: Any) -> _Methods:
        return _Methods()

    def __reduce__(self) -> Any:
        return (_Methods, ())


def _nobody() -> None:
    return None


def _reference(instance: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(instance)
    except TypeError:  # its class has no room for one
        return lambda: instance


def _takes_keywords(function: Any) -> bool:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is None or bool(code.co_flags & inspect.CO_VARKEYWORDS)


def _config_key(state: Any) -> Any:
    if state.config_key.__class__ is not tuple:
        entries = {k: v for k, v in snapshot().items() if k != "mode"}
        state.config_key = tuple(
            sorted(
                (k, v if isinstance(v, (str, int, float, bool, type(None), np.dtype)) else repr(v))
                for k, v in entries.items()
            )
        )
    return state.config_key


class StaticLink(Static):
    """The compiled calls of one link.

    Args:
        link: The link.
        run: What a call of it runs.
    """

    def __init__(self, link: Any, run: Callable[..., Any]) -> None:
        def call(*args: Any, **kwargs: Any) -> Any:
            return link._run(run, args, kwargs)

        setattr(call, "__wrapped__", run)  # noqa: B010 - where the names of its arguments come from
        name = type(link).__name__
        super().__init__(call, name, roots=[(link.name or name, link)], rules=False)
        self.link, self.run, self.differentiable = link, run, True

    def make(self, traced: Traced) -> LinkVariant:
        """Return the variant of a trace."""
        return LinkVariant(traced)

    def run_eager(self, args: Any, kwargs: Any) -> Any:
        """Run the link eagerly, and compile the links that it calls."""
        state = thread_state()
        return self.link._enter(state, BrokenScope(state.scope, self.link), self.run, args, kwargs)

    def function_eager(self, args: Any, kwargs: Any) -> Any:
        """Run the link eagerly, all of it."""
        state = thread_state()
        return self.link._enter(state, Scope(state.scope, self.link), self.run, args, kwargs)


def static_link(link: Any, function: Callable[..., Any] | None = None) -> StaticLink:
    """Return the compiled calls of a link, made on first use, and anew where its forward function was replaced.

    A call of it leaves one differentiable node in the eager graph.

    Args:
        link: The link.
        function: What a call runs; None: its `forward`, bound.
    """
    entry, run = link._static, function or link._forward
    if entry is None or (entry.run != run and _was_replaced(link, entry.run, run)):
        entry = link._static = StaticLink(link, run)
    return entry


def _was_replaced(link: Any, old: Any, new: Any) -> bool:
    """Return whether a program gave a link another function: a `partialmethod`, say, is another one at each access."""
    return type(old) is not type(new) or isinstance(new, types.MethodType) or vars(link).get("forward") is new


def static(function: Any = None, /, *, donate: bool = True, sizes: bucket | None = None) -> Any:
    """Compile a function: a decorator.

    The function may be a whole training step: models, optimizers, Variables and random draws that it reaches through
    its arguments, its closure and the globals it names are its state, found by looking.

    Args:
        function: The function, or a link (then the same as ``link.static()``).
        donate: Whether state that is overwritten may give its buffers to the result.
        sizes: A `bucket`: arguments are padded to the next of a few sizes, so that many sizes are a few programs.

    Returns:
        A callable with the same arguments and results, and `explain()`.

    Raises:
        TypeError: `function` is the class of a link, or cannot be called: ``static(step(x))``, say, in the place of
            ``static(step)(x)``.
    """
    if function is None:
        return functools.partial(static, donate=donate, sizes=sizes)
    refuse_class(function)
    if hasattr(function, "_run") and hasattr(function, "namedparams"):
        return function.static()
    if isinstance(function, classmethod | staticmethod):
        return type(function)(Static(function.__func__, donate=donate, sizes=sizes))
    if not callable(function):
        raise TypeError(f"static: expected a function or a link, got {type(function).__name__}")
    return Static(function, donate=donate, sizes=sizes)


def trace(target: Any, *args: Any, **kwargs: Any) -> Traced:
    """Trace a link, a function or a static callable on arguments, without running it."""
    with own_errors():
        return _trace(target, args, kwargs)


def _trace(target: Any, args: Any, kwargs: Any) -> Traced:
    refuse_class(target)
    if isinstance(target, Static):
        return trace_call(target.function, args, kwargs, target.roots, target.name, target.rules)
    if hasattr(target, "_run") and hasattr(target, "namedparams"):
        entry = static_link(target)
        return trace_call(entry.function, args, kwargs, entry.roots, entry.name, False)
    name = getattr(target, "__name__", type(target).__name__).strip("<>")
    return trace_call(target, args, kwargs, [(name, target)], name, True)
