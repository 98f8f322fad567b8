"""Python control flow on data inside a trace: the outcome is assumed, and checked at every call.

While a trace is on, `bool(x)`, `int(x)`, `x.item()` and indexing a list by `x` are answered instead of refused. The
answer is the outcome that this variant assumes; the predicate becomes one more output of the program, a *guard*. A call
whose guards do not hold is thrown away before anything is written back, and the variant for the outcomes it saw runs.

An outcome that nobody knows yet stops the trace (`Undecided`), the predicate is evaluated on the arguments, and the
trace starts over knowing one more. What no variant can assume (`float(x)`, the text of an array) stops it for good
(`refuse`): the call runs in eager mode. `print` is put off: it is repeated after every call, with the values.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from jaxchain.core.compat import Tracer, trace_state, without_dead_code
from jaxchain.core.config import config, thread_state
from jaxchain.core.errors import StaticError, call_site, format_source, source_of
from jaxchain.core.interrupts import patched

Outcome = bool | int


class Undecided(BaseException):
    """A trace came to an outcome that nobody knows yet. Not an `Exception`: user code must not catch it."""


class Refused(BaseException):
    """A trace came to what no variant can assume. Not an `Exception`: user code must not catch it."""


class StartOver(BaseException):
    """A trace came to what it should have known before. Not an `Exception`: user code must not catch it."""


class NotCompilable(StaticError):
    """The program does with a value what no variant can assume: this call runs in eager mode instead."""


class Guard:
    """One assumption of a variant.

    Attributes:
        outcome: What the trace was told.
        source: (file, line, function) of the question, or None.
    """

    __slots__ = ("outcome", "source")

    def __init__(self, outcome: Outcome, source: tuple[str, int, str] | None) -> None:
        self.outcome, self.source = outcome, source

    @property
    def place(self) -> str:
        """Where the question is asked: file and line."""
        return "unknown line" if self.source is None else f"{self.source[0].rsplit('/', 1)[-1]}:{self.source[1]}"

    def __str__(self) -> str:
        what = "branch" if isinstance(self.outcome, bool) else "number"
        return f"{what} at {self.place} {'took' if what == 'branch' else 'was'} {self.outcome}"


class Questions:
    """What a trace in progress asked and was told.

    Args:
        assumed: The outcomes known from the start, in the order of the questions.
    """

    def __init__(self, assumed: Sequence[Outcome]) -> None:
        self.assumed = assumed
        self.guards: list[Guard] = []
        self.predicates: list[Any] = []
        self.undecided: Any = None
        self.asked = ""  # where the question was asked that nobody could answer
        self.refused: str | None = None  # why this is no program, the first reason
        self.caught = False  # whether what takes a value out gets JAX's error, since somebody answers that
        self.inner = 0  # how often a value was looked at inside another trace, a loop body's say
        self.level = trace_state()
        self._answers: dict[tuple[int, bool], tuple[Any, Outcome]] = {}

    def answer(self, tracer: Any, kind: type) -> Outcome:
        """Return the outcome of `kind(tracer)`, assumed; raise `Undecided` if it is not known."""
        key = (id(tracer), kind is bool)
        if key in self._answers:
            return self._answers[key][1]
        at = len(self.guards)
        predicate = _predicate(tracer, kind)
        source = source_of(call_site(3))
        if at >= config.max_guards:
            raise NotCompilable(
                f"it asked for {at} values in one call (config.max_guards), the last at "
                f"{format_source(source) or 'an unknown line'}. For a loop on data use jaxchain.while_loop"
            )
        if at >= len(self.assumed):
            self.undecided, self.asked = predicate, format_source(source) or "unknown line"
            raise Undecided
        outcome = self.assumed[at]
        self.guards.append(Guard(outcome, source))
        self.predicates.append(predicate)
        self._answers[key] = tracer, outcome
        return outcome


def _predicate(tracer: Any, kind: type) -> Any:
    """Return the array whose value decides, as a scalar."""
    x = jnp.reshape(tracer, ())
    if kind is bool:
        return x if x.dtype == np.bool_ else x != 0
    return jnp.trunc(x) if jnp.issubdtype(x.dtype, jnp.inexact) else x


def outcome_of(predicate: Any) -> Outcome:
    """Return the outcome that the value of a predicate stands for.

    Raises:
        NotCompilable: It is infinite or not a number.
    """
    value = np.asarray(predicate)
    if value.dtype == np.bool_:
        return bool(value)
    try:
        return int(value)
    except (OverflowError, ValueError) as error:
        raise NotCompilable(f"it takes the integer of {value}") from error


def passed(predicates: Sequence[Any], guards: Sequence[Guard]) -> Any:
    """Return whether every predicate has its outcome: a scalar of the compiled program."""
    met = [p if g.outcome is True else p == g.outcome for p, g in zip(predicates, guards, strict=True)]
    return functools.reduce(operator.and_, met)


def first_miss(predicates: Sequence[Any], guards: Sequence[Guard]) -> tuple[Outcome, ...]:
    """Return the outcomes up to the first that was not as assumed, with what it was: the start of another variant."""
    outcomes: list[Outcome] = []
    for predicate, guard in zip(predicates, guards, strict=True):
        outcomes.append(outcome_of(predicate))
        if outcomes[-1] != guard.outcome:
            break
    return tuple(outcomes)


# -- the questions that Python asks of a tracer ------------------------------------------------------------------------


def refuse(reason: str) -> NoReturn:
    """Stop this thread's trace: the program does what no variant can assume. The call runs in eager mode.

    Raises:
        Refused: There is a trace of a static call; it is stopped even if the program catches this.
        NotCompilable: There is another one.
    """
    questions = getattr(thread_state().trace, "questions", None)
    if questions is None:
        raise NotCompilable(reason)
    questions.refused = questions.refused or reason
    raise Refused(reason)


def holds(condition: Any) -> bool:
    """Return whether a condition on values is true of all of them, for checks outside of op bodies.

    A static call is compiled with the answer, as for any branch on data. Where nobody can tell, in a trace of JAX's own
    or the body of a loop, the answer is True.
    """
    if isinstance(condition, Tracer):
        questions = getattr(thread_state().trace, "questions", None)
        if questions is None or trace_state() != questions.level:
            return True
    return bool(condition.all())


def here() -> Questions | None:
    """Return the questions of this thread's trace, if its own values are looked at, not those of a trace inside it."""
    questions = getattr(thread_state().trace, "questions", None)
    if questions is None or trace_state() == questions.level:
        return questions
    questions.inner += 1
    return None


