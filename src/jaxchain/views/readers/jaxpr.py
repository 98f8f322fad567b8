"""Jaxpr -> Graph: an equation is a node, a nested jaxpr a cluster.

Calls (`jit`, `custom_jvp_call`, `custom_vjp_call`, `remat2`, ...) are drawn through: arrows go straight to and from the
equations inside the frame. `scan`, `while` and `cond` have a node of their own, which gives the results; their bodies
have inputs of their own, since each round sees other values. A jaxpr that is called twice is drawn twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from jax.extend import source_info_util
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from jaxchain.core.compat import scan_counts
from jaxchain.core.scopes import tag_of
from jaxchain.views import collector
from jaxchain.views.model import Builder, Graph

LONGEST_PARAM = 80
_JAXPRS = (ClosedJaxpr, Jaxpr)


class _Value(NamedTuple):
    """Where a value comes from: a node (by id) and its type, or the text of a literal."""

    node: str | None
    text: str


@collector.paused()
def read(
    jaxpr: ClosedJaxpr | Jaxpr, *, inputs: Sequence[str] = (), outputs: Sequence[str] = (), name: str = ""
) -> Graph:
    """Return the graph of a jaxpr.

    Args:
        jaxpr: Closed or open.
        inputs: Names of its arguments, in order; what has no name is called ``in0``, ``in1``, ...
        outputs: Names of its results, in order.
        name: Name of the program.

    Returns:
        A graph of kind ``jaxpr``: nodes of the kinds ``input``, ``constant``, ``equation``, ``control``, ``output``.
    """
    builder = Builder("jaxpr", name or "jaxpr")
    inner = open_jaxpr(jaxpr)
    reader = _Reader(builder)
    env = reader.constants(inner, getattr(jaxpr, "consts", ()), None)
    for k, var in enumerate(inner.invars):
        label = inputs[k] if k < len(inputs) else f"in{k}"
        env[var] = _Value(builder.node(f"{label}\n{type_text(var.aval)}", "input", None, index=k), type_text(var.aval))
    results = reader.body(inner, env, None, "")
    for k, value in enumerate(results):
        label = (outputs[k] if k < len(outputs) else "") or f"out{k}"
        reader.connect(value, builder.node(f"{label}\n{value.text}", "output", None, index=k))
    return builder.build(**counts(jaxpr))


def counts(jaxpr: ClosedJaxpr | Jaxpr) -> dict[str, int]:
    """Return the number of equations at the top and in all, and of nested jaxprs (a shared one counts at each call)."""
    top = len(open_jaxpr(jaxpr).eqns)
    everything = nested = 0
    stack = [open_jaxpr(jaxpr)]
    while stack:
        at = stack.pop()
        everything += len(at.eqns)
        for eqn in at.eqns:
            inside = [sub for _, sub in nested_jaxprs(eqn)]
            nested += len(inside)
            stack.extend(inside)
    return {"equations": top, "all_equations": everything, "nested_jaxprs": nested}


def primitive_counts(jaxpr: ClosedJaxpr | Jaxpr) -> dict[str, int]:
    """Return how often each primitive occurs, nested ones included; most frequent first."""
    found: dict[str, int] = {}
    stack = [open_jaxpr(jaxpr)]
    while stack:
        for eqn in stack.pop().eqns:
            found[eqn.primitive.name] = found.get(eqn.primitive.name, 0) + 1
            stack.extend(sub for _, sub in nested_jaxprs(eqn))
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def open_jaxpr(jaxpr: ClosedJaxpr | Jaxpr) -> Jaxpr:
    """Return the jaxpr itself, without its constants."""
    return jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr


def nested_jaxprs(eqn: JaxprEqn) -> Iterator[tuple[str, Jaxpr]]:
    """Yield (parameter name, jaxpr) of each jaxpr among an equation's parameters, tuples of them included."""
    for key, value in eqn.params.items():
        if isinstance(value, _JAXPRS):
            yield key, open_jaxpr(value)
        elif isinstance(value, tuple | list):
            found = [v for v in value if isinstance(v, _JAXPRS)]
            for k, v in enumerate(found):
                yield f"{key}[{k}]", open_jaxpr(v)


def type_text(aval: Any) -> str:
    """Return ``float32[3,4]``."""
    shape, dtype = getattr(aval, "shape", None), getattr(aval, "dtype", None)
    if shape is None or dtype is None:
        return str(aval)
    return f"{_dtype_text(dtype)}[{','.join(map(str, shape))}]"


