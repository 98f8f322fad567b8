"""Every compile with its reason: what `explain()` prints, and the warning when a function compiles again and again."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import jax

from jaxchain.core.ahead import memory_of
from jaxchain.core.errors import warn
from jaxchain.core.spread import str_of
from jaxchain.core.variant import Variant

OFTEN = 8
ATTRIBUTE = (
    "A number that changes at every call is no constant: keep it as an array (jnp.asarray(0)), or outside the step; "
    "what only records, in an object whose class says `_opaque = True`"
)
STRUCTURE = "the structure of the arguments changed"
SELDOM = "A new kind of call (other shapes, say) runs eagerly while that is far faster (config.compile_at_once)"


class RecompileWarning(UserWarning):
    """A static function compiles again and again."""


class EagerFallback(UserWarning):
    """A static function runs in eager mode, because the program does with a value what cannot be compiled."""


class Compile:
    """One compile of a static callable.

    Attributes:
        reason: What differed from the nearest variant before.
        trace_seconds: Time to trace.
        compile_seconds: Time of the first call: lowering, XLA and the first run.
    """

    def __init__(self, name: str, reason: str, key: Any, variant: Variant, trace_seconds: float) -> None:
        self.name, self.reason, self.key, self.variant = name, reason, key, variant
        self.trace_seconds, self.compile_seconds = trace_seconds, 0.0

    def memory(self) -> dict[str, int]:
        """Return the bytes that the program takes, by what takes them; empty if it never ran."""
        if not self.variant.hits:
            return {}
        (lowered,) = self.variant.lowered(self.variant.programs()[:1])
        return memory_of(lowered.compile())

    def to_dict(self) -> dict[str, Any]:
        """Return this compile as plain data."""
        variant = self.variant
        traced = variant.traced
        lifted = [traced.inputs[i] for i in variant.inputs.order]
        return {
            "reason": self.reason,
            "trace_seconds": self.trace_seconds,
            "compile_seconds": self.compile_seconds,
            "calls": variant.hits,
            "shared": variant.shared,
            "lifted": lifted,
            "written": [w.name for w in variant.results.writes],
            "donated": [lifted[i] for i in variant.donated],
            "constants": [list(c) for c in traced.constants],
            "random_draws": variant.draws,
            "nodes": len(traced.nodes),
            "guards": [str(g) for g in traced.guards],
            "prints": traced.prints,
            "misses": variant.misses,
            "memory": self.memory(),
        }


class Explanation:
    """What a static callable compiled and why. `str()` is a table, `to_dict()` is data."""

    def __init__(self, name: str, compiles: Sequence[Compile], eager: Sequence[str] = (), uncompiled: int = 0) -> None:
        self.name, self.compiles, self.eager = name, list(compiles), list(eager)
        self.uncompiled = uncompiled

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        variants = [c.to_dict() for c in self.compiles]
        return {"name": self.name, "variants": variants, "eager": self.eager, "uncompiled": self.uncompiled}

    def __str__(self) -> str:
        if not self.compiles and not self.eager:
            return f"{self.name}: not compiled yet"
        lines = [f"{self.name}: {len(self.compiles)} variant{'s' if len(self.compiles) != 1 else ''}"]
        for i, compile_ in enumerate(self.compiles, 1):
            d = compile_.to_dict()
            lines.append(f"  {i}. {d['reason']}")
            lines.append(
                f"     traced in {1e3 * d['trace_seconds']:.0f} ms, first call {1e3 * d['compile_seconds']:.0f} ms"
                f"{' (program of an earlier variant)' if d['shared'] else ''}, {d['calls']} calls, "
                f"{d['nodes']} nodes"
            )
            if d["memory"]:
                lines.append(f"     memory: {', '.join(f'{k} {_bytes(v)}' for k, v in d['memory'].items())}")
            lines.append(f"     reads: {_some(d['lifted'])}")
            lines.append(f"     writes: {_some(d['written'])}")
            if d["constants"]:
                lines.append(f"     baked in: {_some([f'{n} = {v}' for n, v in d['constants']])}")
            if d["prints"]:
                lines.append(f"     prints after every call: {_some(d['prints'])}")
            if d["guards"]:
                lines.append(f"     assumes: {_some(d['guards'])}; {d['misses']} misses")
        lines += [f"  runs in eager mode: {reason}" for reason in self.eager]
        if self.uncompiled:
            lines.append(f"  ran in eager mode: {self.uncompiled} calls of kinds that come seldom. {SELDOM}")
        return "\n".join(lines)

    __repr__ = __str__


def _bytes(count: int) -> str:
    return f"{count:,} B" if count < 10_000 else f"{count / 1e3:,.1f} kB" if count < 1e7 else f"{count / 1e6:,.1f} MB"


def _some(names: Sequence[str], limit: int = 12) -> str:
    if not names:
        return "nothing"
    more = f", ... {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def warn_eager(name: str, reason: str) -> None:
    """Warn that calls of a static function run in eager mode."""
    ways = "do that outside the call"
    if any(words in reason for words in ("a value out of", "the integer of", "looks at a value")):
        ways = (
            "compare arrays (`x.array > 0` compiles, a variant per outcome; `float(x.array) > 0` does not); take "
            "numbers out after the call: return them, or jaxchain.report them as arrays"
        )
    elif "formats a value" in reason:
        ways = (
            "give print or the logger the array, not its text: print('loss', x.array) and logger.info('loss %s', "
            "x.array) are repeated after every call"
        )
    warn(
        f"{name} runs in eager mode: {reason}.\nThe result is the same, slower. "
        f"Ways out: {ways}; leave this part eager on purpose: link.eager()",
        EagerFallback,
    )


def _remedy(last: Compile) -> str:
    """Return what to do about compiles for such a reason."""
    reason = last.reason
    if reason.startswith("arg ") and "[" in reason:
        return "Pad sizes that vary: @jaxchain.static(sizes=jaxchain.bucket(...))"
    if STRUCTURE in reason:
        return "Each structure is a program of its own: let parts be static that all have in common, or leave it eager"
    if reason.startswith("arg "):
        return "Pass a number that changes as an array (np.float32(v)), or leave this function eager"
    if last.variant.guards:
        return "jaxchain.cond, while_loop and scan are one program for all outcomes"
    return f"{ATTRIBUTE}; or leave this function eager"


def warn_if_often(name: str, compiles: Sequence[Compile]) -> None:
    """Warn, with the last reasons and the remedy, each time the number of compiles doubles from `OFTEN` on.

    Only compiles under the configuration of the last one count: a program that trains and evaluates in turn compiles
    everything twice, and no more.
    """
    configuration = compiles[-1].key[2]
    counted = [c for c in compiles if c.key[2] == configuration]
    n = len(counted)
    if n >= OFTEN and n & (n - 1) == 0:
        reasons = "; ".join(c.reason for c in counted[-3:])
        warn(
            f"{name} was compiled {n} times; last reasons: {reasons}. A compile costs far more than a call. "
            f"{_remedy(counted[-1])}. {SELDOM}. See explain().",
            RecompileWarning,
        )


def _describe_leaf(key: Any) -> str:
    if isinstance(key, tuple):
        if key[0] == "Variable":
            return f"Variable {key[1]!r}" + (" with grad" if key[2] else "")
        if key[0] in ("object", "record"):
            return "another object"
        return repr(float.fromhex(key[1]) if isinstance(key[0], type) and issubclass(key[0], float) else key[1])
    return str_of(key) if isinstance(key, jax.ShapeDtypeStruct) else repr(key)


def _changed(old: Any, new: Any, names: Sequence[str]) -> str:
    """Return which arguments have another structure, as ``: trees``."""
    if len(names) != new.num_leaves:
        return ""
    (before, _), (after, _) = old.children(), new.children()
    found, at = [], 0
    for a, b in itertools.zip_longest(before.children(), after.children()):
        if b is None:
            continue
        if b.num_leaves and (a is None or a != b):
            found.append(re.split(r"[.\[]", names[at])[0])
        at += b.num_leaves
    return f": {', '.join(found)}" if found else ""


def key_difference(compiles: Sequence[Compile], key: Any, names: Sequence[str]) -> str:
    """Return how the key of a call differs from the nearest one that was compiled for."""

    def differences(old: Any) -> list[str]:
        found = []
        if old[0] != key[0]:
            found.append(STRUCTURE + _changed(old[0], key[0], names))
        else:
            for name, a, b in zip(names, old[1], key[1], strict=False):
                if a != b:
                    found.append(f"arg {name}: {_describe_leaf(a)} -> {_describe_leaf(b)}")
            if old[1][len(names) :] != key[1][len(names) :]:
                found.append("which arguments are the same Variable changed")
        before, after = dict(old[2]), dict(key[2])
        found += [
            f"config.{k} {before.get(k)} -> {after.get(k)}"
            for k in sorted(before.keys() | after.keys())
            if before.get(k) != after.get(k)
        ]
        return found

    return ", ".join(min((differences(c.key) for c in compiles), key=len))
