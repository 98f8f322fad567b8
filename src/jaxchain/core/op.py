"""An op is a pure JAX function, and nothing else: this file turns it into a node of the graph.

`@op` reads the signature (core/signature.py) and makes a `Plan` per combination of static arguments and input shapes:
the jitted forward, the jitted gradient derived by `jax.vjp` (or from the op's own rule), and which arrays the gradient
reads, found by dead-code elimination on its jaxpr. Only those are kept by the node. The gradient of an op is an op
again, so gradients of any order need no more code.

    one call:  flatten -> plan (one dict look-up) -> compiled forward, now or later -> Variable + OpNode
    backward:  OpNode.pullback(gys) -> compiled gradient on the retained arrays
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from sys import _getframe
from typing import Any, ParamSpec, Protocol, TypeVar, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from jaxchain.core.arrays import NUMPY_TYPES, UNKNOWN, Info, array_info, array_infos, from_numpy
from jaxchain.core.cache import room
from jaxchain.core.compat import Tracer, is_tracer, numerics
from jaxchain.core.config import local, lock
from jaxchain.core.deferred import WAITING, Deferred, are_deleted, budget, concrete, defer
from jaxchain.core.errors import InvalidType, InvalidValue, LeakedVariable, call_site, library_files, locate, user_line
from jaxchain.core.forks import running_state
from jaxchain.core.movement import mover
from jaxchain.core.nodes import VariableNode
from jaxchain.core.op_node import OpNode, outputs_of, record, result_on, special_forward
from jaxchain.core.plan import Plan, jitted
from jaxchain.core.program import Pruned
from jaxchain.core.signature import ARRAY, KEY, OPTIONAL, STATIC, TREE, Array, Key, Signature, Static, Undrawn
from jaxchain.core.variable import Variable, as_jax, held, initialized_array

__all__ = ["Array", "GradientOp", "Key", "Op", "Static", "Undrawn", "op"]

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


def _array(x: Any, name: str) -> tuple[Any, Info]:
    """Return an input that is no Variable as a JAX array (Python numbers stay weakly typed), and its `Info`.

    Raises:
        TypeError: It is nothing that becomes an array, or one of no numbers; `name` is the op's.
    """
    try:
        x = as_jax(x) if isinstance(x, jax.Array) else from_numpy(x) if isinstance(x, NUMPY_TYPES) else jnp.asarray(x)
    except TypeError as error:
        raise TypeError(
            f"{name}: expected Variables, arrays and numbers, got {type(x).__name__}: {error}\nat {user_line(4)}"
        ) from error
    return x, array_info(x)


def _frozen(value: Any) -> Any:
    """Return a tuple in the place of a list, and Python's numbers in that of a NumPy array."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        value = value.tolist()
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _has_hash(value: Any) -> bool:
    """Return whether a value can be part of a key; a tuple can if what is in it can."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


class Op:
    """A pure JAX function with everything the graph needs of it. `op` returns `Op.call`, an ordinary function."""

    _opaque = True  # nothing in here is state: the static walk does not look inside
    is_gradient = False  # its program says already how what is in it is spread
    own_class_name: str | None = None
    jit: Callable[..., Any] = staticmethod(jax.jit)  # or `exact_jit`, whose programs are part of no other

    def __init__(self, function: Callable[..., Any], name: str, label: str, class_name: str | None = None) -> None:
        self.function = function
        self.name = name
        self.label = label
        self.own_class_name = class_name
        self.rule: Callable[..., Any] | None = None
        self.signature = Signature(function)
        self.plans: dict[Any, Plan] = {}
        self.recorded: dict[Info, Plan] = {}  # of an op of one input: those that know what they keep

    def vjp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Give the gradient in closed form: a decorator.

        Args:
            rule: ``rule(gy, y, *parameters)`` -> one gradient per array parameter (a tuple if several); keyword-only
                parameters come by name. What it does not read is not retained. For ops that return a tuple, `gy` and
                `y` are tuples.
        """
        self.rule = rule
        return rule

    def public(self) -> Callable[..., Any]:
        """Return the function that users call. On one Variable it takes the shortest way through `apply`."""
        signature, apply = self.signature, self.apply
        if not (signature.inputs_only and signature.count == signature.required == 1):
            return signature.caller(apply)
        plans, recorded = self.plans, self.recorded

        def call_unary(x: Any) -> Any:
            if x.__class__ is not Variable:
                return apply((), (x,), ())
            try:
                state = local.state
            except AttributeError:
                state = running_state()
            node = x._made
            if node.__class__ is not VariableNode:
                node = x._node
            plan = recorded.get(node.info)
            if plan is None or state.special or not state.record:
                result = apply((), (x,), ())
                plan = plans[(), node.info]
                if plan._retained is not None:
                    recorded[node.info] = plan
                return result
            array = x._value
            out = None
            if plan.at_once:
                plan.at_once -= 1
            else:
                out = defer(plan, (array,), ())
            if out is None:
                if array.__class__ in WAITING:
                    array = x._value = array.array()
                try:
                    out = (plan.ruled if isinstance(array, Tracer) else plan.forward)(array)
                except jax.errors.UnexpectedTracerError as error:
                    raise self.leaked() from error
            kept = (out,) if plan.output_only else plan.keep((array, out))
            frame = _getframe(1)  # as `call_site` does: a call of it would cost half a microsecond after XLA's
            code = frame.f_code
            site = call_site(2) if library_files[code.co_filename] else (code, frame.f_lasti)
            return record(plan, out, (node,), kept, node.rank, (), state, site)

        code = call_unary.__code__  # the parameter has the name that the op gives it
        call_unary.__code__ = code.replace(co_varnames=(signature.parameters[0].name, *code.co_varnames[1:]))
        return call_unary

    def apply(self, structure: Any, inputs: Sequence[Any], scalars: tuple[Any, ...]) -> Any:
        """Apply the op to flat inputs.

        Args:
            structure: The static arguments: hashable.
            inputs: Variables, arrays, Python numbers, or None where an optional input is left out.
            scalars: Traced scalars and keys.
        """
        try:
            state = local.state
        except AttributeError:
            state = running_state()
        arrays: list[Any] = []
        nodes: list[Any] = []
        key: list[Any] = [structure]
        rank = 0
        raw = False
        for x in inputs:
            if isinstance(x, Variable):
                node = x._made
                if node.__class__ is not VariableNode:
                    node = x._node
                arrays.append(x._value)
                key.append(node.info)
                nodes.append(node)
                if node.rank > rank:
                    rank = node.rank
            elif x is None:
                key.append(None)
            else:
                try:
                    info = array_infos[x.__class__][x.aval]
                except (AttributeError, KeyError):
                    x, info = _array(x, self.name)
                arrays.append(x)
                key.append(info)
                nodes.append(None)
                raw = True
        if state.several:
            arrays = held(inputs, arrays)
        found = tuple(key)
        try:
            plan = self.plans.get(found)
        except TypeError:
            found = (self.frozen(structure), *key[1:])
            plan = self.plans.get(found)
        try:
            if plan is None:
                plan = self._plan(found, inputs, arrays, scalars)
            out = None
            if plan.at_once:
                plan.at_once -= 1
            elif not state.special:
                out = defer(plan, arrays, scalars)
            if out is None:
                arrays = concrete(arrays)
                if state.special:
                    out = special_forward(self, plan, arrays, scalars, nodes, state)
                else:
                    out = (plan.ruled if any(map(is_tracer, arrays)) else plan.forward)(*arrays, *scalars)
        except jax.errors.UnexpectedTracerError as error:
            raise self.leaked() from error
        except (RuntimeError, ValueError) as error:
            if are_deleted(arrays):
                raise self.taken(user_line(2)) from error
            raise
        if not state.record:
            if state.scope is not None:
                state.scope.count += 1
            results = [result_on(y, i) for y, i in zip(outputs_of(plan, out), plan.out_infos, strict=True)]
            if out.__class__ is Deferred:
                out.nodes = tuple([weakref.ref(y._node) for y in results])
                budget.charge(out)
            return results[0] if plan.single else tuple(results)
        if raw:
            for i, node in enumerate(nodes):
                if node is None:
                    nodes[i] = VariableNode(plan.infos[i])
        if plan._retained is None:
            plan.retained(scalars)
        if plan.single:
            kept = plan.keep((*arrays, out))
        else:
            out = outputs_of(plan, out)
            kept = plan.keep((*arrays, *out))
        return record(plan, out, tuple(nodes), kept, rank, scalars, state, call_site(3))

    def frozen(self, structure: Any) -> Any:
        """Return static arguments with tuples in the place of lists and NumPy arrays, which have no hash.

        Raises:
            TypeError: One has none all the same.
        """
        frozen = tuple(map(_frozen, structure))
        names = [p.name for p in self.signature.parameters if p.kind == STATIC]
        for name, value in zip(names, frozen, strict=False):
            if not _has_hash(value):
                kind = type(value).__name__
                raise TypeError(f"{self.name}: {name}: expected a value that has a hash, got {kind}\nat {user_line(4)}")
        return frozen

    def leaked(self) -> LeakedVariable:
        """Return the error for an input whose array existed only while a static call was traced."""
        if not lock.acquire(blocking=False):
            return LeakedVariable(
                f"{self.name}: an input is being traced: another thread makes the first call of a static function that "
                f"reads it. Make that call first, or run a copy of the model (model.copy('copy'))\nat {user_line(3)}"
            )
        lock.release()
        return LeakedVariable(
            f"{self.name}: an input was made inside a static call (or a jax.jit of yours) and used after it: its "
            f"array existed only while the call was traced. Return it from the function instead\nat {user_line(3)}"
        )

    def taken(self, line: str) -> LeakedVariable:
        """Return the error for an input whose buffer is gone, in a call on a line of the user's."""
        return LeakedVariable(
            f"{self.name}: the buffer of an input was given away, as a static step does with what it replaces: one in "
            "another thread, meanwhile. Evaluate in static mode, which waits for it, or a copy of the model "
            "(model.copy('copy')), or make the step by jaxchain.static(donate=False)" + (f"\nat {line}" if line else "")
        )

    # -- once per new shape -------------------------------------------------------------------------------------------

    def _plan(self, key: tuple[Any, ...], inputs: Sequence[Any], arrays: list[Any], scalars: tuple[Any, ...]) -> Plan:
        for x in inputs:
            if isinstance(x, Variable) and x._node.info.struct is UNKNOWN:
                initialized_array(x)
        infos = tuple(i for i in key[1:] if i is not None)
        structure = (self.normal(key[0]), tuple(i is not None for i in key[1:]))
        try:
            plan = Plan(self, structure, infos, arrays, scalars)
        except InvalidType as error:
            raise error.located(self.label_of(structure, scalars), self.describe(structure, infos)) from None
        except jax.errors.UnexpectedTracerError:
            raise
        except (TypeError, ValueError) as error:
            if isinstance(error, jax.errors.JAXTypeError):
                raise
            text = str(error).split("\n--------------------\n")[0].strip()
            kind = InvalidValue if isinstance(error, ValueError) else InvalidType
            invalid = kind("shapes and dtypes that fit", text)
            raise invalid.located(self.label_of(structure, scalars), self.describe(structure, infos)) from error
        except (ArithmeticError, AssertionError, AttributeError, LookupError) as error:
            locate(error, self.describe(structure, infos))
            raise
        self.plans[key] = plan
        room.make()
        return plan

    def gradient_op(self, plan: Plan, given: tuple[bool, ...] | None, scalars: Sequence[Any]) -> VjpOp:
        """Return the gradient of a plan, for the output gradients that are given, as an op."""
        return VjpOp(plan, given, scalars)

    def pure(self, structure: Any) -> Callable[..., Any]:
        """Return the op as a function of flat arrays, then scalars."""
        n_inputs = sum(structure[1])

        def pure(*flat: Any) -> Any:
            values = self.signature.unflatten(structure, flat[:n_inputs], flat[n_inputs:])
            out = self.signature.call(self.function, *values)
            return tuple(out) if isinstance(out, list) else out

        return pure

    def apply_rule(
        self, structure: Any, inputs: Sequence[Any], outputs: Sequence[Any], gys: Sequence[Any], scalars: Sequence[Any]
    ) -> list[Any]:
        """Return the rule's gradients, one per flat input."""
        assert self.rule is not None
        values = self.signature.unflatten(structure, inputs, scalars)
        single = len(outputs) == 1
        gy, y = (gys[0], outputs[0]) if single else (tuple(gys), tuple(outputs))
        grads = self.signature.call(self.rule, gy, y, *values)
        return self.signature.flat_gradients(structure, grads)

    def normal(self, statics: Any) -> Any:
        """Return static arguments so that equal ones are the same."""
        return self.signature.normal(statics)

    def check(self, structure: Any, infos: tuple[Info, ...]) -> None:
        """Check the inputs against the annotations."""
        self.signature.check(structure, infos)

    def specs(self, structure: Any, infos: tuple[Info, ...], outputs: Sequence[Any]) -> tuple[Any, ...]:
        """Return how the outputs are spread, as the annotations say."""
        return self.signature.specs(structure, infos, outputs)

    def drawn(self, structure: Any) -> Sequence[int]:
        """Return which inputs graphs show."""
        return self.signature.drawn(structure)

    def describe(self, structure: Any, infos: tuple[Info, ...]) -> str:
        """Return the call with its input types: ``linear(x: float32[2,3], W: float32[5,4])``."""
        inputs = ", ".join(f"{name}: {info!r}" for name, _, info in self.signature.named(structure, infos))
        return f"{self.name}({inputs})"

    def parameters_of(self, structure: Any, scalars: Sequence[Any]) -> dict[str, Any]:
        """Return the values of the parameters that are not graph inputs."""
        values = self.signature.unflatten(structure, [None] * sum(structure[1]), scalars)
        hidden = (ARRAY, OPTIONAL, TREE, KEY)
        return {p.name: v for p, v in zip(self.signature.parameters, values, strict=True) if p.kind not in hidden}

    @property
    def class_name(self) -> str:
        """Name of Chainer's class, which is the same for all numbers in a label (``MulConstant``)."""
        if self.own_class_name is not None:
            return self.own_class_name
        is_class = self.label.isidentifier() and self.label[0].isupper()
        return self.label if is_class else "".join(part.capitalize() for part in self.name.split("_"))

    @functools.cached_property
    def node(self) -> type[OpNode]:
        """The class of its nodes, which has the name of Chainer's: hooks print it."""
        return type(self.class_name, (OpNode,), {"__slots__": ()})

    def label_of(self, structure: Any, scalars: Sequence[Any]) -> str:
        """Return the label of a call."""
        if "{" not in self.label:
            return self.label
        values = self.parameters_of(structure, scalars)
        return self.label.format(**{name: _text(value) for name, value in values.items()})


