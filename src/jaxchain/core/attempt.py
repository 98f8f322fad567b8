"""One run of a program with tracers in its arguments and in every cell that it reaches."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from typing import Any, NamedTuple, cast

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr

from jaxchain.core import random
from jaxchain.core.arguments import array_of, containers_in, is_traced
from jaxchain.core.arrays import zeros
from jaxchain.core.cells import contents_of, count, held_elsewhere, holds
from jaxchain.core.compat import live_inputs
from jaxchain.core.config import lock, thread_state
from jaxchain.core.effects import Effects
from jaxchain.core.errors import StaticError, format_source, traceback_source
from jaxchain.core.guard import NotCompilable, Outcome, Refused, StartOver, Undecided, answering, evaluate
from jaxchain.core.installation import Installation, read
from jaxchain.core.interrupts import whole
from jaxchain.core.inventory import SAMPLE, put_back
from jaxchain.core.outputs import Outputs
from jaxchain.core.outside import substitute, watched
from jaxchain.core.parameter import Parameter
from jaxchain.core.state import Walk
from jaxchain.core.tape import gradients
from jaxchain.core.trace import Trace
from jaxchain.core.traced import Called, Gradients, Lifted, Traced
from jaxchain.core.variable import Variable
from jaxchain.core.writes import VariableArrayWrite, VariableGradientWrite, Write

Argument = tuple[int, Variable, Any, Any]  # its number, what stands for it, and the array and gradient that it had


class Raised(Exception):
    """The program raised an error, its cause here: run eagerly, it has its values and leaves behind what it does.

    Attributes:
        trace: The trace in which it was raised.
    """

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = trace


@contextlib.contextmanager
def own_errors() -> Iterator[None]:
    """Let out what a program raises while it is traced, after what it printed: for those who do not run it again."""
    try:
        yield
        return
    except Raised as raised:
        trace, error = raised.trace, raised.__cause__
    assert error is not None
    trace.print_out()
    raise error from error.__cause__


class Again(NamedTuple):
    """Why a program has to be traced again.

    Attributes:
        outcome: The value that it asked for.
        missing: Parameters that were not lifted.
        grads: Whether it reads a gradient that was not there.
    """

    outcome: Outcome | None = None
    missing: Sequence[Parameter] = ()
    grads: bool = False


class Attempt:
    """One run of a program with tracers in its arguments and in the cells of a walk.

    Args:
        called: The call.
        roots: Where the walk started, besides the arguments.
        walk: The cells.
        all_grads: Whether every initialised parameter gets a gradient tracer, also where its gradient is None: if none
            is read, as in a step that clears them first, the variant serves both cases.
        assumed: The values that are known.
    """

    trace: Trace
    result: Any
    argument_writes: list[Write]
    writes: list[Write]
    ends: list[int]
    reports: list[tuple[dict[str, Any], Any, Any]]
    gradients: Gradients = Gradients()

    def __init__(
        self,
        called: Called,
        roots: Sequence[tuple[str, Any]],
        walk: Walk,
        all_grads: bool,
        assumed: Sequence[Outcome],
    ) -> None:
        self.called, self.roots, self.walk, self.all_grads, self.assumed = called, list(roots), walk, all_grads, assumed
        cells = read(walk)
        assert cells is not None
        self.arrays, self.grads, self.places = cells
        self.holders = [place.cell for place in walk.places if place.template[0] in ("var", "tuple")]
        self.held = held_elsewhere(self.holders, walk.references())
        self.tracked_grads = self._tracked_grads()
        leaves = called.leaves
        self.dynamic = [i for i, v in enumerate(leaves) if is_traced(v)]
        self.outputs, self.effects = Outputs(walk), Effects(walk)
        names, arguments = self._arguments()
        groups = {
            "key": ([random.ops.state()], ["random key"]),
            "arrays": _present(self.arrays, walk.parameter_names),
            "grads": _present(self.tracked_grads, [f"{n}.grad" for n in walk.parameter_names]),
            "places": (self.places, _place_names(walk)),
            "arguments": (arguments, names),
        }
        self.flat: list[Any] = []
        self.inputs: list[str] = []
        self.bounds: dict[str, tuple[int, int]] = {}
        for group, (values, names) in groups.items():
            self.bounds[group] = len(self.flat), len(self.flat) + len(values)
            self.flat += values
            self.inputs += names

    def _tracked_grads(self) -> list[Any]:
        placeholder = functools.cache(zeros)

        def tracked(array: Any, grad: Any) -> Any:
            if array is None:
                return None
            if grad is not None:
                return grad.array if isinstance(grad, Variable) else grad
            return placeholder(array.shape, array.dtype) if self.all_grads else None

        return [tracked(a, g) for a, g in zip(self.arrays, self.grads, strict=True)]

    def _arguments(self) -> tuple[list[str], list[Any]]:
        names, arrays = [], []
        for i in self.dynamic:
            leaf, name = self.called.leaves[i], self.called.names[i]
            arrays.append(leaf._array if isinstance(leaf, Variable) else array_of(leaf))
            names.append(name)
            if isinstance(leaf, Variable) and leaf._grad is not None:
                arrays.append(leaf.grad)
                names.append(f"{name}.grad")
        return names, arrays

    def run(self) -> Traced | Again:
        """Trace.

        Raises:
            NotCompilable: The program does with a value what no variant can assume.
            Raised: It raised an error.
        """
        jaxpr = self._jaxpr()
        trace, questions = self.trace, self.trace.questions
        if trace.misses_grads:
            return Again(grads=True)
        if questions.refused is not None:
            raise NotCompilable(questions.refused)
        if questions.undecided is not None:
            if any(isinstance(v, jax.ShapeDtypeStruct) for v in self.flat):
                raise NotCompilable(f"it branches on a value, and there are only shapes: {questions.asked}")
            return Again(outcome=evaluate(jaxpr, self.flat))
        if trace.inits or trace.missing:
            return Again(missing=trace.missing)
        jaxpr = ClosedJaxpr(jaxpr.jaxpr, [c.copy() if isinstance(c, np.ndarray) else c for c in jaxpr.consts])
        live = live_inputs(jaxpr.jaxpr)
        reads_grads = trace.reads_grads or any(live[slice(*self.bounds["grads"])])
        absent = any(g is None and v is not None for g, v in zip(self.grads, self.tracked_grads, strict=True))
        if self.all_grads and absent and reads_grads:
            return Again(grads=True)
        return Traced(
            jaxpr=jaxpr,
            name=self.called.name,
            inputs=self.inputs,
            outputs=self.outputs.names,
            nodes=trace.nodes,
            constants=self._constants(jaxpr),
            guards=questions.guards,
            prints=[format_source(s) for s, _ in trace.prints],
            values=self.flat,
            lifted=self._lifted(live, reads_grads),
        )

    def _jaxpr(self) -> ClosedJaxpr:
        def program(*tracers: Any) -> tuple[Any, ...]:
            return self._program(tracers)

        program.__name__ = self.called.name
        with answering(), watched():
            try:
                return jax.make_jaxpr(program)(*self.flat)
            except (
                jax.errors.ConcretizationTypeError,
                jax.errors.TracerArrayConversionError,
                jax.errors.TracerIntegerConversionError,
            ) as error:
                raise _control_flow_error(error) from error
            except StaticError:
                raise
            except Exception as error:
                if self.trace.questions.refused is not None:
                    raise NotCompilable(self.trace.questions.refused) from error
                raise Raised(self.trace) from error

    def _program(self, tracers: Sequence[Any]) -> tuple[Any, ...]:
        """Run the function on tracers; return the outputs, or the value that it asks for. All cells are put back."""
        state, walk, rest = thread_state(), self.walk, iter(tracers)
        lifted = {id(p) for p in (*walk.parameters, *self.called.leaves) if isinstance(p, Parameter)}
        trace = self.trace = Trace(lifted, next(rest), self.assumed)
        trace.by_jax, trace.taped = self.called.by_jax or self.called.differentiate, self.called.differentiate
        arrays = [None if a is None else next(rest) for a in self.arrays]
        grads = [None if g is None else next(rest) for g in self.tracked_grads]
        places = [next(rest) for _ in self.places]
        installation = trace.installation = Installation(walk, self.held)
        outer, initialised = (state.trace, state.scope), random.initializers.count
        questions = trace.questions
        ok = False

        def leave() -> None:
            state.trace, state.scope = outer
            state.refresh()
            installation.restore()
            if not (ok and trace.inits):  # what is initialised on the way stays so
                undone = self.effects.undone()
                questions.refused = questions.refused or undone
            self.effects.forget_tracers()

        try:
            installation.install(arrays, grads, places)
            state.trace, state.scope = trace, trace.root
            state.refresh()
            installation.freeze()
            stand_ins, arguments = self._stand_ins(rest)
            result = self._call(stand_ins)
            self._collect(result, arguments)
            if self.called.differentiate:
                self._add_gradients(tracers, arrays, arguments)
            ok = questions.undecided is None and questions.refused is None
            return tuple(self.outputs.arrays) if ok else (questions.undecided,)
        except (Undecided, Refused, StartOver):
            return (questions.undecided,)
        finally:
            whole(leave)
            if ok:
                for owner, value in trace.inits:
                    if isinstance(owner, Parameter):
                        owner.array, owner._grad = value  # zeros, after `zerograd`
                    else:
                        owner.state = value
            else:
                random.initializers.count = initialised

    def _stand_ins(self, rest: Iterator[Any]) -> tuple[list[Any], list[Argument]]:
        """Return what stands for the arguments; and of those that are Variables of their own, what they were."""
        installation = cast(Installation, self.trace.installation)
        leaves, names = self.called.leaves, self.called.names
        originals = installation.originals
        stand_ins = [substitute(name, leaf, originals) for name, leaf in zip(names, leaves, strict=True)]
        arguments: list[Argument] = []
        known = {i: leaf for i, (leaf, _) in installation.variables.items()}
        for i in self.dynamic:
            leaf, array = leaves[i], next(rest)
            if id(leaf) in known:  # the state holds it, or it came before
                stand_ins[i] = known[id(leaf)]
                if leaf._grad is not None:
                    next(rest)
            elif isinstance(leaf, Variable):
                stand_in = Variable(array, name=leaf.name, requires_grad=leaf.requires_grad)
                grad = None
                if leaf._grad is not None:
                    stand_in._grad = grad = next(rest)
                arguments.append((i, stand_in, array, grad))
                stand_ins[i] = known[id(leaf)] = stand_in
            else:
                stand_ins[i] = array
        return stand_ins, arguments

    def _add_gradients(self, tracers: Sequence[Any], arrays: Sequence[Any], arguments: Sequence[Argument]) -> None:
        """Let the gradients of the inputs follow the outputs.

        Raises:
            NotCompilable: A function changes the state in its gradient. The program is cut in two: only the forward
                half writes.
        """
        installation = cast(Installation, self.trace.installation)
        found = [v for v, _ in installation.variables.values()]
        nodes = [(p._node, a) for p, a in zip(self.walk.parameters, arrays, strict=True)]
        nodes += [(v._node, array) for _, v, array, _ in arguments]
        nodes += [(v._node, installation.given_to(v)) for v in found]
        position = {id(t): i for i, t in enumerate(tracers)}
        targets = {node: position[id(a)] for node, a in nodes if id(a) in position}
        self.trace.returning = True
        cells = self.walk.snapshot(found)
        self.gradients = gradients(self.outputs, targets)
        if put_back(cells):
            raise NotCompilable("the gradient of one of its functions changes an attribute or an array")

    def _call(self, stand_ins: Sequence[Any]) -> Any:
        args, kwargs = jax.tree_util.tree_unflatten(self.called.tree, stand_ins)
        given = [(c, contents_of(c)) for c in containers_in((args, [*kwargs.values()]))]
        result = self.called.function(*args, **kwargs)
        if not all(holds(c, contents) for c, contents in given):
            raise NotCompilable("it changes a list or a dictionary that is an argument")
        return result

    def _collect(self, result: Any, arguments: Sequence[Argument]) -> None:
        """Note the outputs: the result, what is written, what is reported, and the predicates, always the last."""
        self._collected(result, arguments)
        if self.outputs.repeated:  # now it is known what has to be one object in several places
            self.outputs = Outputs(self.walk, frozenset(self.outputs.repeated))
            self._collected(result, arguments)
        outputs, questions = self.outputs, self.trace.questions
        outputs.name = "guard"
        outputs.arrays += questions.predicates
        outputs.names += [str(g) for g in questions.guards]

    def _collected(self, result: Any, arguments: Sequence[Argument]) -> None:
        outputs, trace = self.outputs, self.trace
        installation = cast(Installation, trace.installation)
        first = len(installation.found) + len(self.called.leaves)
        came_in = {**installation.positions, **{id(v): i - first for i, v, _, _ in arguments}}
        outputs.came_in, outputs.originals = came_in, installation.originals
        self.result = outputs.builder(result)
        outputs.name = "argument"
        self.argument_writes, self.ends = [], []
        for i, stand_in, array, grad in arguments:
            at = i - first
            changed: list[tuple[type[Write], Any]] = []
            changed += [(VariableArrayWrite, stand_in._array)] if stand_in._array is not array else []
            changed += [(VariableGradientWrite, stand_in.grad)] if stand_in._grad is not grad else []
            for kind, value in changed:
                build = outputs.builder(value)
                self.argument_writes.append(kind(outputs.name, None, None, build, outputs.index_of(value), at))
                outputs.gives_back.setdefault(at, -1)
            self.ends += [at] if stand_in._grad is not grad else []
        self.writes = installation.writes(outputs)
        self.ends += installation.ends
        self.reports = [
            ({k: outputs.builder(v) for k, v in values.items()}, observer, again)
            for values, observer, again in trace.reports
        ]

    def _constants(self, jaxpr: ClosedJaxpr) -> list[tuple[str, str]]:
        """Return what is part of the program: (name, shape or value)."""
        walk = self.walk
        found = [
            (f"constant {i}", f"{c.dtype}[{','.join(map(str, c.shape))}]")
            for i, c in enumerate(jaxpr.consts)
            if getattr(c, "size", 0) > 1
        ]
        found += [
            (n, f"NumPy array {a.dtype}{list(a.shape)}, changes in place are looked for in {SAMPLE} elements")
            for n, a in walk.large
        ]
        found += [(n, f"{type(o).__name__} object, not looked into") for n, o in walk.unseen]
        found += [
            (n, repr(v))
            for _, _, v, n in walk.plain
            if isinstance(v, bool | int | float | str) and not n.rsplit(".", 1)[-1].startswith("_")
        ]
        walk.environment.update(self.trace.environment)
        return found + [(f"os.environ[{k!r}]", repr(v)) for k, v in walk.environment.items()]

    def _lifted(self, live: list[bool], reads_grads: bool) -> Lifted:
        walk, leaves, installation = self.walk, self.called.leaves, cast(Installation, self.trace.installation)

        def parameters(cells: Sequence[Any], there: bool = True) -> list[Parameter]:
            return [p for p, cell in zip(walk.parameters, cells, strict=True) if (cell is not None) == there]

        return Lifted(
            walk=walk,
            roots=self.roots,
            leaves=leaves,
            dynamic=self.dynamic,
            holders=self.holders,
            bounds=self.bounds,
            live=live,
            looked_at=installation.looks_at(),
            arrays=parameters(self.arrays),
            uninitialised=parameters(self.arrays, there=False),
            grads=parameters(self.tracked_grads),
            grads_read=reads_grads or not self.all_grads,
            grad_none=[g is None for g in self.grads],
            draws=self.trace.draws,
            result=self.result,
            writes=self.writes,
            ends=self.ends,
            cut=[installation.positions[i] for i in installation.cut],
            dropped=installation.dropped,
            argument_writes=self.argument_writes,
            reports=self.reports,
            gradients=self.gradients,
            uses=self.outputs.uses,
            once=[*self.outputs.once.values()],
            gives_back=self.outputs.gives_back,
        )


@contextlib.contextmanager
def borrowed(target: Any, make: Callable[[list[Parameter]], Trace]) -> Iterator[None]:
    """Run code of `target` inside somebody else's transformation: its cells may be given tracers, and are put back.

    Args:
        target: A link or another root of state.
        make: Returns the trace that ops and links see, from the parameters.
    """
    state = thread_state()
    with lock:
        walk = Walk([("target", target)], rules=False)
        cells = read(walk)
        assert cells is not None
        arrays, grads, values = cells
        installed = Installation(walk)
        outer = state.trace, state.scope

        def leave() -> None:
            state.trace, state.scope = outer
            state.refresh()
            installed.restore()

        try:
            installed.install(arrays, [None] * len(grads), values)
            state.trace = make(walk.parameters)
            state.trace.installation = installed
            state.scope = state.trace.root
            state.refresh()
            yield
        finally:
            whole(leave)


def _present(values: Sequence[Any], names: Sequence[str]) -> tuple[list[Any], list[str]]:
    """Return the values that are there, and their names."""
    there = [v is not None for v in values]
    return list(compress(values, there)), list(compress(names, there))


def _place_names(walk: Walk) -> list[str]:
    names = []
    for _, _, template, name in walk.places:
        n = count(template)
        names += [name] if n == 1 else [f"{name}.{i}" for i in range(n)]
    return names


def _control_flow_error(error: Exception) -> NotCompilable:
    return NotCompilable(
        f"it takes a value out of the program: {format_source(traceback_source(error)) or 'unknown line'}"
    )