_dtype_text = lru_cache(str)  # NumPy derives a dtype's name anew each time


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= LONGEST_PARAM else text[: LONGEST_PARAM - 1] + "…"


def _literal_text(literal: Literal) -> str:
    value: Any = literal.val
    if getattr(value, "shape", None) == ():
        value = value.item()
    # JAX has subclasses of int and float with a repr of their own
    plain = value if isinstance(value, bool) else next((t(value) for t in (int, float) if isinstance(value, t)), value)
    return _short(plain)


class _Reader:
    def __init__(self, builder: Builder) -> None:
        self.builder = builder

    def connect(self, value: _Value, target: str, kind: str = "data", label: str = "") -> None:
        if value.node is not None:
            self.builder.edge(value.node, target, label or value.text, kind)

    def constants(self, jaxpr: Jaxpr, values: Sequence[Any], cluster: str | None) -> dict[Any, _Value]:
        """Make nodes of the baked-in constants."""
        env = {}
        for k, var in enumerate(jaxpr.constvars):
            text = type_text(var.aval)
            value = values[k] if k < len(values) else None
            shown = f"\n{_short(value)}" if value is not None and getattr(value, "size", 2) == 1 else ""
            env[var] = _Value(self.builder.node(f"const{k}\n{text}{shown}", "constant", cluster, index=k), text)
        return env

    def body(self, jaxpr: Jaxpr, env: dict[Any, _Value], cluster: str | None, scope: str) -> list[_Value]:
        """Draw the equations of a jaxpr whose inputs are in `env`; return where its results come from."""
        for eqn in jaxpr.eqns:
            arguments = [self.value(env, v) for v in eqn.invars]
            results = self.equation(eqn, arguments, cluster, scope)
            env.update(zip(eqn.outvars, results, strict=True))
        return [self.value(env, v) for v in jaxpr.outvars]

    @staticmethod
    def value(env: dict[Any, _Value], atom: Any) -> _Value:
        return _Value(None, _literal_text(atom)) if isinstance(atom, Literal) else env[atom]

    def equation(self, eqn: JaxprEqn, arguments: list[_Value], cluster: str | None, outer: str) -> list[_Value]:
        # an equation's name stack is relative to the jaxpr around it
        scope = "/".join(part for part in (outer, str(eqn.source_info.name_stack)) if part)
        primitive = eqn.primitive.name
        nested = list(nested_jaxprs(eqn))
        if primitive in _LOOPS_AND_BRANCHES:
            return self.control(eqn, arguments, nested, cluster, scope)
        if len(nested) == 1:
            inner = nested[0][1]
            if len(inner.invars) == len(eqn.invars) and len(inner.outvars) == len(eqn.outvars) and inner.eqns:
                return self.call(eqn, arguments, inner, cluster, scope)
        node = self.builder.node(_label(primitive, arguments), "equation", cluster, **_facts(eqn, scope))
        for argument in arguments:
            self.connect(argument, node)
        for key, inner in nested:
            frame = self.builder.cluster(key, cluster, primitive)
            self.detached(inner, frame, scope, node)
        return [_Value(node, type_text(v.aval)) for v in eqn.outvars]

    def call(
        self, eqn: JaxprEqn, arguments: list[_Value], inner: Jaxpr, cluster: str | None, scope: str
    ) -> list[_Value]:
        primitive, name = eqn.primitive.name, eqn.params.get("name")
        label = f"{primitive} {name}" if isinstance(name, str) else primitive
        frame = self.builder.cluster(label, cluster, primitive, **_facts(eqn, scope))
        env = self.constants(inner, _consts_of(eqn), frame)
        env.update(zip(inner.invars, arguments, strict=True))
        return self.body(inner, env, frame, f"{scope}/jit({name})" if primitive == "jit" else scope)

    def detached(self, inner: Jaxpr, frame: str, scope: str, result: str) -> None:
        """Draw a jaxpr whose arguments do not match the equation's, such as a combiner of a reduction."""
        env = self.constants(inner, (), frame)
        for k, var in enumerate(inner.invars):
            text = type_text(var.aval)
            env[var] = _Value(self.builder.node(f"arg{k}\n{text}", "input", frame, index=k), text)
        for value in self.body(inner, env, frame, scope):
            self.connect(value, result, "call")

    def control(
        self,
        eqn: JaxprEqn,
        arguments: list[_Value],
        nested: list[tuple[str, Jaxpr]],
        cluster: str | None,
        scope: str,
    ) -> list[_Value]:
        primitive, params = eqn.primitive.name, eqn.params
        frame = self.builder.cluster(_control_label(eqn), cluster, primitive, **_facts(eqn, scope))
        carried: list[tuple[str, str]] = []
        exits: list[tuple[str, list[_Value]]] = []
        for key, inner in nested:
            title, roles, sources = _LOOPS_AND_BRANCHES[primitive](params, key, arguments)
            box = self.builder.cluster(title, frame, f"{primitive} body")
            env = self.constants(inner, (), box)
            for var, role, source in zip(inner.invars, roles, sources, strict=True):
                text = type_text(var.aval)
                entry = self.builder.node(f"{role}\n{text}", "input", box)
                if source.node is not None:
                    self.builder.edge(source.node, entry, source.text)
                elif source.text:
                    self.builder.edge(self.builder.node(source.text, "constant", frame), entry)
                if role == "carry":
                    carried.append((entry, text))
                env[var] = _Value(entry, text)
            exits.append((title, self.body(inner, env, box, scope)))
        node = self.builder.node(_control_label(eqn), "control", frame, **_facts(eqn, scope))
        for title, values in exits:
            for value in values:
                self.connect(value, node, "call", title if primitive != "scan" else "")
        for entry, text in carried:
            self.builder.edge(node, entry, text, "carry")
        if primitive == "cond":
            self.connect(arguments[0], node, label="index")
        return [_Value(node, type_text(v.aval)) for v in eqn.outvars]