def _answered(name: str, kind: type) -> Callable[..., Any]:
    original = getattr(Tracer, name)

    def method(tracer: Any, *args: Any) -> Any:
        whole = jnp.issubdtype(tracer.dtype, jnp.integer)
        if name == "__index__" and not whole:
            return original(tracer, *args)
        questions = here()
        if questions is None or args or tracer.size != 1:
            return original(tracer, *args)
        if name == "item" and not (whole or tracer.dtype == np.bool_):  # a float: a variant per value would never end
            if questions.caught:
                return original(tracer)
            refuse(f"it takes a value out of the program: {_line()}")
        answer = questions.answer(tracer, bool if kind is int and tracer.dtype == np.bool_ else kind)
        return int(answer) if name in ("__int__", "__index__") else answer

    return method


def _refused(name: str, what: str) -> Callable[..., Any]:
    original = getattr(Tracer, name)

    def method(tracer: Any, *args: Any, **kwargs: Any) -> Any:
        questions = here()
        if questions is None or (questions.caught and what == _TAKEN):
            return original(tracer, *args, **kwargs)
        cut = what == _WRITTEN and sys._getframe(1).f_globals.get("__name__", "").startswith("jax.")  # for JAX's error
        refuse(f"it {_CUT if cut else what}: {_line()}")

    return method


@contextlib.contextmanager
def caught() -> Iterator[None]:
    """For the time of the block, let what takes a value out of this thread's trace get JAX's error."""
    questions = getattr(thread_state().trace, "questions", None)
    if questions is None:
        yield
        return
    outer, questions.caught = questions.caught, True
    try:
        yield
    finally:
        questions.caught = outer


def _line() -> str:
    return format_source(source_of(call_site(3))) or "unknown line"


def _print(*args: Any, **kwargs: Any) -> None:
    trace = thread_state().trace
    if getattr(trace, "questions", None) is None:
        _real_print(*args, **kwargs)
    elif here() is not None:
        trace.repeat(args, kwargs, source_of(call_site(2)))


_real_print = builtins.print
_TAKEN, _WRITTEN = "takes a value out of the program", "formats a value"
_CUT = "cuts an array by a value, as in x[:n] (F.get_item compiles a variant for each)"
_HOOKS = {n: _answered(n, k) for n, k in (("__bool__", bool), ("__int__", int), ("__index__", int), ("item", int))}
_HOOKS |= {n: _refused(n, _TAKEN) for n in ("__float__", "__complex__", "__array__", "tolist", "tobytes")}
_HOOKS |= {  # what is done about a value that is still being computed
    "block_until_ready": lambda tracer: tracer,
    "copy_to_host_async": lambda tracer: None,
    "is_deleted": lambda tracer: False,
}
_HOOKS |= {n: _refused(n, _WRITTEN) for n in ("__format__", "__repr__")}


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Answer the questions asked of this thread's trace for the time of the block. One block at a time."""
    global _real_print
    _real_print = builtins.print
    with patched([*((Tracer, name, method) for name, method in _HOOKS.items()), (builtins, "print", _print)]):
        yield


def evaluate(closed: Any, values: Sequence[Any]) -> Outcome:
    """Return the outcome of the only output of a jaxpr on given inputs, without compiling it as a whole."""
    pruned, _ = without_dead_code(closed, range(len(values)))
    with jax.ensure_compile_time_eval():
        (result,) = jaxpr_as_fun(pruned)(*values)
    return outcome_of(result)
