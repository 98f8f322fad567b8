"""A compiled program of a static callable: gather the cells, call, write back."""

from __future__ import annotations

import collections
import functools
import itertools
import math
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from jaxchain.core import random
from jaxchain.core.compat import equations, fingerprint, origin, split_gradient, without_dead_code
from jaxchain.core.config import is_debug, thread_state
from jaxchain.core.errors import call_site, format_source
from jaxchain.core.guard import NotCompilable, Outcome, first_miss, passed
from jaxchain.core.op import Op, has_nan, special_pullback, variable_on
from jaxchain.core.scopes import tag_of
from jaxchain.core.state import ARRAY, NUMBER, Walk, Write, count, take, template_of
from jaxchain.core.trace import COTANGENT, Traced
from jaxchain.core.variable import FunctionRecord, Slice, Variable, VariableNode, as_array, info_of


class VariantMismatch(Exception):
    """A cell no longer has the shape or dtype that a variant was compiled for."""


# XLA would leave out a cast to float16 and back; then the static result would not be the eager one
EXACT = {"xla_allow_excess_precision": False}
MANY = 4  # gradients from which that pays
SMALL = 4096  # elements of a gradient up to which it is returned with others as one flat array: copying is cheaper
MISS = object()  # what a variant returns whose guards did not hold: nothing was written


class Pruned(NamedTuple):
    """A jaxpr without dead code, of some of its inputs.

    Attributes:
        closed: The jaxpr: those inputs, then those that nested calls name and nothing reads.
        unread: What the latter look like: any value will do.
    """

    closed: ClosedJaxpr
    unread: list[Any]

    @classmethod
    def of(cls, closed: ClosedJaxpr, keep: Sequence[int]) -> Pruned:
        """Return what is left of a jaxpr; `keep` says which inputs there will be."""
        pruned, unread = without_dead_code(closed, keep)
        return cls(pruned, [closed.jaxpr.invars[i].aval for i in unread])

    def filled(self, args: Sequence[Any]) -> list[Any]:
        """Return all inputs of the jaxpr."""
        return [*args, *(jnp.zeros(a.shape, a.dtype) for a in self.unread)]

    def __call__(self, *args: Any) -> tuple[Any, ...]:
        """Run it."""
        return tuple(jaxpr_as_fun(self.closed)(*self.filled(args)))


def check(args: Sequence[Any], expected: Sequence[tuple[Any, Any]]) -> None:
    """Raise `VariantMismatch` if an input has not the shape and dtype that a program was traced for."""
    for value, want in zip(args, expected, strict=True):
        if value is None or (value.shape, value.dtype) != want:
            raise VariantMismatch


