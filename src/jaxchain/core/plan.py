"""What an op does on inputs of given shapes: compiled forward and gradient, and which arrays the gradient reads."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr

from jaxchain.core.arrays import Info, info_of_type
from jaxchain.core.compat import bytes_of, live_inputs, origins_of
from jaxchain.core.deferred import SMALL, Waiting
from jaxchain.core.movement import mover
from jaxchain.core.spread import explicit_mesh, is_on_mesh, left_to_xla, spec_of


class Plan:
    """What one op does on inputs of given shapes: compiled once, found by one dict look-up afterwards.

    Args:
        op: The `Op`.
        structure: The static arguments, and which optional inputs are there.
        infos: What the inputs are.
        arrays: The inputs, or what waits in their place.
        scalars: Traced scalars and keys.

    Attributes:
        forward: Compiled forward: arrays, then scalars -> outputs.
        mesh: That over whose `Explicit` axes inputs are spread, or None.
        pure: The op as a function of flat arrays, then scalars.
        typed: The same, of arrays whose types say how they are spread.
        out_infos: `Info` of each output.
        single: Whether the op returns one array and not a tuple.
        keep: (inputs, then outputs) -> those that the gradient reads; None until it is known which.
        output_only: Whether that is one output and nothing else.
        needs: Positions of the inputs that a gradient goes to; empty if none.
        node: The class of its calls' nodes.
        origins: By position, from which outputs (bits): there once it is known what the gradient reads.
        size: Bytes of all inputs and outputs.
        alone: How often in a row the result was read at once (core/deferred.py).
        at_once: How many calls from now on do not wait: infinitely many if they are too large.
    """

    __slots__ = (
        "_full_jaxpr",
        "_pullbacks",
        "_retained",
        "_ruled",
        "alone",
        "at_once",
        "forward",
        "infos",
        "keep",
        "mesh",
        "needs",
        "node",
        "op",
        "origins",
        "out_infos",
        "output_only",
        "pure",
        "scalars",
        "single",
        "size",
        "structure",
        "typed",
    )

    def __init__(
        self, op: Any, structure: Any, infos: tuple[Info, ...], arrays: Sequence[Any], scalars: Sequence[Any]
    ) -> None:
        self.op, self.structure, self.infos, self.node = op, structure, infos, op.node
        self.pure = op.pure(structure)
        self.scalars = len(scalars)
        op.check(structure, infos)
        known = [a.info.struct if isinstance(a, Waiting) else a for a in arrays]
        self.mesh = explicit_mesh(i.struct for i in infos)
        self.typed = self.pure
        compiled = jitted(self.typed, op.name, op.jit, self.mesh)
        try:
            traced = compiled.trace(*known, *scalars)
        except Exception as error:
            if self.mesh is None:
                raise
            try:
                self.typed = self._left_to_xla(scalars)
                compiled = jitted(self.typed, op.name, op.jit, self.mesh)
                traced = compiled.trace(*known, *scalars)
            except Exception:
                raise error from None
        shapes = traced.out_info
        self.single = not isinstance(shapes, tuple)
        self.forward = mover(compiled, traced.jaxpr, self.single)
        outputs = (shapes,) if self.single else shapes
        grads = any(i.differentiable for i in infos)
        on_mesh = any(i.on_mesh for i in infos) or any(map(is_on_mesh, outputs))
        wanted = [grads and bool(jnp.issubdtype(s.dtype, jnp.inexact)) for s in outputs]
        self.out_infos = tuple(info_of_type(s, on_mesh, w) for s, w in zip(outputs, wanted, strict=True))
        self.needs = (
            tuple(i for i, info in enumerate(infos) if info.differentiable)
            if any(o.differentiable for o in self.out_infos)
            else ()
        )
        self.alone = 0
        size = bytes_of((*infos, *self.out_infos))
        self.at_once: float = math.inf if size is None or size > SMALL or jax.process_count() > 1 else 0
        self.size = size or 0
        self.origins: dict[int, int] = {}
        self._retained: tuple[tuple[int, ...], tuple[int, ...]] | None = None if self.needs else ((), ())
        self.keep: Any = None if self.needs else _picking(())
        self.output_only = False
        self._full_jaxpr: ClosedJaxpr | None = None
        self._pullbacks: dict[Any, Any] = {}
        self._ruled: Callable[..., Any] | None = None

    def _left_to_xla(self, scalars: Sequence[Any]) -> Callable[..., Any]:
        """Return the op with what is in it spread as XLA likes: for what JAX has no rule."""
        plain = [jax.ShapeDtypeStruct(a.shape, a.dtype) if hasattr(a, "dtype") else a for a in (*self.infos, *scalars)]
        shapes = jax.eval_shape(self.pure, *plain)
        specs = self.op.specs(self.structure, self.infos, shapes if isinstance(shapes, tuple) else (shapes,))
        return left_to_xla(self.pure, self.mesh, specs if isinstance(shapes, tuple) else specs[0])

    def retained(self, scalars: Sequence[Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return (positions of inputs, positions of outputs) that the gradient reads."""
        if self._retained is None:
            n_in, n_out = len(self.infos), len(self.out_infos)
            jaxpr = self.gradient_jaxpr(None, self.needs, scalars)
            origins = origins_of(jaxpr.jaxpr, range(n_in + n_out, n_in + 2 * n_out))
            if any(0 in i.shape for i in (*self.infos, *self.out_infos)):  # JAX computes nothing
                origins = [(1 << n_out) - 1] * len(self.needs)
            self.origins = dict(zip(self.needs, origins, strict=True))
            if not all(origins):  # what no output's gradient leads to gets none, as in Chainer
                self.needs = self.led_to(None)
                jaxpr = self.gradient_jaxpr(None, self.needs, scalars)
            live = live_inputs(jaxpr.jaxpr)
            self._retained = (
                tuple(i for i in range(n_in) if live[i]),
                tuple(i for i in range(n_out) if live[n_in + i]),
            )
            self.output_only = not self._retained[0] and len(self._retained[1]) == 1
            self.keep = _picking([*self._retained[0], *(n_in + i for i in self._retained[1])])
            self._full_jaxpr = jaxpr  # kept for the first pullback: one trace serves both
        return self._retained

    def led_to(self, given: tuple[bool, ...] | None) -> tuple[int, ...]:
        """Return the inputs that the output gradients that are given lead to."""
        came = -1 if given is None else sum(1 << place for place, g in enumerate(given) if g)
        return tuple(i for i in self.needs if self.origins[i] & came)

    def gradient_jaxpr(
        self, given: tuple[bool, ...] | None, needs: tuple[int, ...], scalars: Sequence[Any]
    ) -> ClosedJaxpr:
        """Trace the gradient: all inputs, all outputs, the output gradients that are given, scalars -> gradients."""
        n_in, n_out = len(self.infos), len(self.out_infos)
        avals = [i.struct for i in (*self.infos, *self.out_infos)]
        present = given or (True,) * n_out

        def full(*flat: Any) -> Any:
            rest = iter(flat[n_in + n_out :])
            ys = flat[n_in : n_in + n_out]
            gys = [next(rest) if p else jnp.zeros_like(y) for p, y in zip(present, ys, strict=True)]
            return self.gradient(flat[:n_in], ys, gys, needs, list(rest)) if needs else ()

        if self.mesh is not None and not self.op.is_gradient:
            full = left_to_xla(full, self.mesh, tuple(spec_of(self.infos[i].struct) for i in needs))
        cotangents = [a for a, p in zip(avals[n_in:], present, strict=True) if p]
        return jax.make_jaxpr(full)(*avals, *cotangents, *scalars)

    def gradient(
        self,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        gys: Sequence[Any],
        needs: tuple[int, ...],
        scalars: Sequence[Any],
    ) -> tuple[Any, ...]:
        """Return the gradients of the inputs at `needs`. Pure JAX: traced inside the jit of `pullback`."""
        if self.op.rule is not None:
            grads = self.op.apply_rule(self.structure, inputs, outputs, gys, scalars)
            return tuple(grads[i] for i in needs)

        def forward(*wanted: Any) -> Any:
            full = list(inputs)
            for i, x in zip(needs, wanted, strict=True):
                full[i] = x
            return self.pure(*full, *scalars)

        out, vjp = jax.vjp(forward, *(inputs[i] for i in needs))
        cotangents = tuple(
            g if jnp.issubdtype(y.dtype, jnp.inexact) else np.zeros(y.shape, jax.dtypes.float0)
            for g, y in zip(gys, (out,) if self.single else out, strict=True)
        )
        return vjp(cotangents[0] if self.single else cotangents)

    @property
    def ruled(self) -> Callable[..., Any]:
        """The forward for JAX's own transformations: its derivative is the op's rule, which may choose at kinks."""
        found = self._ruled
        if found is None:
            found = self._ruled = self.forward if self.op.rule is None else jitted(self._with_rule(), self.op.name)
        return found

    def _with_rule(self) -> Callable[..., Any]:
        count, pure = len(self.infos), self.typed

        def forward(*flat: Any) -> tuple[Any, Any]:
            out = ruled(*flat)  # which the rule may read, so it may be differentiated again
            return out, (flat, out)

        def backward(saved: Any, gy: Any) -> tuple[Any, ...]:
            flat, out = saved
            outputs, gys = ((out,), (gy,)) if self.single else (out, gy)
            gys = [jnp.zeros_like(y) if g.dtype == jax.dtypes.float0 else g for g, y in zip(gys, outputs, strict=True)]
            inputs, scalars = flat[:count], flat[count:]
            grads = self.op.apply_rule(self.structure, inputs, outputs, gys, scalars)
            real = [jnp.issubdtype(x.dtype, jnp.inexact) for x in inputs]
            of_scalars = jax.vjp(lambda *scalars: pure(*inputs, *scalars), *scalars)[1](gy) if scalars else ()
            return *(g if r else None for g, r in zip(grads, real, strict=True)), *of_scalars

        ruled = jax.custom_vjp(pure)
        ruled.defvjp(forward, backward)
        return ruled

    def pullback(self, given: tuple[bool, ...] | None, scalars: Sequence[Any]) -> Any:
        """Return the op that computes the gradient from the retained arrays and the output gradients that are given."""
        pullback = self._pullbacks.get(given)
        if pullback is None:
            pullback = self._pullbacks[given] = self.op.gradient_op(self, given, scalars)
        return pullback


def jitted(function: Callable[..., Any], name: str, jit: Callable[..., Any] = jax.jit, mesh: Any = None) -> Any:
    """Return a function compiled under a name, for arrays that are spread over a mesh or for others."""

    def call(*args: Any) -> Any:
        return function(*args)

    call.__name__ = call.__qualname__ = name
    return jit(call) if mesh is None else jit(call, keep_unused=True)  # the arrays say where the mesh is


def _picking(indices: Sequence[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Return a function of a tuple: the tuple of its items at ascending indices."""
    first, stop = (indices[0], indices[-1] + 1) if indices else (0, 0)
    if stop - first == len(indices):
        return operator.itemgetter(slice(first, stop))
    return operator.itemgetter(*indices)