def _consts_of(eqn: JaxprEqn) -> Sequence[Any]:
    for value in eqn.params.values():
        if isinstance(value, ClosedJaxpr):
            return value.consts
    return ()


def _label(primitive: str, arguments: list[_Value]) -> str:
    """Return ``max _ 0.0``: the primitive, with its literals in their places."""
    if all(a.node is not None for a in arguments):
        return primitive
    return " ".join([primitive, *("_" if a.node is not None else a.text for a in arguments)])


def _control_label(eqn: JaxprEqn) -> str:
    if eqn.primitive.name == "scan":
        return f"scan x{eqn.params.get('length')}" + (" reversed" if eqn.params.get("reverse") else "")
    return eqn.primitive.name


def _facts(eqn: JaxprEqn, scope: str) -> dict[str, Any]:
    nested = {key.split("[", 1)[0] for key, _ in nested_jaxprs(eqn)}
    facts: dict[str, Any] = {
        "primitive": eqn.primitive.name,
        "outputs": [type_text(v.aval) for v in eqn.outvars],
        "scope": scope,
        "source": source_info_util.summarize(eqn.source_info),
        "params": {
            k: _short(v) for k, v in eqn.params.items() if v is not None and k not in nested and not callable(v)
        },
    }
    tag = tag_of(scope)
    if tag is not None:
        facts["tag"] = tag._asdict()
    return facts


def _scan(params: Any, key: str, arguments: list[_Value]) -> tuple[str, list[str], list[_Value]]:
    consts, carry = scan_counts(params)
    roles = ["const"] * consts + ["carry"] * carry + ["xs"] * (len(arguments) - consts - carry)
    return "body", roles, arguments


def _while(params: Any, key: str, arguments: list[_Value]) -> tuple[str, list[str], list[_Value]]:
    of_cond, of_body = params["cond_nconsts"], params["body_nconsts"]
    carry = arguments[of_cond + of_body :]
    consts = arguments[:of_cond] if key == "cond_jaxpr" else arguments[of_cond : of_cond + of_body]
    title = "condition" if key == "cond_jaxpr" else "body"
    return title, ["const"] * len(consts) + ["carry"] * len(carry), consts + carry


def _cond(params: Any, key: str, arguments: list[_Value]) -> tuple[str, list[str], list[_Value]]:
    title = key.replace("branches[", "branch ").rstrip("]")
    return title, [f"arg{k}" for k in range(len(arguments) - 1)], arguments[1:]


_LOOPS_AND_BRANCHES = {"scan": _scan, "while": _while, "cond": _cond}