class Variant:
    """One compiled program of a static callable: what it needs to hold, what it reads, what it writes.

    Attributes:
        guards: What was assumed about values; each call checks it.
        missed: The outcomes of the last call that did not fit, up to the first that was different.
    """

    variables = False  # whether Variables in places go in as they are, so that gradients reach them

    def __init__(self, traced: Traced, donate: bool) -> None:
        plan = traced.plan
        self.traced = traced
        self.walk: Walk = plan["walk"]
        self.name = traced.name
        live, groups = plan["live"], plan["groups"]
        bounds, at = {}, 0
        for group, values in groups.items():
            bounds[group] = (at, at + len(values))
            at += len(values)

        def kept(group: str) -> list[int]:
            lo, hi = bounds[group]
            return [i - lo for i in range(lo, hi) if live[i]]

        self.draws: int = plan["trace"].draws
        self.uses_key = live[0]
        self.arrays = [plan["arrays"][i] for i in kept("arrays")]
        self.uninitialised = plan["uninitialised"]
        self.grads = [plan["grads"][i] for i in kept("grads")]
        self.grad_none = plan["grad_none"]
        self.grads_read = plan["grads_read"]
        simple, mixed, at = [], [], 0  # places that hold one array, and the others
        flat_at: list[tuple[bool, int]] = []  # of each flat place value: whether its place is simple, and its number
        for place, template in zip(self.walk.places, self.walk.templates, strict=True):
            is_simple = template in (ARRAY, NUMBER)
            for _ in range(count(template)):
                flat_at.append((is_simple, len(simple) if is_simple else at))
                at += not is_simple
            (simple if is_simple else mixed).append(place if is_simple else (*place, template))
        live_places = [flat_at[i] for i in kept("places")]
        self.places = [simple[k] for is_simple, k in live_places if is_simple]
        self.mixed_at = [k for is_simple, k in live_places if not is_simple]
        self.mixed = mixed
        self.argument_at = kept("arguments")
        self.dynamic = plan["dynamic"]
        self.result = plan["result"]
        self.writes: list[Write] = plan["writes"]
        self._sort_writes(traced)
        self.argument_writes = plan["argument_writes"]
        self.reports = plan["reports"]
        self.hits = self.misses = 0
        self.guards = traced.guards
        first = len(traced.jaxpr.jaxpr.outvars) - len(traced.guards) - len(plan.get("gradients", ((), ()))[1])
        self.predicates = slice(first, first + len(traced.guards))  # where they are among the outputs
        self.missed: tuple[Outcome, ...] = ()
        lo = bounds["places"][0]
        places = [i for i in range(*bounds["places"]) if live[i]]
        places = [i for i in places if flat_at[i - lo][0]] + [i for i in places if not flat_at[i - lo][0]]
        order = [
            i
            for group in groups
            for i in (places if group == "places" else (k for k in range(*bounds[group]) if live[k]))
        ]
        self.order = order
        invars = traced.jaxpr.jaxpr.invars
        expected = [(invars[i].aval.shape, invars[i].aval.dtype) for i in order]
        run = self.pruned = Pruned.of(self.forward_of(traced), order)
        self.expected = expected
        self.debug = is_debug()  # then nothing is donated: a call that gives NaN is run again, equation by equation
        self.donated: dict[int, int] = self._donated(live, bounds) if donate and not self.debug else {}
        groups_flat = [[at for _, at in group] for group in self.flat_grads]
        guards, kept_safe = self.guards, self.donated
        first, last = self.predicates.start, self.predicates.stop

        def call(*args: Any) -> tuple[Any, ...]:
            check(args, expected)
            outputs = list(run(*args))
            if guards:
                held = passed(outputs[first:last], guards)
                for i, at in kept_safe.items():  # on a miss a donated cell gets its own value back
                    outputs[at] = jnp.where(held, outputs[at], args[i])
                outputs.append(held)
            for group in groups_flat:
                flat = jnp.concatenate([outputs[at].ravel() for at in group])
                for at in group:
                    outputs[at] = None
                outputs[group[0]] = flat
            return tuple(outputs)

        call.__name__ = call.__qualname__ = self.name
        self.function = call
        self.compiled = jax.jit(call, donate_argnums=tuple(self.donated), compiler_options=EXACT)
        self.shared = False

    def forward_of(self, traced: Traced) -> ClosedJaxpr:
        """Return what is compiled for a call."""
        return traced.jaxpr

    def programs(self) -> list[tuple[Any, list[Any]]]:
        """Return the jitted functions and what each takes: that of the call first."""
        invars = self.traced.jaxpr.jaxpr.invars
        return [(self.compiled, [_spec(invars[i].aval) for i in self.order])]

    @functools.cached_property
    def program(self) -> tuple[Any, ...]:
        """What the compiled program is: two variants with equal programs are one program under two keys."""
        return (
            fingerprint(self.pruned.closed),
            tuple(self.donated),
            tuple((type(g.outcome), g.outcome) for g in self.guards),
        )

    def share(self, others: Sequence[Variant]) -> None:
        """Take over the compiled program of another variant if it is the same."""
        for other in others:
            if other.program == self.program:
                self.function, self.compiled, self.shared = other.function, other.compiled, True
                return

    def _sort_writes(self, traced: Traced) -> None:
        """Sort the writes: those that put one output in one slot are done without ceremony."""
        avals = [v.aval for v in traced.jaxpr.jaxpr.outvars]
        self.array_writes: list[tuple[Any, int]] = []
        self.grad_writes: list[tuple[Any, int]] = []
        self.flat_grads: list[list[tuple[Any, int]]] = []
        self.item_writes: list[tuple[Any, Any, int]] = []
        self.other_writes: list[Write] = []
        for write in self.writes:
            at, owner = write.index, write.container
            if at is None:
                self.other_writes.append(write)
            elif write.how == "grad":
                self.grad_writes.append((owner, at))
            elif write.how == "item":
                self.item_writes.append((owner, write.key, at))
            elif write.how == "array" and (owner._node.info.shape, owner._node.info.dtype) == (
                avals[at].shape,
                avals[at].dtype,
            ):
                self.array_writes.append((owner, at))
            else:
                self.other_writes.append(write)
        if not self.variables:
            small = [w for w in self.grad_writes if avals[w[1]].size <= SMALL and traced.plan["uses"][w[1]] == 1]
            groups = [
                [w for w in small if avals[w[1]].dtype == dtype] for dtype in {avals[at].dtype for _, at in small}
            ]
            self.flat_grads = [group for group in groups if len(group) >= MANY]
            flat = {at for group in self.flat_grads for _, at in group}
            self.grad_writes = [w for w in self.grad_writes if w[1] not in flat]
        self.slices = [(group[0][1], _slices([(p, avals[at].shape) for p, at in group])) for group in self.flat_grads]

    def _donated(self, live: list[bool], bounds: dict[str, tuple[int, int]]) -> dict[int, int]:
        """Return which inputs' buffers the program may take over, cells that it reads and writes: {input: output}."""
        written = {(w.how, id(w.container), w.key): w.index for w in self.writes if w.index is not None}
        uses = collections.Counter(written.values())
        cells = [("array", id(p), None) for p in self.arrays] + [None] * len(self.grads)
        cells += [("item", id(container), key) for container, key in self.places]
        donated = {}
        for position, cell in enumerate(cells, int(self.uses_key)):
            at = written.get(cell) if cell is not None else None
            if at is not None and (uses[at] == 1 or not self.guards):
                donated[position] = at
        return donated

    def difference(self) -> str | None:
        """Return why this variant does not fit the program's state now, or None."""
        for p in self.uninitialised:
            if p._array is not None:
                return f"parameter {p.name} was initialised"
        reason = self.walk.difference()
        if reason is not None:
            return reason
        for container, key, template in self.mixed:
            try:
                value = container[key]
            except (KeyError, IndexError, AttributeError, ValueError):
                return f"{key} was deleted"
            if not take(template, value, []):
                return f"{key}: {template} -> {template_of(value) or type(value).__name__}"
        if self.grads_read:
            now = [p._grad is None for p in self.walk.parameters]
            if now != self.grad_none:
                return "a gradient was None before and is not now, or the reverse"
        return None

    def gather(self, leaves: Sequence[Any]) -> list[Any]:
        """Return the flat inputs of a call."""
        values: list[Any] = []
        if self.uses_key:
            values.append(random.ops.state())
        values += [p._array for p in self.arrays]
        if self.grads:
            values += [p.grad for p in self.grads]
        values += [container[key] for container, key in self.places]
        if self.mixed_at:
            mixed: list[Any] = []
            for container, key, template in self.mixed:
                take(template, container[key], mixed, self.variables)
            values += [mixed[k] for k in self.mixed_at]
        arguments: list[Any] = []
        for i in self.dynamic:
            leaf = leaves[i]
            if isinstance(leaf, Variable):
                arguments.append(leaf if self.variables else leaf._array)
                if leaf._grad is not None:
                    arguments.append(leaf.grad)
            elif isinstance(leaf, np.ndarray):
                arguments.append(leaf.copy())  # JAX would alias a live NumPy buffer
            else:
                arguments.append(leaf)
        if len(self.argument_at) == len(arguments):
            values += arguments
        else:
            values += [arguments[i] for i in self.argument_at]
        return values

    def finish(self, outputs: Sequence[Any], leaves: Sequence[Any]) -> Any:
        """Write the results of a call back, replay its reports and return its result."""
        arrays = [as_array(y) for y in outputs] if self.variables else outputs
        for parameter, at in self.array_writes:
            parameter._array = arrays[at]
        for parameter, at in self.grad_writes:
            parameter._grad = arrays[at]
        for at, slices in self.slices:
            flat = outputs[at]
            for parameter, start, shape in slices:
                parameter._grad = Slice(flat, start, shape)
        for container, key, at in self.item_writes:
            container[key] = arrays[at]
        for write in self.other_writes:
            write.apply(outputs)
        for i, how, build in self.argument_writes:
            if how == "array":
                leaves[i].array = build(outputs)
            else:
                leaves[i]._grad = build(outputs)
        random.ops.count += self.draws
        for values, observer, report in self.reports:
            report({k: build(outputs) for k, build in values.items()}, observer)
        return self.result(outputs)

    def __call__(self, leaves: Sequence[Any]) -> Any:
        """Run the compiled program on the cells and arguments."""
        values = self.gather(leaves)
        for i in self.donated:  # an array that somebody else holds is copied first: its buffer must not be taken over
            if sys.getrefcount(values[i]) > HELD and isinstance(values[i], jax.Array):
                values[i] = jnp.array(values[i], copy=True)
        outputs = self.compiled(*values)
        if self.guards and not outputs[-1]:
            self.misses += 1
            self._put_back(outputs)
            self.miss(outputs[self.predicates])
            return MISS
        if self.debug and any(has_nan(y) for y in outputs if y is not None):
            raise nan_error(self.name, self.pruned, values)
        self.hits += 1
        return self.finish(outputs, leaves)

    def miss(self, predicates: Sequence[Any]) -> None:
        """Note which outcomes a call had that did not fit."""
        self.missed = first_miss(predicates, self.guards)

    @functools.cached_property
    def questions(self) -> tuple[Any, list[int]] | None:
        """The program that gives only the predicates, and which of the inputs it takes; None if it has effects."""
        closed = self.pruned.closed
        wanted = closed.jaxpr.replace(
            outvars=closed.jaxpr.outvars[self.predicates], debug_info=closed.jaxpr.debug_info.with_unknown_names()
        )
        asked, used = without_dead_code(ClosedJaxpr(wanted, closed.consts), ())
        if closed.effects or len(closed.jaxpr.invars) != len(self.expected):
            return None
        expected = [self.expected[i] for i in used]

        def questions(*args: Any) -> list[Any]:
            check(args, expected)
            return jaxpr_as_fun(asked)(*args)

        questions.__name__ = f"{self.name}_questions"
        return jax.jit(questions, compiler_options=EXACT), used

    def foresee(self, leaves: Sequence[Any]) -> bool:
        """Return whether the guards of a call would hold; note its outcomes if they would not."""
        if not self.guards or self.questions is None:
            return True
        function, used = self.questions
        values = self.gather(leaves)
        values = [values[i] for i in used]
        self.miss(function(*(v._array if isinstance(v, Variable) else v for v in values)))
        return len(self.missed) == len(self.guards) and self.missed[-1] == self.guards[-1].outcome

    def _put_back(self, outputs: Sequence[Any]) -> None:
        """Give the cells whose buffers were donated their old values, which the program returned."""
        donated = set(self.donated.values())
        for parameter, at in self.array_writes:
            if at in donated:
                parameter._array = outputs[at]
        for container, key, at in self.item_writes:
            if at in donated:
                container[key] = outputs[at]


