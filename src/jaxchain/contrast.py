"""One model in both modes, side by side: results, gradients, times, sizes, memory.

`contrast` runs a call in eager and in static mode from the same state, compares everything that comes out and reports
what each mode costs. It leaves the model as it found it: parameters, gradients, persistent values, random streams. The
report itself is in views/report.py.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax

from jaxchain.core import background, forms
from jaxchain.core.config import using_config
from jaxchain.core.graph import grad
from jaxchain.core.nodes import VariableNode
from jaxchain.core.parameter import Parameter
from jaxchain.core.state import Walk
from jaxchain.core.static import Static
from jaxchain.core.untouched import untouched
from jaxchain.core.variable import Variable
from jaxchain.link import Link
from jaxchain.views import programs, variants
from jaxchain.views.compare import arrays_of, as_variables, differences, flatten, is_float, is_variable, results_of
from jaxchain.views.computational_graph import build_computational_graph
from jaxchain.views.progress import stage
from jaxchain.views.readers import eager as eager_reader
from jaxchain.views.readers import hlo as hlo_reader
from jaxchain.views.report import Contrast as Contrast
from jaxchain.views.report import Cost as Cost
from jaxchain.views.report import Difference as Difference
from jaxchain.views.show import eager_graph
from jaxchain.views.timing import node_count, node_times

SECONDS = 2.0  # time spent on repeats, per mode and kind of call


def contrast(model_or_fn: Any, *args: Any, repeats: int = 30, gradients: bool = True, **kwargs: Any) -> Contrast:
    """Run a model or a function in both modes and compare them.

    Gradients are those of the sum of all floating outputs, with respect to the parameters and the floating arguments. A
    training step has its own: compared are those that it leaves in the parameters, and among the outputs the parameters
    and persistent arrays that it changes. The state that the call can reach is put back afterwards.

    Args:
        model_or_fn: A Link or a function on Variables.
        args: Its arguments.
        repeats: Timed calls of each kind, at most (fewer if they take long). As many come before: from 16 on, eager
            mode has the program then that it makes of calls that come again and again.
        gradients: Whether to compare gradients, and to time a call with them.
        kwargs: Its keyword arguments.

    Returns:
        The report.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    notes: list[str] = []
    taken = variants.levels(model_or_fn)
    model_or_fn = getattr(model_or_fn, "__wrapped_static__", model_or_fn)  # of a static function, the function
    with untouched(model_or_fn, args, kwargs) as reset, links_follow_the_mode(model_or_fn):
        stage("running in eager mode")
        written = _Written(model_or_fn)
        call = _Call(model_or_fn)
        with using_config("mode", "eager"):
            eager_first, eager_out = _timed(call, args, kwargs)
        eager_cells = written()
        graph_outputs = [v for _, v in results_of(eager_out) if isinstance(v, Variable)]
        retained: int | None = eager_reader.retained_bytes(graph_outputs)[0]
        unchained = all(v.creator_node is None for v in graph_outputs)
        reset()
        stage("running in static mode")
        compiled = _compiled(_Call(model_or_fn))
        static_out = compiled(*args, **kwargs)
        cells, gaps = [differences(*pair) for pair in zip(eager_cells, written(), strict=True)]
        outputs = differences(arrays_of(eager_out), arrays_of(static_out)) + cells
        if gaps and unchained:  # a step that has let its graph go
            retained = None
        del eager_out, static_out, graph_outputs, eager_cells
        reset()
        graph = eager_graph(model_or_fn, args, kwargs, reset)
        made = _program(compiled, args, kwargs)
        forward, hlo, before = _measure(
            call, compiled, args, kwargs, made, repeats, eager_first, retained, reset, notes
        )
        stage("timing each function")
        times = node_times(model_or_fn, args, kwargs, reset)
        backward = None
        levels = {"forward": (dataclasses.replace(made, values=()), hlo.text)}
        if gradients and not gaps:
            reset()
            found = _gradients(model_or_fn, args, kwargs, repeats, reset, notes)
            if found is not None:
                gaps, backward, level = found
                levels = {"with gradients": level, **levels}
        return Contrast(
            name=programs.name_of(model_or_fn),
            backend=jax.default_backend(),
            outputs=outputs,
            gradients=gaps,
            forward=forward,
            backward=backward,
            constants=list(made.constants),
            notes=notes,
            graph=graph,
            jaxpr=programs.jaxpr_of(made),
            hlo=hlo,
            hlo_before=before,
            opcodes=hlo_reader.opcodes(hlo.text),
            levels={**levels, **taken},
            times=times,
        )