class GradientOp(Op):
    """A gradient as an op, to be differentiated again: its inputs are flat arrays, and it has no parameters.

    Args:
        name: Name of what it is the gradient of.
        label: Label of its node.
    """

    is_gradient = True

    def __init__(self, name: str, label: str) -> None:
        self.name, self.label, self.rule, self.plans = f"{name}_vjp", label, None, {}

    def normal(self, statics: Any) -> Any:
        """Return nothing: there are none."""
        return statics

    def check(self, structure: Any, infos: tuple[Info, ...]) -> None:
        """Nothing to check: the forward was checked."""

    def specs(self, structure: Any, infos: tuple[Info, ...], outputs: Sequence[Any]) -> tuple[Any, ...]:
        """Return that the outputs are whole on every device."""
        return (PartitionSpec(),) * len(outputs)

    def drawn(self, structure: Any) -> Sequence[int]:
        """Return which inputs graphs show: all."""
        return range(sum(structure[1]))

    def describe(self, structure: Any, infos: tuple[Info, ...]) -> str:
        """Return the call with its input types."""
        return f"{self.name}({', '.join(map(repr, infos))})"

    def parameters_of(self, structure: Any, scalars: Sequence[Any]) -> dict[str, Any]:
        """Return nothing: there are none."""
        return {}

    def label_of(self, structure: Any, scalars: Sequence[Any]) -> str:
        """Return the label."""
        return self.label