def nan_error(name: str, program: Pruned, values: Sequence[Any]) -> RuntimeError:
    """Return the error of a program that gave NaN: it names the node and the user's line where the first one arose."""
    sources: dict[str, Any] = {}  # of the forward nodes, by scope
    for eqn, _, outputs in equations(program.closed, program.filled(values)):
        path, source = origin(eqn)
        tag = tag_of(path)
        if tag is not None and tag.role == "backward":
            forward = path.rpartition("backward/")[2]
            source = next((s for p, s in sources.items() if p.endswith(forward)), source)
        sources.setdefault(path, source)
        if any(map(has_nan, outputs)):
            label = str(eqn.params.get("name", eqn.primitive)) if tag is None else tag.label
            backward = " (backward)" if tag is not None and tag.role == "backward" else ""
            return RuntimeError(f"NaN is detected on the result of {label}{backward}\nat {format_source(source)}")
    return RuntimeError(
        f"NaN is detected on the result of {name}, compiled, and in none of its nodes run one by one: "
        "jaxchain.verify says more"
    )


def _slices(shapes: Sequence[tuple[Any, tuple[int, ...]]]) -> list[tuple[Any, int, tuple[int, ...]]]:
    """Return (owner, start, shape) of arrays that follow each other in a flat one."""
    starts = itertools.accumulate((math.prod(shape) for _, shape in shapes), initial=0)
    return [(owner, start, shape) for (owner, shape), start in zip(shapes, starts, strict=False)]