@contextmanager
def links_follow_the_mode(target: Any) -> Iterator[None]:
    """Let links that are switched to static run eagerly, too: here the mode is chosen from outside."""
    switched = [v for v in Walk([("target", target)]).objects.values() if isinstance(v, Link) and v._mode == "static"]
    for link in switched:
        link._mode = None
    try:
        yield
    finally:
        for link in switched:
            link._mode = "static"


class _Call:
    """A model or function as a plain callable whose state can be found."""

    def __init__(self, target: Any) -> None:
        self.target = target
        self.__name__ = programs.name_of(target)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """What names the arguments. No attribute: the walk for state would find the cells through it, too."""
        return getattr(self.target, "forward", self.target)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.target(*args, **kwargs)


class _Written:
    """What a call leaves in the cells that it changes: named arrays, and named gradients."""

    def __init__(self, target: Any) -> None:
        walk = Walk([("target", target)], rules=False)
        self.parameters = [
            (name.removeprefix("target").lstrip("."), p, p._array, p._grad)
            for name, p in zip(walk.parameter_names, walk.parameters, strict=True)
        ]
        self.places = [
            (name.removeprefix("target").lstrip("."), container, key, container[key])
            for container, key, _, name in walk.places
        ]

    def __call__(self) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
        held = [(name, container[key], old) for name, container, key, old in self.places]
        held += [(name, p._array, old) for name, p, old, _ in self.parameters]
        gradients = [(name, p.grad) for name, p, _, old in self.parameters if p._grad is not old]
        arrays = [(name, value) for name, value, old in held if isinstance(old, jax.Array) and value is not old]
        return [(f"{name} afterwards", value) for name, value in arrays], gradients


class _CallWithGradients(_Call):
    """The same, giving (outputs, gradients of their sum)."""

    def __init__(self, target: Any, parameters: Sequence[Parameter]) -> None:
        super().__init__(target)
        self.parameters = list(parameters)
        self.__name__ = f"{programs.name_of(target)}_with_gradients"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        out = self.target(*args, **kwargs)
        outputs = _differentiable(out)
        wanted = [*self.parameters, *(v for _, v in flatten((args, kwargs)) if _is_input(v))]
        return out, grad(outputs, wanted)


def _compiled(call: Any) -> Static:
    """Compile a call. The update rules of a link's parameters are no part of it, those of a training step are."""
    return Static(call, rules=not isinstance(call.target, Link))


def _program(call: Any, args: Any, kwargs: Any) -> programs.Program:
    """Trace a call; cells are named from the target on: ``l1.W``."""
    made = programs.program(call, *args, **kwargs)
    return dataclasses.replace(
        made,
        inputs=tuple(name.removeprefix("target.") for name in made.inputs),
        constants=tuple((name.removeprefix("target."), what) for name, what in made.constants),
    )


def _is_input(value: Any) -> bool:
    return isinstance(value, Variable) and not isinstance(value, Parameter) and value.requires_grad and is_float(value)


def _differentiable(out: Any) -> list[Variable]:
    found = (v for _, v in results_of(out) if isinstance(v, Variable))
    return [v for v in found if v.creator_node is not None and v.requires_grad and is_float(v)]


def _gradients(
    target: Any, args: Any, kwargs: Any, repeats: int, reset: Callable[[], None], notes: list[str]
) -> tuple[list[Difference], Cost, tuple[programs.Program, str]] | None:
    plain_args, plain_kwargs = args, kwargs
    wrapped = as_variables((args, kwargs))
    with using_config("mode", "eager"):
        try:
            out = target(*wrapped[0], **wrapped[1])
            args, kwargs = wrapped
        except Exception as error:  # a model that works on arrays only
            reset()
            out = target(*plain_args, **plain_kwargs)
            notes.append(f"arguments have no gradients: called with Variables it raises {type(error).__name__}")
    outputs = _differentiable(out)
    if not outputs:
        notes.append("no gradients: no floating output depends on a parameter or a floating argument")
        return None
    graph = build_computational_graph(outputs)
    retained, _ = eager_reader.retained_bytes(outputs)
    leaves = {n for n in graph.nodes if isinstance(n, VariableNode)}
    walk = Walk([("target", target)], rules=False)
    parameters, names = [], []
    for name, p in zip(walk.parameter_names, walk.parameters, strict=True):
        if p.node in leaves:
            parameters.append(p)
            names.append(name.removeprefix("target").lstrip("."))
    named = zip(_argument_names(target, args, kwargs), flatten((args, kwargs)), strict=True)
    names += [name for name, (_, v) in named if _is_input(v)]
    del out, outputs, leaves
    reset()
    stage("running with gradients")
    left = _Written(target)  # a function may hide parameters from the graph: `F.forget` adds to their gradients itself
    call = _CallWithGradients(target, parameters)
    compiled = _compiled(_CallWithGradients(target, parameters))
    with using_config("mode", "eager"):
        first, eager_result = _timed(call, args, kwargs)
    eager_gradients = _named(names, eager_result[1]) + left()[1]
    reset()
    static_result = compiled(*args, **kwargs)
    gaps = differences(eager_gradients, _named(names, static_result[1]) + left()[1])
    del eager_result, eager_gradients, static_result
    reset()
    made = _program(compiled, args, kwargs)
    called = {f"parameters[{k}]": name for k, name in enumerate(names[: len(parameters)])}
    made = dataclasses.replace(made, inputs=tuple(called.get(name, name) for name in made.inputs))
    cost, hlo, _ = _measure(call, compiled, args, kwargs, made, repeats, first, retained, reset, notes)
    return gaps, cost, (dataclasses.replace(made, values=()), hlo.text)


