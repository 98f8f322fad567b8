"""The compiled call of a link: one differentiable node in the eager graph, its gradient compiled, too."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr

from jaxchain.core.arrays import has_nan, info_of
from jaxchain.core.compat import fingerprint, split_gradient, with_outputs
from jaxchain.core.config import thread_state
from jaxchain.core.errors import call_site
from jaxchain.core.exact import exact_jit
from jaxchain.core.guard import NotCompilable
from jaxchain.core.nodes import FunctionRecord, VariableNode
from jaxchain.core.op import GradientOp
from jaxchain.core.op_node import special_pullback, variable_on
from jaxchain.core.program import Pruned, nan_error
from jaxchain.core.spread import spec, zeros_of
from jaxchain.core.tape import COTANGENT
from jaxchain.core.traced import Traced
from jaxchain.core.variable import Variable
from jaxchain.core.variant import MISS, Variant


class LinkGradient(GradientOp):
    """The gradient of a compiled link call: what the tape of its trace says, in two forms.

    `compiled` reads what the forward left; as an op it is a function of all inputs, to be differentiated again.

    Args:
        name: Name of the link's class.
        backward: Inputs that are read, residuals, output gradients -> gradients.
        whole: All inputs of the call, its `inner` outputs, output gradients -> gradients.
        cotangents: Shape and dtype of each output gradient.
    """

    jit = staticmethod(exact_jit)

    def __init__(self, name: str, backward: Pruned, whole: Pruned, cotangents: Sequence[Any]) -> None:
        super().__init__(name, f"{name}Grad")
        self.whole, self.cotangents = whole, cotangents

        def call(*args: Any) -> tuple[Any, ...]:
            return backward(*args)

        call.__name__ = call.__qualname__ = self.name
        self.compiled = exact_jit(call)

    def filled(self, gys: Sequence[Any], arrays: Sequence[Any]) -> list[Any]:
        """Return the output gradients, zeros where none came; `arrays` are the inputs of the call."""
        return [zeros_of(a, arrays) if g is None else g for g, a in zip(gys, self.cotangents, strict=True)]

    def pure(self, structure: Any) -> Callable[..., Any]:
        """Return the gradients as a function of the inputs, the inner outputs and the output gradients."""
        return self.whole


class LinkNode(FunctionRecord):
    """The node that a compiled link call leaves in the graph."""

    __slots__ = ("arrays", "gradient", "made", "residuals", "scalars", "variant")

    variant: LinkVariant
    gradient: LinkGradient
    arrays: Sequence[Any]
    residuals: Sequence[Any]
    made: Sequence[Any]  # the arrays of the `inner` outputs

    @property
    def inner(self) -> Sequence[int]:
        """Places of the outputs that other outputs were made of."""
        return self.variant.inner

    @property
    def label(self) -> str:
        """The link's class name."""
        return self.variant.name

    @property
    def op_name(self) -> str:
        """The link's class name."""
        return self.variant.name

    @property
    def kept(self) -> list[Any]:
        """The arrays that the gradient reads."""
        return [*(self.arrays[i] for i in self.variant.gradient_reads), *self.residuals]

    def keeps(self) -> list[tuple[VariableNode | None, Any]]:
        """Return the arrays kept for the gradient, each with the input that it is, or None."""
        read = [(self.inputs[i], self.arrays[i]) for i in self.variant.gradient_reads]
        return [*read, *((None, a) for a in self.residuals)]

    def pullback(self, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        """Return (positions, gradients) of the inputs, as arrays."""
        given, gys = gys, self.gradient.filled(gys, self.arrays)
        state = thread_state()
        if state.debug and any(map(has_nan, self.gradient.compiled(*self.kept, *gys))):
            raise nan_error(f"{self.label} (backward)", self.gradient.whole, [*self.arrays, *self.made, *gys])
        if state.special:
            gxs = special_pullback(self, self.gradient, gys, state)
        else:
            gxs = self.gradient.compiled(*self.kept, *gys)
        return self.variant.needs, self.variant.arrived(gxs, given)

    def totals(self, gys: Sequence[Any]) -> Sequence[Any]:
        """Return the whole gradients of the outputs, from those that arrived at each: they differ for `inner`."""
        variant, filled, found = self.variant, self.gradient.filled(gys, self.arrays), list(gys)
        came = sum(1 << place for place, gy in enumerate(gys) if gy is not None)
        needed = [came & bits & ~(1 << at) for at, bits in zip(variant.inner, variant.inner_from, strict=True)]
        if not any(needed):
            return gys
        if any(isinstance(g, Variable) for g in gys):
            whole = variant.totals.apply((), [*self._read(), *filled], ())
        else:
            whole = variant.totals.compiled(*self.arrays, *self.made, *filled)
        for at, total, is_needed in zip(variant.inner, whole, needed, strict=True):
            if is_needed:
                found[at] = total
        return found

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
        gxs = self.gradient.apply((), [*self._read(), *self.gradient.filled(gys, self.arrays)], ())
        return self.variant.needs, self.variant.arrived(gxs, gys)

    def _read(self) -> list[Variable]:
        """Return what the gradient is a function of: the inputs, and the outputs that others were made of."""
        made = [self.output_node(at, info_of(a, True)) for at, a in zip(self.inner, self.made, strict=True)]
        nodes, arrays = [*self.inputs, *made], [*self.arrays, *self.made]
        return [variable_on(node, array) for node, array in zip(nodes, arrays, strict=True)]


class LinkVariant(Variant):
    """A variant of a link call: differentiable with respect to parameters, arguments and Variables in places.

    Attributes:
        needs: Positions of the inputs that a gradient goes to.
        differentiable: The outputs that a gradient can come from.
        gradient_reads: Positions of the inputs that the gradient reads.
        inner: Of the differentiable outputs, by place, those that others of them were made of.
        inner_from: Which of the outputs each of these led to, itself among them: bits, by place.
        totals: Their whole gradients.
    """

    variables = True
    totals: LinkGradient

    def __init__(self, traced: Traced) -> None:
        self.gradient: LinkGradient | None = None
        self.backward: Pruned | None = None
        self.split: ClosedJaxpr | None = None
        super().__init__(traced, donate=False)
        self.infos = [info_of(traced.jaxpr.jaxpr.invars[i], False) for i in self.inputs.order]
        if self.split is None:
            return
        self.differentiable, reached, self.inner, origins = traced.lifted.gradients
        self._from, self.inner_from = origins[: len(reached)], origins[len(reached) :]
        place = {i: at for at, i in enumerate(self.inputs.order)}
        self.needs = tuple(place[i] for i in reached)
        # a random key that a nested call names, and nothing reads, is no input of the forward
        known = [k for k, i in enumerate(self._reads) if i in place]
        self.gradient_reads = [place[self._reads[k]] for k in known]
        after = range(len(self._reads), len(self.split.jaxpr.invars))
        self.backward = Pruned.of(self.split, [*known, *after])
        invars, n = self._whole.jaxpr.invars, len(traced.jaxpr.jaxpr.invars)
        keep, cotangents = [*self.inputs.order, *range(n, len(invars))], [v.aval for v in invars[n + len(self.inner) :]]
        self.gradient = LinkGradient(self.name, self.backward, Pruned.of(self._whole, keep), cotangents)
        if self.inner:  # asked for seldom: a program of its own, which makes the forward again
            totals = Pruned.of(self._totals, keep)
            self.totals = LinkGradient(self.name, totals, totals, cotangents)
            del self._totals
        del self._whole, self.split

    def forward_of(self, traced: Traced) -> ClosedJaxpr:
        """Return the forward with the residuals as further outputs, if there is a gradient."""
        if not traced.lifted.gradients.inputs:
            return traced.jaxpr
        n, outputs = self.predicates.stop, traced.jaxpr.jaxpr.outvars
        inner = traced.lifted.gradients.inner
        last, made = len(outputs) - len(inner), [outputs[traced.lifted.gradients.outputs[place]] for place in inner]
        try:
            forward, self.split, self._whole, self._reads = split_gradient(
                with_outputs(traced.jaxpr, outputs[:last]), n, COTANGENT, made
            )
            if inner:
                whole = with_outputs(traced.jaxpr, outputs[:n] + outputs[last:])
                self._totals = split_gradient(whole, n, COTANGENT, made)[2]
        except ValueError as error:
            raise NotCompilable("its gradient looks at a value") from error
        return forward

    def arrived(self, gxs: Sequence[Any], gys: Sequence[Any]) -> Sequence[Any]:
        """Return the gradients of the inputs, None where an input led to none of the outputs that had one.

        Args:
            gxs: What the program gives, with zeros for output gradients that did not come.
            gys: The output gradients.
        """
        if all(gy is not None for gy in gys):
            return gxs
        came = sum(1 << place for place, gy in enumerate(gys) if gy is not None)
        return [gx if came & bits else None for gx, bits in zip(gxs, self._from, strict=True)]

    def programs(self) -> list[tuple[Any, list[Any]]]:
        """Return the jitted functions and what each takes: that of the call first, then that of the backward pass."""
        found = super().programs()
        if self.backward is not None:
            assert self.gradient is not None
            inputs = self.backward.closed.jaxpr.invars
            known = [self.traced.values[self.inputs.order[k]] for k in self.gradient_reads]
            rest = [None] * (len(inputs) - len(self.backward.unread) - len(known))
            specs = [spec(v.aval, value) for v, value in zip(inputs, [*known, *rest], strict=False)]
            found.append((self.gradient.compiled, specs))
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
        if self.ends:
            self.check_ends(leaves)
        values = self.gather(leaves)
        at, parameters = int(self.inputs.uses_key), self.inputs.arrays
        values[at : at + len(parameters)] = parameters
        arrays = [x._array if isinstance(x, Variable) else x for x in values]
        if self.asks and not self.fits(arrays):
            self.misses += 1
            return MISS
        state = thread_state()
        recording = self.gradient is not None and state.record
        node = self._node(values, arrays, state) if recording or state.special else None
        hooks = list(state.hooks.values())
        for hook in hooks:
            hook.forward_preprocess(node, tuple(arrays))
        try:
            outputs = list(self.restored(self.compiled(*arrays)))
        except (TypeError, ValueError):
            self.check_arrays(arrays)
            raise
        for hook in hooks:
            hook.forward_postprocess(node, tuple(arrays))
        if self.checks and not np.asarray(outputs[-1]):
            self.misses += 1
            self.miss(outputs[self.predicates])
            return MISS
        if self.debug and any(map(has_nan, outputs[: self.predicates.start])):
            raise nan_error(self.name, self.pruned, arrays)
        self.hits += 1
        if recording:
            assert node is not None
            node.made = [outputs[self.differentiable[place]] for place in self.inner]
            node.residuals = outputs[self.predicates.stop : len(outputs) - self.checks]
            node.attach(outputs, self.differentiable)
        return self.finish(outputs, leaves, [(outputs, self.draws)])

    def _node(self, values: Sequence[Any], arrays: Sequence[Any], state: Any) -> LinkNode:
        node = LinkNode()
        node.variant, node.gradient, node.arrays, node.scalars = self, self.gradient, arrays, ()  # type: ignore[assignment]
        node.inputs = tuple(
            x._node if isinstance(x, Variable) else VariableNode(i) for x, i in zip(values, self.infos, strict=True)
        )
        node.rank = max((n.rank for n in node.inputs), default=0)
        node.scope, node.site, node.outputs = state.scope, call_site(3), ()
        node.ordinal = 0 if state.scope is None else state.scope.next_ordinal()
        return node