def _spec(aval: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=getattr(aval, "weak_type", False))


def _held() -> int:
    """Return `sys.getrefcount` of an array that only one cell and one list hold, as `Variant.__call__` sees it."""
    cell = [object()]
    values = list(cell)
    for i in [0]:
        return sys.getrefcount(values[i])
    raise AssertionError


HELD = _held()


class LinkGradient(Op):
    """The gradient of a compiled link call: what the tape of its trace says, in two forms.

    `compiled` reads what the forward left; as an op it is a function of all inputs, to be differentiated again.

    Args:
        name: Name of the link's class.
        backward: Inputs that are read, residuals, output gradients -> gradients.
        whole: All inputs of the call, output gradients -> gradients.
        cotangents: Shape and dtype of each output gradient.
    """

    def __init__(self, name: str, backward: Pruned, whole: Pruned, cotangents: Sequence[Any]) -> None:
        self.name, self.label, self.rule, self.plans = f"{name}_vjp", f"{name}Grad", None, {}
        self.whole, self.cotangents = whole, cotangents

        def call(*args: Any) -> tuple[Any, ...]:
            return backward(*args)

        call.__name__ = call.__qualname__ = self.name
        self.compiled = jax.jit(call, compiler_options=EXACT)

    def filled(self, gys: Sequence[Any]) -> list[Any]:
        """Return the output gradients, zeros where none came."""
        return [jnp.zeros(a.shape, a.dtype) if g is None else g for g, a in zip(gys, self.cotangents, strict=True)]

    def pure(self, structure: Any) -> Callable[..., Any]:
        """Return the gradients as a function of the inputs and the output gradients."""
        return self.whole

    def check(self, structure: Any, infos: Any) -> None:
        """Nothing to check: the ops inside were checked."""

    def describe(self, structure: Any, infos: Any) -> str:
        """Return the call with its input types."""
        return f"{self.name}({', '.join(map(repr, infos))})"

    def parameters_of(self, structure: Any, scalars: Sequence[Any]) -> dict[str, Any]:
        """A link call has no parameters of its own."""
        return {}

    def label_of(self, structure: Any, scalars: Sequence[Any]) -> str:
        """Return the link's class name."""
        return self.label