def _named(names: Sequence[str], gradients: Sequence[Any]) -> list[tuple[str, Any]]:
    return [(n, None if g is None else g.array) for n, g in zip(names, gradients, strict=True)]


def _measure(
    call: Any,
    compiled: Any,
    args: Any,
    kwargs: Any,
    made: programs.Program,
    repeats: int,
    first: float,
    retained: int | None,
    reset: Callable[[], None],
    notes: list[str],
) -> tuple[Cost, programs.HloView, programs.HloView | None]:
    stage("compiling")
    start = time.perf_counter()
    lowered = made.lower()
    lower_seconds = time.perf_counter() - start
    try:
        before = programs.HloView(programs.hlo_text(lowered, False), False, made.name)
    except RuntimeError as error:
        before = None
        notes[:] = dict.fromkeys([*notes, str(error)])
    start = time.perf_counter()
    with programs.fresh_compile():
        executable = lowered.compile()
    compile_seconds = time.perf_counter() - start
    after = programs.HloView(executable.as_text() or "", True, made.name)
    reset()
    stage("timing both modes")
    eager_nodes = node_count(call, args, kwargs, reset) + sum(n.op.endswith("_update") for n in made.nodes)
    eager_time, static_time = _medians(call, compiled, args, kwargs, repeats)
    memory = executable.memory_analysis()
    counts, jaxpr_counts = after.counts, programs.jaxpr_of(made).counts
    cost = Cost(
        eager_call=eager_time,
        static_call=static_time,
        eager_first=first,
        trace=made.seconds,
        lower=lower_seconds,
        compile=compile_seconds,
        eager_nodes=eager_nodes,
        equations=jaxpr_counts["equations"],
        all_equations=jaxpr_counts["all_equations"],
        instructions_before=None if before is None else before.counts["instructions"],
        instructions_after=counts["instructions"],
        kernels=counts["kernels"],
        fusions=counts["fusions"],
        arguments=getattr(memory, "argument_size_in_bytes", None),
        outputs=getattr(memory, "output_size_in_bytes", None),
        temporary=getattr(memory, "temp_size_in_bytes", None),
        retained=retained,
    )
    return cost, after, before


def _medians(eager: Any, compiled: Any, args: Any, kwargs: Any, repeats: int) -> tuple[float, float]:
    """Return the median times of a call, eager and compiled; taken in turn, so noise hits both alike.

    Before that come as many eager calls as it takes until eager mode has its program, which is compiled beside them.
    """
    times: tuple[list[float], list[float]] = ([], [])
    deadline = time.perf_counter() + SECONDS
    with using_config("mode", "eager"):
        for _ in range(min(repeats, forms.AFTER)):
            _timed(eager, args, kwargs)
            if time.perf_counter() > deadline:
                break
    _timed(compiled, args, kwargs)
    deadline = time.perf_counter() + 2 * SECONDS
    for k in range(repeats):
        background.settle()
        with using_config("mode", "eager"):
            a, _ = _timed(eager, args, kwargs)
        b, _ = _timed(compiled, args, kwargs)
        times[0].append(a)
        times[1].append(b)
        if k >= 2 and time.perf_counter() > deadline:
            break
    return statistics.median(times[0]), statistics.median(times[1])


def _timed(function: Any, args: Any, kwargs: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    out = function(*args, **kwargs)
    jax.block_until_ready([a for _, a in arrays_of(out)])
    return time.perf_counter() - start, out


def _argument_names(target: Any, args: Any, kwargs: Any) -> list[str]:
    """Return the name of each leaf of the arguments, by the target's signature where it has one."""
    known = programs.parameter_names(target)
    names = []
    for path, _ in jax.tree_util.tree_flatten_with_path((args, kwargs), is_leaf=is_variable)[0]:
        at = path[1]
        if isinstance(at, jax.tree_util.DictKey):
            name = str(at.key)
        else:
            name = known[at.idx] if at.idx < len(known) else f"argument {at.idx}"
        names.append(name + jax.tree_util.keystr(path[2:]))
    return names
