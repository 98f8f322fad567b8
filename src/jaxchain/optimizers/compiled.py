"""The compiled update: rules and pure hooks over all parameters, one jitted program per layout.

`apply_updates` gathers numbers, parameters, gradients and slots, calls `program` and writes the results back.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from jaxchain.core.config import thread_state
from jaxchain.core.exact import devices_of
from jaxchain.core.interrupts import whole
from jaxchain.core.parameter import Parameter
from jaxchain.optimizers.hyperparameter import split

Group = tuple[Any, ...]  # (rule class, static values, hooks before, hooks after): what a program is compiled for


def apply_hooks(
    hooks: Any, numbers: Any, params: Sequence[Any], grads: Sequence[Any], scales: Sequence[Any] | None = None
) -> Sequence[Any]:
    """Apply pure hooks in order: return the new gradients. `scales`: the loss scale of each."""
    scales = [None] * len(params) if scales is None else scales
    for (kind, statics), values in zip(hooks, numbers, strict=True):
        grads = kind.gradients(SimpleNamespace(**values, **dict(statics), loss_scales=scales), params, grads)
    return grads


def _apply_rule(kind: Any, h: Any, t: Any, params: Sequence[Any], grads: Sequence[Any], slots: Any) -> tuple[Any, Any]:
    """Apply a rule to some parameters: return (new parameters, new slots, one tuple of slots per parameter)."""
    transformation = kind.transform(h, t)
    probe = jax.eval_shape(transformation.init, jax.ShapeDtypeStruct((2, 3), jnp.float32))
    leaves, tree = jax.tree_util.tree_flatten(probe)
    if any(leaf.shape != (2, 3) for leaf in leaves):  # some state is not per element: one parameter at a time
        updates, states = [], []
        for p, g, s in zip(params, grads, slots, strict=True):
            u, state = transformation.update(g, jax.tree_util.tree_unflatten(tree, s), p)
            updates.append(u)
            states.append(tuple(jax.tree_util.tree_leaves(state)))
    else:
        state = jax.tree_util.tree_unflatten(tree, [tuple(s[i] for s in slots) for i in range(len(leaves))])
        updates, state = transformation.update(tuple(grads), state, tuple(params))
        columns = tree.flatten_up_to(state)
        states = [tuple(c[i] for c in columns) for i in range(len(params))]
    new = [jnp.asarray(p + u).astype(p.dtype) for p, u in zip(params, updates, strict=True)]
    return new, [
        tuple(n.astype(o.dtype) for n, o in zip(s, old, strict=True)) for s, old in zip(states, slots, strict=True)
    ]


@functools.lru_cache(maxsize=256)
def program(
    name: str, groups: tuple[Group, ...], members: tuple[int, ...], pre: Any, post: Any, scaled: tuple[int, ...]
) -> Callable[..., Any]:
    """Return the compiled update of one layout.

    Args:
        name: Its name in jaxprs.
        groups: What each group of parameters has in common.
        members: Group of each parameter; -1: it is not updated, but seen by hooks.
        pre: (class, static values) of the optimizer's hooks before the update.
        post: The same after it.
        scaled: Which of the loss scales each parameter's gradient is divided by; -1: none; empty: no gradient is.
    """
    places = [[i for i, m in enumerate(members) if m == k] for k in range(len(groups))]

    def update(numbers: Any, ts: Any, hook_numbers: Any, scales: Any, params: Any, grads: Any, slots: Any) -> Any:
        params, slots = list(params), list(slots)
        each = scale_of_each(scales, scaled, len(params))
        grads = list(apply_hooks(pre, hook_numbers[0], params, list(grads), each))
        for (kind, statics, before, after), at, values, t, inner in zip(
            groups, places, numbers, ts, hook_numbers[2], strict=True
        ):
            h = SimpleNamespace(**values, **dict(statics))
            some = [params[i] for i in at]
            gs = [unscaled(grads[i], each[i]) for i in at]
            if before:
                gs = [apply_hooks(before, inner[0], [p], [g])[0] for p, g in zip(some, gs, strict=True)]
            new, states = _apply_rule(kind, h, t, some, gs, [slots[i] for i in at])
            if after:
                gs = [apply_hooks(after, inner[1], [p], [g])[0] for p, g in zip(new, gs, strict=True)]
            for i, p, g, s in zip(at, new, gs, states, strict=True):
                params[i], grads[i], slots[i] = p, g, s
        changed = bool(pre or post or scaled or any(g[2] or g[3] for g in groups))
        grads = list(apply_hooks(post, hook_numbers[1], params, grads, each))
        return [p for p, m in zip(params, members, strict=True) if m >= 0], grads if changed else None, slots

    update.__name__ = update.__qualname__ = name
    return jax.jit(update)


def scales_apart(scales: Sequence[Any] | None) -> tuple[tuple[int, ...], list[Any]]:
    """Return (place of each parameter's loss scale, the different ones)."""
    keys = [s if isinstance(s, float) else id(s) for s in scales or ()]
    distinct = {k: s for k, s in zip(keys, scales or (), strict=True) if s is not None}
    places = {k: i for i, k in enumerate(distinct)}
    return tuple([places.get(k, -1) for k in keys]) if distinct else (), list(distinct.values())


def scale_of_each(scales: Sequence[Any], scaled: Sequence[int], count: int) -> list[Any]:
    """Return the loss scale of each of `count` parameters, or None: what `scales_apart` took apart."""
    return [None if place < 0 else scales[place] for place in scaled] if scaled else [None] * count


def unscaled(grad: Any, scale: Any) -> Any:
    """Return a gradient divided by its loss scale; None: as it is."""
    return grad if scale is None else grad / jnp.asarray(scale, grad.dtype)


def hooks_of(hooks: Collection[Any]) -> tuple[Any, list[dict[str, Any]]]:
    """Return (the static part, the numbers) of some pure hooks."""
    if not hooks:
        return (), []
    parts = [(type(hook), *split(hook.__dict__)) for hook in hooks]
    return tuple((kind, statics) for kind, _, statics in parts), [numbers for _, numbers, _ in parts]


def call_update(
    name: str, compiled: Callable[..., Any], arguments: tuple[Any, ...], homes: Callable[[], tuple[Any, ...]]
) -> Any:
    """Call a compiled update, on one device if what it takes is on several.

    Args:
        name: Name of the program.
        compiled: The update.
        arguments: What it takes.
        homes: Makes a tree of shardings like the results: where they are put if what the update takes is on several
            devices. None: where they are.
    """
    trace = thread_state().trace
    if trace is not None:
        with trace.update_scope(name):
            return compiled(*arguments)
    try:
        return compiled(*arguments)
    except ValueError:
        if len(devices_of(jax.tree_util.tree_leaves(arguments))) < 2:
            raise
    places = homes()
    results = compiled(*jax.device_put(arguments, jax.tree_util.tree_leaves(places)[0]))
    return [
        found if place is None or found is None else list(map(jax.device_put, found, place))
        for found, place in zip(results, places, strict=True)
    ]


def _grouped(params: Sequence[Parameter]) -> tuple[list[Any], ...]:
    """Put parameters into groups whose rules have everything in common but their slots.

    Returns:
        Group of each parameter, -1 for those that are not updated; slots of each parameter; of each group what it is
        compiled for, its numbers, its number of updates, the numbers of its hooks.
    """
    groups: dict[Any, int] = {}
    details: list[Group] = []
    numbers, ts, inner, members, slots = [], [], [], [], []
    for p in params:
        rule = p.update_rule
        if rule is None or not rule._status.enabled:
            members.append(-1)
            slots.append(())
            continue
        state = rule._state
        names = rule.slots
        if state is None and names:
            rule._init_states(p)
            state = rule._state
        _, offset, own, hooks = rule._status
        offset_key = offset if type(offset) is int else id(offset)
        key = (type(rule), id(rule._hyper), id(own), offset_key, id(hooks), rule._extra)
        group = groups.get(key)
        if group is None:
            group = groups[key] = len(details)
            values, statics = rule._hyper.split()
            before, before_numbers = hooks_of(hooks.pre.values() if hooks else ())
            after, after_numbers = hooks_of(hooks.post.values() if hooks else ())
            details.append((type(rule), statics + rule._extra, before, after))
            numbers.append(values)
            ts.append(own.t - offset)
            inner.append((before_numbers, after_numbers))
        members.append(group)
        slots.append(tuple([state[s] for s in names]) if names and state else ())
    return members, slots, details, numbers, ts, inner


def apply_updates(
    name: str,
    params: Sequence[Parameter],
    pre: Sequence[Any] = (),
    post: Sequence[Any] = (),
    scales: Any = None,
) -> None:
    """Update parameters with rules of ours, in one compiled call.

    Args:
        name: Name of the program.
        params: Initialised parameters with gradients.
        pre: Pure hooks of the optimizer, before.
        post: Pure hooks of the optimizer, after.
        scales: The loss scale of each parameter, or None; None: no gradient is divided.
    """
    members, slots, details, numbers, ts, inner = _grouped(params)
    pre_static, pre_numbers = hooks_of(pre)
    post_static, post_numbers = hooks_of(post)
    scaled, distinct = scales_apart(scales)
    compiled = program(name, tuple(details), tuple(members), pre_static, post_static, scaled)
    arguments = (
        numbers,
        ts,
        (pre_numbers, post_numbers, inner),
        distinct,
        [p._array for p in params],
        [p.grad for p in params],
        slots,
    )

    def homes() -> tuple[Any, ...]:
        places = [p._array.sharding for p in params]
        return [place for place, member in zip(places, members, strict=True) if member >= 0], places, places

    new, grads, states = call_update(name, compiled, arguments, homes)

    def write() -> None:
        arrays = iter(new)
        for p, member, values in zip(params, members, states, strict=True):
            if member >= 0:
                p._array = next(arrays)
                if values:
                    state = p.update_rule._state
                    for slot, value in zip(p.update_rule.slots, values, strict=True):
                        state[slot] = value
        if grads is not None:
            for p, g in zip(params, grads, strict=True):
                p._grad = g

    whole(write)