class LinkNode(FunctionRecord):
    """The node that a compiled link call leaves in the graph."""

    __slots__ = ("arrays", "gradient", "hooks", "residuals", "scalars", "variant")

    variant: LinkVariant
    gradient: LinkGradient
    arrays: Sequence[Any]
    residuals: Sequence[Any]

    @property
    def label(self) -> str:
        """The link's class name."""
        return self.variant.name

    @property
    def op_name(self) -> str:
        """The link's class name."""
        return self.variant.name

    @property
    def static_args(self) -> dict[str, Any]:
        """A link call has no parameters of its own."""
        return {}

    @property
    def kept(self) -> list[Any]:
        """The arrays that the gradient reads."""
        return [*(self.arrays[i] for i in self.variant.gradient_reads), *self.residuals]

    def retained_output(self, index: int) -> Any:
        """Return the array of an output, if it was kept: none is."""
        return None

    def pullback(self, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        """Return (positions, gradients) of the inputs, as arrays."""
        gys = self.gradient.filled(gys)
        state = thread_state()
        if state.debug and any(map(has_nan, self.gradient.compiled(*self.kept, *gys))):
            raise nan_error(f"{self.label} (backward)", self.gradient.whole, [*self.arrays, *gys])
        if state.special:
            return self.variant.needs, special_pullback(self, self.gradient, gys, state)
        return self.variant.needs, self.gradient.compiled(*self.kept, *gys)

    def attach(self, outputs: list[Any], differentiable: Sequence[int]) -> None:
        """Put Variables in the place of the outputs that a gradient can come from."""
        nodes = []
        for index, at in enumerate(differentiable):
            array = outputs[at]
            variable = outputs[at] = Variable._of(array, VariableNode(info_of(array, True)))
            node = variable._node
            node.creator_node, node.rank, node.output_index = self, self.rank + 1, index
            nodes.append(weakref.ref(node))
        self.outputs = tuple(nodes)

    def pullback_graph(self, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        """Return (positions, gradients) of the inputs, as Variables with a graph of their own."""
        inputs = [variable_on(node, array) for node, array in zip(self.inputs, self.arrays, strict=True)]
        return self.variant.needs, self.gradient.apply((), [*inputs, *self.gradient.filled(gys)], ())


class LinkVariant(Variant):
    """A variant of a link call: differentiable with respect to parameters, arguments and Variables in places.

    Attributes:
        needs: Positions of the inputs that a gradient goes to.
        differentiable: The outputs that a gradient can come from.
        gradient_reads: Positions of the inputs that the gradient reads.
    """

    variables = True

    def __init__(self, traced: Traced) -> None:
        self.gradient: LinkGradient | None = None
        self.backward: Pruned | None = None
        self.split: ClosedJaxpr | None = None
        super().__init__(traced, donate=False)
        self.infos = [info_of(traced.jaxpr.jaxpr.invars[i].aval, False) for i in self.order]
        if self.split is None:
            return
        self.differentiable, reached = traced.plan["gradients"]
        place = {i: at for at, i in enumerate(self.order)}
        self.needs = tuple(place[i] for i in reached)
        # a random key that a nested call names, and nothing reads, is no input of the forward
        known = [k for k, i in enumerate(self._reads) if i in place]
        self.gradient_reads = [place[self._reads[k]] for k in known]
        after = range(len(self._reads), len(self.split.jaxpr.invars))
        self.backward = Pruned.of(self.split, [*known, *after])
        n, extra = len(traced.jaxpr.jaxpr.invars), len(self.differentiable)
        whole = Pruned.of(self._whole, [*self.order, *range(n, n + extra)])
        self.gradient = LinkGradient(self.name, self.backward, whole, [v.aval for v in self._whole.jaxpr.invars[n:]])
        del self._whole, self.split

    def forward_of(self, traced: Traced) -> ClosedJaxpr:
        """Return the forward with the residuals as further outputs, if there is a gradient."""
        if not traced.plan.get("gradients", ((), ()))[1]:
            return traced.jaxpr
        try:
            forward, self.split, self._whole, self._reads = split_gradient(
                traced.jaxpr, self.predicates.stop, COTANGENT
            )
        except ValueError as error:
            raise NotCompilable("its gradient looks at a value") from error
        return forward

    def programs(self) -> list[tuple[Any, list[Any]]]:
        """Return the jitted functions and what each takes: that of the call first, then that of the backward pass."""
        found = super().programs()
        if self.backward is not None:
            assert self.gradient is not None
            inputs = self.backward.closed.jaxpr.invars
            found.append(
                (self.gradient.compiled, [_spec(v.aval) for v in inputs[: len(inputs) - len(self.backward.unread)]])
            )
        return found

    @functools.cached_property
    def program(self) -> tuple[Any, ...]:
        """What the compiled programs are."""
        program = Variant.program.func(self)  # type: ignore[attr-defined]
        return program if self.backward is None else (*program, fingerprint(self.backward.closed))

    def share(self, others: Sequence[Any]) -> None:
        """Take over the compiled programs of another variant if they are the same."""
        for other in others:
            if other.program == self.program:
                self.function, self.compiled, self.shared = other.function, other.compiled, True
                self.gradient = other.gradient
                return

    def __call__(self, leaves: Sequence[Any]) -> Any:
        """Run the compiled program; leave one node in the graph."""
        values = self.gather(leaves)
        at = int(self.uses_key)
        values[at : at + len(self.arrays)] = self.arrays
        arrays = [x._array if isinstance(x, Variable) else x for x in values]
        state = thread_state()
        recording = self.gradient is not None and state.record
        node = self._node(values, arrays, state) if recording or state.special else None
        hooks = list(state.hooks.values())
        for hook in hooks:
            hook.forward_preprocess(node, tuple(arrays))
        outputs = list(self.compiled(*arrays))
        for hook in hooks:
            hook.forward_postprocess(node, tuple(arrays))
        if self.guards and not outputs[-1]:
            self.misses += 1
            self.miss(outputs[self.predicates])
            return MISS
        if self.debug and any(map(has_nan, outputs[: self.predicates.start])):
            raise nan_error(self.name, self.pruned, arrays)
        self.hits += 1
        if recording:
            assert node is not None
            node.residuals = outputs[self.predicates.stop : len(outputs) - bool(self.guards)]
            node.attach(outputs, self.differentiable)
        return self.finish(outputs, leaves)

    def _node(self, values: Sequence[Any], arrays: Sequence[Any], state: Any) -> LinkNode:
        node = LinkNode()
        node.variant, node.gradient, node.arrays, node.scalars = self, self.gradient, arrays, ()  # type: ignore[assignment]
        node.inputs = tuple(
            x._node if isinstance(x, Variable) else VariableNode(i) for x, i in zip(values, self.infos, strict=True)
        )
        node.rank = max((n.rank for n in node.inputs), default=0)
        node.scope, node.site, node.outputs = state.scope, call_site(3), ()
        node.ordinal = 0
        if state.scope is not None:
            node.ordinal = state.scope.count
            state.scope.count += 1
        return node