class VjpOp(GradientOp):
    """The gradient of an op, as an op: retained arrays and output gradients -> gradients of the inputs."""

    def __init__(self, plan: Plan, given: tuple[bool, ...] | None, scalars: Sequence[Any]) -> None:
        super().__init__(
            plan.op.name,
            f"{plan.op.name} grad" if "{" in plan.op.label else f"{plan.op.label_of(plan.structure, scalars)}Grad",
        )
        self.of = plan
        ins, outs = plan.retained(scalars)
        full = plan._full_jaxpr if given is None else None
        self.needs = needs = plan.led_to(given)
        jaxpr = plan.gradient_jaxpr(given, needs, scalars) if full is None else full
        plan._full_jaxpr = None
        n_in, n_states = len(plan.infos), len(plan.infos) + len(plan.out_infos)
        keep = [*ins, *(n_in + i for i in outs), *range(n_states, len(jaxpr.jaxpr.invars))]
        pruned = Pruned.of(jaxpr, keep)
        self.scalars = len(scalars)
        self.programs: dict[Any, Pruned] = {self.made_with(scalars): pruned}

        def trace(kinds: Sequence[Any]) -> Pruned:
            return Pruned.of(plan.gradient_jaxpr(given, needs, kinds), keep)

        self.trace = trace
        self.jit = plan.op.jit
        compiled = jitted(self.pure_tuple, self.name, self.jit, plan.mesh)
        self.compiled = compiled if pruned.unread else mover(compiled, pruned.closed, False)

    def made_with(self, scalars: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
        """Return what the jaxpr depends on besides the plan: JAX's settings, and the types of scalars and keys."""
        return numerics(), tuple(map(jax.typeof, scalars))

    def pure_tuple(self, *flat: Any) -> tuple[Any, ...]:
        """Return the gradients from retained arrays, output gradients and scalars."""
        made_with = self.made_with(flat[len(flat) - self.scalars :])  # JAX calls this again when it changes
        if made_with not in self.programs:
            self.programs[made_with] = self.trace(made_with[1])
        return self.programs[made_with](*flat)

    def pure(self, structure: Any) -> Callable[..., Any]:
        """Return the gradient as a function of flat arrays, then scalars; one gradient is not wrapped in a tuple."""
        if len(self.needs) == 1:
            return lambda *flat: self.pure_tuple(*flat)[0]
        return self.pure_tuple

    def parameters_of(self, structure: Any, scalars: Sequence[Any]) -> dict[str, Any]:
        """Return the parameters of the op this is the gradient of."""
        return self.of.op.parameters_of(self.of.structure, scalars)


def _text(value: Any) -> str:
    """Return a value as labels show it: whole numbers without a point, negative ones in parentheses."""
    if not isinstance(value, int | float):
        return str(value)
    text = str(int(value)) if value == value // 1 and abs(value) < 1e16 else str(value)
    return f"({text})" if value < 0 else text


class OpFunction(Protocol[P, R_co]):
    """What `op` returns: the function, callable on Variables and arrays."""

    op: Op
    __name__: str
    __qualname__: str
    __module__: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the op."""
        ...

    def vjp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Give the gradient in closed form: see `Op.vjp`."""
        ...


@overload
def op(function: Callable[P, R], /) -> OpFunction[P, R]: ...
@overload
def op(
    *, label: str | None = None, name: str | None = None, class_name: str | None = None
) -> Callable[[Callable[P, R]], OpFunction[P, R]]: ...
def op(
    function: Any = None, /, *, label: str | None = None, name: str | None = None, class_name: str | None = None
) -> Any:
    """Declare a pure JAX function as an op.

    The annotations are the declaration: arrays are the graph's inputs, `float` parameters are traced scalars (a new
    value does not compile), everything else is static. Dimension letters are checked.

    Args:
        function: The function, with arrays (or tuples of them) in and out.
        label: Label of its node, as Chainer names it; ``{parameter}`` fields are filled per call. Default: `name`.
        name: Name in the jaxpr. Default: the function's, without underscores before it.
        class_name: Name of Chainer's class, where neither label nor name tells it.

    Returns:
        A function of the same signature on Variables. ``.vjp`` is a decorator for a gradient in closed form.
    """

    def decorate(function: Any) -> Any:
        own = name or function.__name__.lstrip("_")
        made = Op(function, own, label or own, class_name)
        call: Any = functools.wraps(function)(made.public())
        call.op, call.vjp = made, made.vjp
        return call

    return decorate if function is None else decorate(function)
