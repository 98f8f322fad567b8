"""What a step reads and writes, wherever it is kept: static equals eager, and no more compiles than needed."""

import argparse
import collections
import contextlib
import contextvars
import copy
import csv
import dataclasses
import datetime
import functools
import importlib
import importlib.machinery
import io
import itertools
import logging
import math
import os
import pathlib
import pickle
import queue
import random
import re
import secrets
import subprocess
import sys
import threading
import time
import types
import uuid
import warnings
import weakref
from datetime import date as Date
from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tqdm

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Chain, Variable
from jaxchain.core.explain import EagerFallback
from jaxchain.core.untouched import untouched

State = collections.namedtuple("State", "h c")


@dataclasses.dataclass
class Batch:
    x: object
    scale: int = 2


@dataclasses.dataclass(frozen=True)
class Frozen:
    h: object
    steps: int


class Box:
    """Whatever a program hangs on an object."""

    def __init__(self, **values):
        self.__dict__.update(values)


def variable(*values):
    return Variable(np.float32(values))


def plain(value):
    """A value as what can be compared: arrays as lists."""
    if isinstance(value, Variable):
        return "variable", plain(value.array), plain(value.grad)
    if isinstance(value, jax.core.Tracer):
        return "a tracer came out"
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return np.round(np.asarray(value, np.float64), 4).tolist()
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return type(value).__name__, [(k, plain(v)) for k, v in value.items()]
    if isinstance(value, list | tuple | collections.deque):
        return type(value).__name__, [plain(v) for v in value]
    if isinstance(value, set):
        return sorted(map(repr, value))
    if isinstance(value, jaxchain.Link):
        return [(n, plain(p)) for n, p in sorted(value.namedparams())]
    return (type(value).__name__, plain(vars(value))) if hasattr(value, "__dict__") and not callable(value) else value


def run(program, static):
    jaxchain.seed(0), np.random.seed(0), random.seed(0)
    made = []

    def decorator(function):
        if static:
            function = jaxchain.static(function)
            made.append(function)
        return function

    result = program(decorator)
    after = (np.random.rand(), random.random(), F.dropout(np.ones(8, "f"), 0.5))  # where the streams are now
    return plain((result, after)), made


def repeated(make, calls=4):
    """A program that calls one step several times: `make` gives the step and what it leaves behind."""

    @functools.wraps(make)
    def program(static):
        step, left = make(static)
        return [plain(step(variable(i, i + 1.0))) for i in range(calls)], left

    return program


# -- state of any form ------------------------------------------------------------------------------------------------

COMPILES = {}  # program -> how many compiles there may be


def program(compiles, calls=4, whole=False):
    def register(make):
        COMPILES[make if whole else repeated(make, calls)] = compiles
        return make

    return register


@program(1)
def a_named_tuple(static):
    box = Box(state=State(jnp.zeros(2), jnp.ones(2)))

    @static
    def step(x):
        box.state = State(box.state.h + x.array, box.state.c * 2)
        return Variable(box.state.h + box.state.c)

    return step, box


@program(1)
def a_named_tuple_with_dictionaries_that_are_made_anew(static):  # optax's states
    rule = optax.adam(0.1)
    box = Box(weights={"w": jnp.ones(2), "in": {"b": jnp.ones(2)}})
    box.state = rule.init(box.weights)

    @static
    def step(x):
        grads = jax.grad(lambda p: ((p["w"] * x.array + p["in"]["b"]) ** 2).sum())(box.weights)
        updates, box.state = rule.update(grads, box.state)
        box.weights = optax.apply_updates(box.weights, updates)
        return Variable(box.weights["w"])

    return step, box


@program(1, calls=6)
def a_frozen_dataclass_that_is_replaced(static):
    box = Box(state=Frozen(jnp.zeros(2), 0))

    @static
    def step(x):
        box.state = dataclasses.replace(box.state, h=box.state.h + x.array)
        return Variable(box.state.h * 2)

    return step, box


@program(2, calls=6)
def a_list_made_anew(static):
    box = Box(hs=None)

    @static
    def step(x):
        box.hs = []
        for k in range(2):
            box.hs.append(x * k)
        return box.hs[-1]

    return step, box


@program(2, calls=6)
def a_dictionary_made_anew(static):
    box = Box(hs=None)

    @static
    def step(x):
        last = box.hs
        box.hs = {"h": x * 2, "of": [x]}
        return x if last is None else last["h"] + last["of"][0]

    return step, box


def _in_turn(values):
    total = 0
    for value in values.values():
        total = total * 2 + value
    return total


@program(2)
def the_order_of_a_dictionary(static):
    box = Box(d={"a": jnp.ones(2), "b": jnp.zeros(2)})

    @static
    def step(x):
        first = next(iter(box.d))
        box.d[first] = box.d.pop(first) + x.array
        return x * _in_turn(box.d)

    return step, box


@program(5, whole=True)
def what_a_place_holds(static):
    box = Box(h=jnp.ones(2))

    @static
    def step(x):
        return x if box.h is None else x * box.h, type(box.h) is np.ndarray

    found = []
    for h in (box.h, variable(3, 4), np.float32([5, 6]), 2.0, None, jnp.ones(2), variable(1, 2)):
        box.h = h
        found.append(plain(step(variable(1, 2))))
    return found


@program(1, calls=5)
def lists_that_change_places(static):
    box = Box(p=[jnp.zeros(2)], q=[jnp.ones(2)])

    @static
    def step(x):
        box.p, box.q = box.q, box.p
        box.q.append(box.q.pop() + x.array)
        return x + box.p[0]

    return step, box


@program(3)
def a_deque(static):
    box = Box(last=collections.deque(maxlen=2))

    @static
    def step(x):
        box.last.append(x * 2)
        return sum(box.last)

    return step, box


@program(2)
def a_set(static):
    box = Box(seen=set())

    @static
    def step(x):
        box.seen.add("key")
        return x * len(box.seen)

    return step, box


@program(1)
def a_class_attribute(static):
    class Model:
        h = jnp.zeros(2)

    @static
    def step(x):
        Model.h = Model.h + x.array
        return Variable(Model.h)

    return step, _Late(lambda: plain(Model.h))


@program(1)
def two_names_of_one_list(static):
    hs = [jnp.zeros(2)]
    box = Box(a=hs, b=hs)

    @static
    def step(x):
        box.a[0] = box.a[0] + x.array
        return x * box.b[0]

    return step, box


@program(2)
def the_very_list_comes_back(static):
    box = Box(hs=[None])

    @static
    def step(x):
        box.hs.clear()
        box.hs.append(1)
        return box.hs

    return lambda x: step(x) is box.hs, box


class Marked:
    """Something to add attributes to."""


class Slotted:
    __slots__ = ("__scale", "h", "steps")

    def __init__(self):
        self.__scale = 2

    def scale(self, by=1):
        self.__scale *= by
        return self.__scale


@program(2)
def a_global_that_was_not_there(static):
    globals().pop("LAST", None)

    @static
    def step(x):
        global LAST
        last = globals().get("LAST")
        LAST = x.array * 2
        return x if last is None else x + last

    return step, _Late(lambda: plain(LAST))


@program(2)
def a_variable_of_a_closure_that_was_not_there(static):
    @static
    def step(x):
        nonlocal last
        last = x.array * 2
        return x

    if static is None:
        last = None
    return step, _Late(lambda: plain(last))


@program(2)
def slots_that_were_not_there(static):
    box = Slotted()

    @static
    def step(x):
        last = getattr(box, "h", None)
        box.h = x.array * 2
        return x if last is None else x + last

    return step, _Late(lambda: plain(box.h))


@program(2)
def a_slot_that_is_deleted(static):
    box = Slotted()
    box.steps = 3

    @static
    def step(x):
        steps = getattr(box, "steps", 0)
        if steps:
            del box.steps
        return x * steps

    return step, _Late(lambda: hasattr(box, "steps"))


@program(2)
def an_attribute_of_a_class_that_was_not_there(static):
    if hasattr(Marked, "h"):
        del Marked.h

    @static
    def step(x):
        last = getattr(Marked, "h", None)
        Marked.h = x.array * 2
        return x if last is None else x + last

    return step, _Late(lambda: plain(Marked.h))


@program(2)
def an_attribute_of_a_function_that_was_not_there(static):
    def counted(x):
        last = getattr(counted, "h", None)
        counted.h = x.array * 2
        return x if last is None else x + last

    return static(counted), _Late(lambda: plain(counted.h))


# -- what changes between two calls -----------------------------------------------------------------------------------


def between(change, compiles=2, **values):
    """A program whose step multiplies by what `read` gives, before and after a change."""

    def register(read):
        @functools.wraps(read)
        def two_calls(static):
            box = values["make"]()

            @static
            def step(x):
                return x * read(box)

            first = plain(step(variable(1, 2)))
            change(box)
            return first, step(variable(1, 2))

        COMPILES[two_calls] = compiles
        return read

    return register


class Scaled:
    scale, scales = 2, [1]


def _scaled():
    Scaled.scale, Scaled.scales = 2, [1]
    return Scaled()


between(lambda box: setattr(Scaled, "scale", 5), make=_scaled)(lambda box: box.scale)
between(lambda box: Scaled.scales.append(5), make=_scaled)(lambda box: sum(box.scales))
between(lambda box: box.tags.add(5), make=lambda: Box(tags={1}))(lambda box: 2 if 5 in box.tags else 3)
between(lambda box: setattr(box, "k", 5), make=lambda: types.SimpleNamespace(k=2))(lambda box: box.k)
between(lambda box: setattr(box, "k", 5), make=lambda: argparse.Namespace(k=2))(lambda box: box.k)
between(lambda box: box.update(k=5), make=lambda: collections.UserDict(k=2))(lambda box: box["k"])
between(lambda box: box.append(5), make=lambda: collections.deque([1]))(lambda box: sum(box))
between(lambda box: setattr(box, "k", -0.0), make=lambda: Box(k=0.0))(lambda box: math.copysign(1, box.k))
between(lambda box: box.k.__setitem__(0, 5), make=lambda: Box(k=np.array([1, 2], dtype=object)))(lambda box: box.k[0])
between(lambda box: box.k.__setitem__(0, 5), make=lambda: Box(k=np.ones(2, "f")))(lambda box: box.k)
between(lambda box: box.k.fill(5), make=lambda: Box(k=np.ones((400, 300), "f")))(lambda box: box.k.mean())


between(lambda box: setattr(box, "k", 5), make=lambda: _local(k=2))(lambda box: box.k)
between(lambda box: box.scale(3), make=lambda: Slotted())(lambda box: box.scale())
between(lambda box: box.k.extend(b"x"), make=lambda: Box(k=bytearray(b"ab")))(lambda box: len(box.k))
between(lambda box: box.maps[0].update(k=5), make=lambda: collections.ChainMap({"k": 2}))(lambda box: box["k"])
between(lambda box: box.d.update(k=5), make=lambda: _proxy(k=2))(lambda box: box.proxy["k"])
between(lambda box: setattr(box, "k", 5), make=lambda: _Named([1], k=2))(lambda box: box.k)
between(lambda box: setattr(_Patched, "factor", lambda self: 5), make=lambda: _patched())(lambda box: box.factor())
between(lambda box: setattr(_Patched, "scale", 5), make=lambda: _patched())(lambda box: box.scale)


class _Descriptor:
    k = 2

    def __get__(self, instance, owner=None):
        return self.k


class _Decorated:
    """A decorator of methods that is a class."""

    k = 2

    def __init__(self, function):
        self.function = function

    def __get__(self, instance, owner=None):
        return lambda: self.function(instance) * self.k


class _Meta(type):
    shade = 2


SCALE_BY = 2


@contextlib.contextmanager
def scale_by():
    yield SCALE_BY


@functools.singledispatch
def dispatched(box):
    return box.k


def weighed(box):
    return 2


class _Members(metaclass=_Meta):
    scale = _Descriptor()
    slow = functools.partialmethod(lambda self, k: k * SCALE_BY, 3)

    def __init__(self):
        self.k = 1
        self.weak, self.weak_values = weakref.WeakKeyDictionary({_Members: 2}), weakref.WeakValueDictionary(a=self)

    @_Decorated
    def decorated(self):
        return self.k

    @property
    def twice(self):
        return self.k

    @twice.setter
    def twice(self, value):
        self.k = value * SCALE_BY

    @functools.singledispatchmethod
    def shown(self, value):
        return 2


def _members():
    global SCALE_BY
    SCALE_BY = _Descriptor.k = vars(_Members)["decorated"].k = _Meta.shade = 2
    vars(_Members)["scale"].k = 2
    weighed.__code__ = (lambda box: 2).__code__
    dispatched.register(_Members, lambda box: 2)
    _Members.shown.register(int, lambda self, value: 2)
    return _Members()


def _set_global(box):
    global SCALE_BY
    SCALE_BY = 5


def _by_import(box):
    from test_state import SCALE_BY as scale

    return scale


def _set_twice(box):
    box.twice = 3
    return box.k


def _in_block(box):
    with scale_by() as k:
        return k


def _anew(box):
    weighed.__code__ = (lambda box: 5).__code__


between(lambda box: setattr(vars(_Members)["scale"], "k", 5), make=_members)(lambda box: box.scale)
between(lambda box: setattr(vars(_Members)["decorated"], "k", 5), make=_members)(lambda box: box.decorated())
between(lambda box: setattr(_Meta, "shade", 5), make=_members)(lambda box: type(box).shade)
between(lambda box: box.weak.update({_Members: 5}), make=_members)(lambda box: box.weak[_Members])
between(lambda box: setattr(box, "k", 5), make=_members)(lambda box: box.weak_values["a"].k)
between(lambda box: dispatched.register(_Members, lambda box: 5), make=_members)(lambda box: dispatched(box))
between(lambda box: _Members.shown.register(int, lambda self, v: 5), make=_members)(lambda box: box.shown(1))
between(_anew, make=_members)(lambda box: weighed(box))
between(_set_global, make=_members)(lambda box: box.slow())
between(_set_global, make=_members)(_set_twice)
between(_set_global, make=_members)(_by_import)
between(_set_global, make=_members)(_in_block)
between(_set_global, make=_members)(lambda box: globals()["SCALE_BY"])
between(_set_global, make=_members)(lambda box: eval("SCALE_BY + 1"))


def _arrays(**values):
    return Box(d={k: jnp.full(1, v, "f") for k, v in values.items()})


def _again(values):
    values["a"] = values.pop("a")


between(lambda box: _again(box.d), make=lambda: Box(d={"a": 1, "b": 2}))(lambda box: _in_turn(box.d))
between(lambda box: _again(box.d), make=lambda: _arrays(a=1, b=2))(lambda box: _in_turn(box.d))
between(lambda box: box.move_to_end("a"), make=lambda: collections.OrderedDict(a=1, b=2))(_in_turn)
between(lambda box: box.d.update(c=box.d.pop("a")), make=lambda: _arrays(a=1, b=2))(lambda box: _in_turn(box.d))
between(lambda box: box.d.clear(), make=lambda: _arrays(a=1))(lambda box: _in_turn(box.d))


class _Named(list):
    """A list with attributes."""

    def __init__(self, items, **values):
        super().__init__(items)
        self.__dict__.update(values)


class _Base:
    scale = 2


class _Patched(_Base):
    def factor(self):
        return 2


def _patched():
    if "scale" in vars(_Patched):
        del _Patched.scale
    _Patched.factor = lambda self: 2
    return _Patched()


def _local(**values):
    box = threading.local()
    box.__dict__.update(values)
    return box


def _proxy(**values):
    return Box(d=values, proxy=types.MappingProxyType(values))


@program(3, whole=True)
def what_every_thread_has_of_its_own(static):
    box, found = threading.local(), {}

    @static
    def step(x):
        box.h = box.h + x.array
        return x * box.k

    def work(k):
        box.h, box.k = jnp.zeros(2), k
        found[k] = [plain(step(variable(1, 2))) for _ in range(2)], plain(box.h)

    work(1)
    for k in (2, 3):
        thread = threading.Thread(target=work, args=(k,))
        thread.start()
        thread.join()
    return found, plain(box.h)


@program(1)
def a_method_that_remembers(static):
    class Table:
        @functools.lru_cache  # noqa: B019
        def of(self, n):
            return jnp.arange(float(n))

    table = Table()
    return static(lambda x: x + table.of(2)), _Late(lambda: plain(table.of(2)))


@program(2, whole=True)
def a_module_that_is_imported_on_the_way(static, folder=pathlib.Path(__file__).parent):
    def step(x):
        import setting_of_state

        return x * setting_of_state.SCALE

    step, module = static(step), types.ModuleType("setting_of_state")
    module.SCALE, module.__file__ = 2, str(folder / "setting_of_state.py")
    finder = types.SimpleNamespace(find_spec=lambda name, path=None, target=None: _spec(name, module))
    sys.modules.pop("setting_of_state", None)
    sys.meta_path.append(finder)
    try:
        first = [plain(step(variable(1))) for _ in range(2)]
    finally:
        sys.meta_path.remove(finder)
    module.SCALE = 5
    return first, step(variable(1))


def _spec(name, module):
    if name != module.__name__:
        return None
    loader = types.SimpleNamespace(create_module=lambda spec: module, exec_module=lambda module: None)
    return importlib.machinery.ModuleSpec(name, loader)


@program(2, whole=True)
def what_a_weak_reference_names(static):
    box = Box(k=2)
    reference = weakref.ref(box)

    @static
    def step(x):
        return x * reference().k

    first = plain(step(variable(1)))
    box.k = 5
    return first, step(variable(1))


@program(2, whole=True)
def default_arguments(static):
    def scaled(x, k=2):
        return x * k

    step = static(scaled)
    first = plain(step(variable(1)))
    scaled.__defaults__ = (7,)
    return first, step(variable(1))


@program(3, whole=True)
def an_attribute_of_a_function(static):
    def counted(x):
        counted.calls += 1
        return x * counted.calls

    counted.calls = 0
    step = static(counted)
    return [plain(step(variable(1))) for _ in range(3)], counted.calls


# -- arguments --------------------------------------------------------------------------------------------------------


@program(2, whole=True)
def one_variable_twice(static):
    @static
    def step(x, y):
        loss = F.sum(x * y * y)
        loss.backward()
        return loss * (2 if x is y else 1)

    x, y = variable(1, 2), variable(1, 2)
    return [step(x, y), step(x, x)], x, y


@program(3, whole=True)
def a_variable_of_the_state(static):
    box = Box(v=variable(1, 2))

    @static
    def step(x):
        loss = F.sum(x * box.v)
        loss.backward()
        return loss

    return [step(box.v), step(box.v), step(variable(3, 4)), step(box.v)], box


@program(1, whole=True)
def a_batch_that_is_an_object(static):
    @static
    def step(batch):
        return F.sum(batch.x * batch.scale)

    return [step(Batch(variable(i, 2))) for i in range(4)]


@program(2, whole=True)
def a_number_of_such_an_object(static):
    @static
    def step(batch):
        return F.sum(batch.x * batch.scale)

    return [step(Batch(variable(1, 2), scale=k)) for k in (2, 3, 2, 3)]


@dataclasses.dataclass(frozen=True)
class Settings:
    name: str
    scale: object = dataclasses.field(compare=False)


@program(2, whole=True)
def what_the_equality_of_an_object_leaves_out(static):
    @static
    def step(x, settings):
        return x * settings.scale

    return [step(variable(1, 2), Settings("a", k)) for k in (2, 3, 2, 3)]


@program(1, whole=True)
def an_object_that_holds_a_variable_and_compares_it(static):
    @dataclasses.dataclass(frozen=True)
    class Held:
        x: object

    return [plain(y) for y in map(static(lambda held: held.x * 2), [Held(variable(1, i)) for i in range(4)])]


@program(2, whole=True)
def a_numpy_scalar_that_is_no_number(static):
    @static
    def step(x, day):
        return x * (2 if day > np.datetime64("2020-01-02") else 3)

    return [step(variable(1), np.datetime64(day)) for day in ("2020-01-01", "2020-01-03", "2020-01-01")]


@program(2, whole=True)
def zero_and_minus_zero(static):
    @static
    def step(x, k):
        return F.sum(x * k)

    return [np.signbit(np.asarray(step(variable(1), k).array)) for k in (0.0, -0.0)], step(variable(1), 0.0)


@program(1, whole=True)
def not_a_number(static):
    @static
    def step(x, k):
        return F.sum(x * k)

    return [plain(step(variable(1), float(text)))[1] != 0 for text in ("nan", "nan")]


@program(3, whole=True)
def a_set_as_argument(static):
    @static
    def step(x, tags):
        return x * len(tags)

    tags = {1}
    return [plain(step(variable(1), {1})), plain(step(variable(1), tags)), tags.clear(), step(variable(1), tags)], [
        plain(step(variable(1), frozenset("ab"))) for _ in range(2)
    ]


@program(2, whole=True)
def dictionaries_stay_in_order(static):
    @static
    def step(d):
        total = 0
        for x in d.values():
            total = total * 2 + F.dropout(x, 0.5)
        return total, d

    ones, twos = np.ones(8, "f"), np.full(8, 2, "f")
    return [step({"b": ones, "a": twos}), step({"a": ones, "b": twos}), step({"b": twos, "a": ones})]


@program(3, whole=True)
def keywords_stay_in_order(static):
    @static
    def step(**xs):
        total = 0
        for x in xs.values():
            total = total * 2 + x
        return total, list(xs)

    x, y = variable(1), variable(2)
    return [step(b=x, a=y), step(a=y, b=x), step(b=y, a=x), step(c=x)]


@program(1, whole=True)
def the_order_of_named_arguments_is_no_matter(static):
    @static
    def step(x, y=0, z=0):
        return x + y * 2 + z * 3

    x, y = variable(1), variable(2)
    return [step(x, y=x, z=y), step(x, z=y, y=x)]


@program(1, whole=True)
def keys_of_any_kind(static):
    return static(lambda d: d[1] + d["a"] * 2)({1: variable(1), "a": variable(2)})


# -- what changes between calls ----------------------------------------------------------------------------------------


@program(3, whole=True)
def an_update_rule_is_replaced(static):
    link = L.Linear(2, 1, initialW=1)
    optimizer = jaxchain.optimizers.SGD(0.5).setup(link)

    @static
    def step(x):
        link.cleargrads()
        F.sum(link(x)).backward()
        optimizer.update()

    found = []
    for rule in (link.W.update_rule, jaxchain.optimizers.SGD(2.0).create_update_rule(), None):
        link.W.update_rule = rule
        found.append((step(np.float32([[1, 2]])), plain(link)))
    return found


@program(2, whole=True)
def one_element_of_an_array_of_160_kb(static):
    table = np.ones((200, 200), np.float32)
    step = static(lambda x: x * table[3, 7])
    first = plain(step(variable(1)))
    table[3, 7] = 5
    return first, step(variable(1))


@program(2, whole=True)
def an_array_is_given_another_shape(static):
    table = np.ones(4, np.float32)
    step = static(lambda x: x * table.shape[0])
    first = plain(step(variable(1)))
    table.resize((2, 2), refcheck=False)
    return first, step(variable(1))


@program(2, whole=True)
def the_forward_of_a_class_of_links_is_replaced(static):
    link = L.Scale(W_shape=(1,), axis=0)
    step = static(lambda x: link(x))
    first = plain(step(variable(1)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(L.Scale, "forward", lambda self, x: x * 3)
        return first, plain(step(variable(1)))


@program(3, whole=True)
def a_function_of_ours_is_replaced(static):
    box = Box(k=4)
    step = static(lambda x: F.relu(x))
    first = plain(step(variable(1)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "relu", lambda x: x * box.k)
        then = plain(step(variable(1)))
        box.k = 5
        return first, then, plain(step(variable(1)))


@program(2, whole=True)
def an_object_is_given_another_class(static):
    class Twice(Chain):
        def forward(self, x):
            return x * 2

    class Thrice(Chain):
        def forward(self, x):
            return x * 3

    link = Twice()
    step = static(lambda x: link(x))
    first = plain(step(variable(1)))
    link.__class__ = Thrice
    return first, step(variable(1))


@program(2, whole=True)
def a_gradient_that_is_only_asked_for(static):
    link = L.Scale(W_shape=(1,), axis=0)
    link.cleargrads()
    step = static(lambda x: x * (2 if link.W.grad is None else 3))
    found = [plain(step(variable(1))) for _ in range(2)]
    link.W.grad = np.float32([1])
    return *found, step(variable(1))


@program(4, whole=True)
def the_shape_of_an_array_that_is_not_read(static):
    box = Box(v=variable(1, 2), a=jnp.ones(2))
    step = static(lambda x: x * (box.v.size + (0 if box.a is None else box.a.size)))
    found = [plain(step(variable(1)))]
    for box.v, box.a in ((variable(1), jnp.ones(2)), (variable(1), jnp.ones(5)), (variable(1), None)):
        found.append(plain(step(variable(1))))
    return found


def begins_anew(static, wrap):
    box = Box(h=None)

    @static
    def step(x):
        if box.h is None or box.h.shape[0] != len(x):
            box.h = wrap(jnp.zeros(len(x)))
        box.h = wrap(jnp.tanh((box.h + x).array))
        return x * 2

    return [(step(variable(*range(n))), plain(box.h)) for n in (2, 3, 3, 3, 2, 2)]


@program(5, whole=True)
def a_state_that_begins_anew_with_other_sizes(static):
    return begins_anew(static, Variable)


@program(5, whole=True)
def an_array_that_begins_anew_with_other_sizes(static):
    return begins_anew(static, lambda array: array)


@program(2, whole=True)
def a_result_that_is_kept_and_not_looked_at(static):
    box = Box(y=None)

    @static
    def step(x):
        box.y = x * 2
        return x

    found = []
    for n in (2, 2, 3, 3):
        step(variable(1, 2))
        box.y = variable(*range(n))
        found.append((step(variable(1, 2)), plain(box.y)))
    return found


@program(2, whole=True)
def the_shape_of_a_parameter_that_is_not_read(static):
    p = jaxchain.Parameter(1.0, (2,))
    step = static(lambda x: x * p.size)
    first = plain(step(variable(1)))
    p.array = np.ones(3, np.float32)
    return first, step(variable(1))


@program(2)
def one_variable_in_two_places_at_first(static):
    box = Box()
    box.first = box.h = variable(0, 0)

    @static
    def step(x):
        box.h = F.tanh(box.h + x)
        return box.h - box.first

    return step, box


@program(3, whole=True)
def a_place_holds_arrays_in_other_ways(static):
    box = Box(h=jnp.ones(2), pair=(jnp.ones(2), 1.0))
    step = static(lambda x: x * (total(box.h) + total(getattr(box, "pair", 0.0))))
    found = [plain(step(variable(1, 2)))]
    box.h = [jnp.ones(2), jnp.ones(3)]
    found.append(plain(step(variable(1, 2))))
    del box.pair
    return *found, step(variable(1, 2))


def total(value):
    return sum(map(total, value)) if isinstance(value, tuple | list) else value if np.isscalar(value) else value.sum()


@program(2, whole=True)
def a_variable_is_put_elsewhere(static):
    box = Box(h=variable(1, 2), before=None, all=[])
    k = jnp.ones(2)

    @static
    def step(x):
        box.before = (k, box.h)
        box.all = [box.h]
        return box.h

    return [(step(variable(1)) is box.h, box.before[1] is box.h, box.all[0] is box.h) for _ in range(3)]


@program(1, whole=True)
def a_variable_leaves_the_state_and_somebody_holds_it(static):
    h = variable(1, 2)
    box = Box(h=h, state=(variable(3, 4), 1))
    pair = box.state

    @static
    def step(x):
        F.sum(box.h * box.state[0] * x).backward()
        box.h, box.state = x, None

    step(variable(5, 6))
    return plain(h), plain(pair)


@program(3, whole=True)
def somebody_begins_to_hold_what_leaves_the_state(static):
    box, found = Box(h=variable(1, 1)), []

    @static
    def step(x):
        if hasattr(box, "h"):
            F.sum(box.h * x).backward()
        box.h = Variable(x.array)

    step(variable(1, 2))
    step(variable(1, 2))
    for deleted in (False, True):
        if deleted:
            del box.h
            step(variable(1, 2))
        held = box.h
        step(variable(3, 4))
        found.append(plain(held))
    return found


# -- results ----------------------------------------------------------------------------------------------------------


@program(1)
def a_dataclass_comes_out(static):
    return static(lambda x: Batch(x * 2, {"sum": F.sum(x)})), None


@program(1)
def dictionaries_with_a_mind_of_their_own(static):
    @static
    def step(x):
        lists = collections.defaultdict(list)
        lists["a"].append(x * 2)
        return lists, collections.Counter("aab"), collections.OrderedDict(b=x, a=x * 2)

    return step, None


@program(1)
def a_deque_comes_out(static):
    return static(lambda x: collections.deque([x, x * 2], maxlen=5)), None


class NewGiven:
    def __new__(cls, y):
        made = object.__new__(cls)
        made.y = y
        return made


class Stack(list):
    def __init__(self):
        super().__init__()
        self.tag = None


class Pair(tuple):
    def __new__(cls, a, b):
        return super().__new__(cls, (a, b))


class AttributeDict(dict):
    def __init__(self, **values):
        super().__init__(**values)
        self.__dict__ = self


@program(1)
def objects_of_classes_with_a_mind_of_their_own(static):
    @static
    def step(x):
        stack, table = Stack(), np.empty(2, object)
        stack.append(x)
        stack.tag = table[0] = x * 2
        return NewGiven(x * 3), stack, Pair(x, 2), AttributeDict(y=x * 4), list(table)

    return lambda x: (lambda r: (plain(r), plain(r[1].tag), plain(r[3].y)))(step(x)), None


@program(1)
def what_comes_out_is_made_anew(static):
    def step(x):
        return Box(n=0), np.zeros(2), bytearray(b"a"), [1], Variable(np.zeros(2, "f")), np.array([0], object)

    step = static(step)

    def changed(x):
        box, array, text, numbers, v, objects = result = step(x)
        box.n += 1
        array += 1
        objects[0] += 1
        text.append(3), numbers.append(4)
        v.grad = v.array = v.array + 1
        return plain(result), bytes(text)

    return changed, None


@program(2)
def one_object_in_two_places(static):
    box = Box(a=None, b=None)

    @static
    def step(x):
        if box.a is None:
            box.a = box.b = [x.array]
        box.a[0] = box.a[0] + x.array
        y, pair = x * box.b[0], Pair(x, 2)
        return y, y, {"of": [pair, pair]}

    def same(x):
        a, b, c = step(x)
        return plain(a), a is b, c["of"][0] is c["of"][1], box.a is box.b

    return same, box


@program(2)
def what_is_kept_comes_out(static):
    box = Box(last=None)

    @static
    def step(x):
        box.last = [x * 2]
        return box.last

    return lambda x: step(x).append(1) or len(box.last), box


@program(1)
def functions_come_out(static):
    class Later:
        def __init__(self, h):
            self.h = h

        def times(self, n):
            return self.h * n

    @static
    def step(x):
        h = x * 2

        def closure(n, *, more=x):
            return h * n + more if n is not None else never

        if h is None:
            never = 0

        kept = functools.partial(F.add, h)
        return closure, lambda n, h=h: h * n, kept, Later(h).times, (h * 3).__add__, lambda n: n

    return lambda x: [f(variable(3)) for f in step(x)], None


@program(1)
def a_function_that_remembers(static):
    @functools.lru_cache
    def table(n):
        return jnp.arange(float(n))

    step = static(lambda x: x + table(2))
    return lambda x: (step(x), table(2)), None


@program(1)
def what_is_printed(static):
    box = Box(out=io.StringIO(), n=3)

    @static
    def step(x):
        print("before", x, box.n, [x.array], file=box.out)
        x.array = x.array * 2
        print(x.array, sep="", end=";", file=box.out)
        return x

    return step, Box(text=_Late(box.out.getvalue))


class _Late:
    """The value that a function has at the end."""

    __slots__ = ("get",)

    def __init__(self, get):
        self.get = get

    def __eq__(self, other):
        return self.get() == other.get()

    def __hash__(self):
        return 0


@pytest.mark.parametrize("program", COMPILES, ids=lambda p: p.__name__)
def test_static_equals_eager(program):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected, _ = run(program, static=False)
        got, made = run(program, static=True)
    assert got == expected
    assert [len(f.compiles) for f in made] == [COMPILES[program]], made[0].explain()


# -- what no compiled program repeats ---------------------------------------------------------------------------------


def _generator():
    yield from itertools.cycle([1, 2, 3])


def caught(read):
    try:
        return read()
    except Exception:
        return -1.0


def swallowed(read):
    try:
        return read()
    except:  # noqa: E722
        return -1.0


def _evaluated():
    jaxchain.config.train = not jaxchain.config.train


def _default(values):
    def take(it=values):
        return next(it)

    return Box(take=take)


def _write(box, x):
    box.buffer[0] += 1
    return int(box.buffer[0])


def _write_and_take(box, x):
    box.held[0] = box.held[0] + x.array[0]
    return float(x.array.sum()) + float(box.held[0])


EAGER = {
    "it takes the next value of the iterator": [
        (lambda: Box(it=itertools.count(1)), lambda box, x: next(box.it)),
        (lambda: Box(it=_generator()), lambda box, x: next(box.it)),
        (lambda: Box(its=(0, (itertools.count(1),))), lambda box, x: next(box.its[1][0])),
        (lambda: Box(take=itertools.count(1).__next__), lambda box, x: box.take()),
        (lambda: Box(take=functools.partial(next, itertools.count(1))), lambda box, x: box.take()),
        (lambda: _default(itertools.count(1)), lambda box, x: box.take()),
        (lambda: Box(it=iter([1, 2, 3, 4])), lambda box, x: next(box.it)),
        (lambda: Box(it=zip([1, 2, 3, 4], [5, 6, 7, 8], strict=True)), lambda box, x: next(box.it)[1]),
    ],
    "it draws random numbers from NumPy": [(Box, lambda box, x: float(np.random.rand()))],
    "it draws random numbers from Python": [(Box, lambda box, x: random.choice([1, 2, 3]))],
    "it draws random numbers from box.rng": [
        (lambda: Box(rng=np.random.RandomState(0)), lambda box, x: float(box.rng.rand())),
        (lambda: Box(rng=np.random.default_rng(0)), lambda box, x: float(box.rng.normal())),
        (lambda: Box(rng=random.Random(0)), lambda box, x: box.rng.random()),
    ],
    "it takes a value out of the program": [
        (Box, lambda box, x: caught(lambda: float(x.array.sum()))),
        (lambda: Box(held=np.array([0.0, None], object)), _write_and_take),  # and what it did besides is undone
        (lambda: Box(rng=np.random.RandomState(0)), lambda box, x: box.rng.rand() + float(x.array.sum())),
        (Box, lambda box, x: caught(lambda: x.array.sum().item())),
        (Box, lambda box, x: caught(lambda: float(np.asarray(x.array).sum()))),
        (Box, lambda box, x: caught(lambda: sum(x.array.tolist()))),
        (Box, lambda box, x: swallowed(lambda: float(x.array.sum()))),
    ],
    "it formats a value": [
        (lambda: Box(log=[]), lambda box, x: box.log.append(f"{x.array}") or 1),
        (lambda: Box(log=[]), lambda box, x: box.log.append(f"{x.array.sum():.2f}") or 1),
        (lambda: Box(log=[]), lambda box, x: box.log.append(str(x)) or 1),
        (lambda: Box(log=[]), lambda box, x: box.log.append(" ".join(map(str, [x.array]))) or 1),
    ],
    "it cuts an array by a value": [(Box, lambda box, x: len(x.array[: x.array[0].astype(int)]))],
    "config.train was changed": [(Box, lambda box, x: _evaluated() or 2)],
    "it calls jaxchain.seed": [(Box, lambda box, x: jaxchain.seed(3) or F.dropout(np.ones(2, "f")))],
    "NumPy array box.buffer was changed in place": [
        (lambda: Box(buffer=np.zeros(2)), _write),
        (lambda: Box(buffer=np.zeros(20_000)), _write),  # more than is compared at each call
        (
            lambda: Box(buffer=np.zeros(20_001)),
            lambda box, x: box.buffer.__setitem__(12_345, 1) or int(box.buffer.sum()),
        ),
    ],
}
CASES = [(text, *case) for text, cases in EAGER.items() for case in cases]


def _coroutine(x):
    async def later():
        return x * 2

    return later()


def _holds_itself(x):
    values = [x]
    values.append(values)
    return values


def _run(coroutine):
    with contextlib.suppress(StopIteration):
        coroutine.send(None)


def _kept(x):
    target = L.Linear(2, 2, initialW=1)
    target.W.array = target.W.array * x.array
    return target


COMES_OUT = {
    "a generator comes out of it, which runs after the call": (lambda x: (x * i for i in range(3)), list),
    "a map comes out of it": (lambda x: map(x.__mul__, range(3)), list),
    "a coroutine comes out of it": (_coroutine, _run),
    "a dict_values comes out of it, with values in it": (lambda x: {"a": x * 2}.values(), list),
    "a Linear comes out of it, with values in it": (_kept, lambda link: link(np.ones((1, 2), "f"))),
    "it makes a list that holds itself": (_holds_itself, lambda values: values[1][1][0]),
    "it makes parameters: new ones turn up in every trace": (
        lambda x: L.Linear(2, 2)(F.reshape(x, (1, 2))),
        lambda y: y,
    ),
}


@pytest.mark.parametrize("reason", COMES_OUT)
def test_what_cannot_come_out_of_a_program_runs_eagerly_and_says_so_once(reason):
    make, use = COMES_OUT[reason]

    def program(static):
        step = static(make)
        return [plain(use(step(variable(i, 2)))) for i in range(3)]

    expected, _ = run(program, static=False)
    with pytest.warns(EagerFallback, match=re.escape(reason)) as caught:
        got, (step,) = run(program, static=True)
    assert got == expected
    assert len(caught) == 1 and not step.compiles


@pytest.mark.parametrize(
    "program",
    [
        lambda link, box, x: link(x) * float(np.random.rand()),
        lambda link, box, x: link(x) * _write(box, x),
        lambda link, box, x: link(L.Linear(2, 3)(x)),
    ],
    ids=["draws", "buffer", "parameters"],
)
def test_what_is_initialised_on_the_way_and_runs_eagerly(program):
    def calls(static):
        link, box = L.Linear(None, 2), Box(buffer=np.zeros(2))
        step = static(lambda x: program(link, box, x))
        return [plain(step(np.ones((1, 2), "f"))) for _ in range(3)], link, box

    expected, _ = run(calls, static=False)
    with pytest.warns(EagerFallback):
        got, _ = run(calls, static=True)
    assert got == expected


@pytest.mark.parametrize(
    "call",
    [
        lambda link, x: link(x),
        lambda link, x: jaxchain.scan(lambda c, _: (link(c), c), Variable(x), length=2),
        lambda link, x: jaxchain.cond(jnp.asarray(True), link, lambda y: y * 2, Variable(x)),
    ],
    ids=["call", "scan", "cond"],
)
def test_what_is_initialised_in_the_first_call_is_what_eager_mode_makes(call):
    def program(static):
        jaxchain.seed(0)
        link = L.Linear(None, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            link.zerograds()
            static(lambda x: call(link, x))(np.ones((1, 2), "f"))
        return [plain(p.array) for p in (link.W, L.Linear(2, 2).W)], plain(link.W.grad)

    assert run(program, static=True)[0] == run(program, static=False)[0]


@pytest.mark.parametrize(("reason", "make", "factor"), CASES, ids=range(len(CASES)))
def test_what_cannot_be_repeated_runs_eagerly_and_says_so_once(reason, make, factor):
    def program(static):
        box = make()

        @static
        def step(x):
            return x * factor(box, x)

        losses = [plain(step(variable(i, 1))) for i in range(4)]
        return losses, {k: v for k, v in vars(box).items() if k in ("log", "buffer")}

    expected, _ = run(program, static=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        got, (step,) = run(program, static=True)
    assert got == expected
    assert [w.category for w in caught] == [EagerFallback]
    assert reason in str(caught[0].message)
    assert step.compiles == []


def test_a_view_of_a_numpy_array_of_the_state_stays_one():
    box = Box(buffer=np.arange(4.0), view=None)

    @jaxchain.static
    def step(x):
        box.view = box.buffer[1:3]
        return x * 2, box.buffer[::2]

    for _ in range(2):
        _, even = step(np.ones(2, "f"))
    box.view[1] = 7
    np.testing.assert_array_equal(even, [0, 7])
    assert len(step.compiles) == 2  # box.view was None


class Doubled(np.ndarray):
    def double(self):
        return self * 2


def _objects(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


ARGUMENTS = {
    "argument a is a numpy.ndarray of <U1": (lambda x, a: x * len(a[0]), [np.array(["a"]), np.array(["b"])]),
    "argument a is a numpy.ndarray of object": (lambda x, a: x * a[0], [_objects(2), _objects(3)]),
    "argument a is a numpy.ndarray of [('k', '<f4')]": (
        lambda x, a: x * a["k"],
        [np.array([(k,)], [("k", "f4")]) for k in (2, 3)],
    ),
    "argument a is a numpy.ma.MaskedArray of float32": (
        lambda x, a: x * a.filled(9),
        [np.ma.array(np.float32([1]), mask=[m]) for m in (0, 1)],
    ),
    "argument a is a test_state.Doubled of float32": (
        lambda x, a: x * a.double(),
        [np.float32([k]).view(Doubled) for k in (2, 3)],
    ),
}


@pytest.mark.parametrize("reason", ARGUMENTS)
def test_arguments_that_jax_does_not_have_run_eagerly(reason):
    function, values = ARGUMENTS[reason]

    def program(static):
        step = static(function)
        return [plain(step(variable(1), a)) for a in values]

    expected, _ = run(program, static=False)
    with pytest.warns(EagerFallback, match=re.escape(reason)):
        got, (step,) = run(program, static=True)
    assert got == expected and not step.compiles


def test_an_argument_that_is_an_iterator():
    step, values = jaxchain.static(lambda x, a: x * next(a)), [iter([2, 3]), (k for k in (4, 5))]
    with pytest.warns(EagerFallback, match=r"next value of the iterator a,(.|\n)*Ways out: do that outside"):
        assert [float(step(variable(1), a).array[0]) for a in (*values, *values)] == [2, 4, 3, 5]


def test_whoever_formats_a_value_is_told_to_give_the_logger_the_array():
    step = jaxchain.static(lambda x: (print(f"{x.array}"), x * 2)[1])
    with pytest.warns(EagerFallback, match=r"formats a value(.|\n)*logger.info\('loss %s', x.array\)"):
        step(variable(1, 2))


@pytest.mark.parametrize("make", [list, set, lambda items: collections.deque(items, 2)], ids=["list", "set", "deque"])
def test_containers_are_left_untouched(make):
    box = make([1, 2])

    def change():
        (box.add if isinstance(box, set) else box.append)(3)

    with untouched(change):
        change()
    assert box == make([1, 2])


def test_iterators_files_and_clocks_are_handed_on():
    """For the time of a trace something else lies in their place; what comes out, or is stored elsewhere, is they."""
    first, second = iter([1]), iter([2])
    source = types.SimpleNamespace(
        pair=(first, 1), clock=time.time, next=second.__next__, call=functools.partial(next, first), file=io.StringIO()
    )
    kept = types.SimpleNamespace()

    @jaxchain.static
    def step(x, a):
        kept.__dict__.update(vars(source), inner=source.pair[0])
        return F.relu(x), a

    for a in (first, second, first):
        assert step(variable(1), a)[1] is a
        assert kept.inner is first and all(vars(kept)[key] is value for key, value in vars(source).items())


@pytest.mark.parametrize(
    "make", [lambda x: (h for h in [x]), lambda x: map(F.relu, [x]), lambda x: zip([x], strict=True)]
)
def test_iterators_do_not_come_out_of_a_program(make):
    step = jaxchain.static(lambda x: make(x * 2))
    with pytest.warns(EagerFallback, match="which runs after the call"):
        results = [plain(list(step(variable(i)))) for i in range(3)]
    assert results == [plain(list(make(variable(2 * i)))) for i in range(3)]


@pytest.mark.parametrize("name", ["data", "flags", "strides", "ctypes"])
def test_what_only_numpy_arrays_have(name):
    step = jaxchain.static(lambda x: (getattr(x, name) is not None) * F.sum(x))
    with pytest.warns(EagerFallback, match=f"{name}"):
        assert [step(np.ones(3, "f")).array.tolist() for _ in range(3)] == [3, 3, 3]
    with pytest.raises(AttributeError, match="has no attribute 'dat'"):
        jaxchain.static(lambda x: x.dat)(np.ones(3, "f"))


@pytest.mark.parametrize("make", [list, dict], ids=["list", "dict"])
def test_an_argument_that_is_filled(make):
    def fill(x, out):
        out.append(x) if isinstance(out, list) else out.update(x=x)
        return F.sum(x)

    out, expected = make(), make()
    with pytest.warns(EagerFallback, match="changes a list or a dictionary that is an argument"):
        jaxchain.static(fill)(variable(1, 2), out)
    fill(variable(1, 2), expected)
    assert plain(out) == plain(expected)


def test_prints_are_explained_and_not_lost_in_an_error(capsys):
    @jaxchain.static
    def step(x):
        print("shape", x.shape)
        return F.matmul(x, x)

    with pytest.raises(jaxchain.utils.type_check.InvalidType):
        step(np.ones((2, 3), "f"))
    assert capsys.readouterr().out == "shape (2, 3)\n"
    step(np.ones((2, 2), "f"))
    step(np.ones((2, 2), "f"))
    assert capsys.readouterr().out == "shape (2, 2)\n" * 2
    (line,) = step.explain().to_dict()["variants"][0]["prints"]
    assert 'print("shape", x.shape)' in line
    assert "prints after every call" in str(step.explain())


def test_a_call_waits_while_another_thread_traces():
    link, tracing, done = L.Linear(2, 2), threading.Event(), threading.Event()
    x = np.ones((1, 2), "f")

    @jaxchain.static
    def quick(x):
        return F.sum(link(x))

    @jaxchain.static
    def slow(x):
        tracing.set()
        done.wait(timeout=0.3)  # nothing comes: the other call waits
        return F.sum(link(x) * 2)

    expected = float(quick(x).array)
    found = []

    def call():
        tracing.wait()
        found.append(float(quick(x).array))
        done.set()

    thread = threading.Thread(target=call)
    thread.start()
    assert float(slow(x).array) == pytest.approx(2 * expected)
    thread.join()
    assert found == [expected]


def test_a_loop_body_that_prints_prints_in_every_round(capsys):
    def body(total, x):
        print("total", total.array)
        return total + x, total

    step = jaxchain.static(lambda xs: jaxchain.scan(body, Variable(np.float32(0)), xs)[1])
    for _ in range(2):
        np.testing.assert_array_equal(step(variable(1, 2, 3)).array, [0, 1, 3])
    assert capsys.readouterr().out == "total 0.0\ntotal 1.0\ntotal 3.0\n" * 2


def test_a_loop_body_that_catches_what_a_value_raises_runs_eagerly():
    def body(total, x):
        return total + x * caught(lambda: float(total.array)), total

    def sums(xs):
        return jaxchain.scan(body, Variable(np.float32(1)), xs)[1]

    with pytest.warns(EagerFallback, match="takes a value out"):
        got = jaxchain.static(sums)(variable(1, 2, 3))
    np.testing.assert_array_equal(got.array, sums(variable(1, 2, 3)).array)


def test_print_of_another_thread_is_its_own():
    out, tracing, printed = io.StringIO(), threading.Event(), threading.Event()

    def step(x):
        with contextlib.redirect_stdout(out):
            print("traced")
            tracing.set()
            printed.wait()
        return x

    def other():
        tracing.wait()
        print("other")
        printed.set()

    thread = threading.Thread(target=other)
    thread.start()
    jaxchain.static(step)(variable(1))
    thread.join()
    assert out.getvalue() == "other\n"  # the traced one is printed after the call, outside the block


def test_state_that_never_settles_stops_compiling():
    box = Box(n=0)

    @jaxchain.static
    def step(x):
        box.n += 1
        return x * box.n

    with jaxchain.using_config("max_variants", 3), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert [float(step(variable(1)).array[0]) for _ in range(8)] == list(range(1, 9))
    assert len(step.compiles) == 3
    assert len(caught) == 1
    assert "box.n 1 -> 2" in str(caught[0].message)
    assert "jnp.asarray(0)" in str(caught[0].message)


def test_a_buffer_that_is_a_constant_is_copied():
    buffer = np.zeros(2, "f")

    @jaxchain.static
    def step(x):
        return x + buffer

    first = step(variable(1, 2))
    buffer[0] = 5
    second = step(variable(1, 2))
    buffer[0] = 0
    again = step(variable(1, 2))
    assert [v.array[0] for v in (first, second, again)] == [1, 6, 1]


def step_of_the_module(x):
    return x * 2


step_of_the_module = jaxchain.static(step_of_the_module)


class Holder(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l = L.Linear(2, 2)
        self.step = jaxchain.static(lambda x: F.sum(self.l(x)))

    @jaxchain.static
    def method(self, x):
        return F.sum(self.l(x))


def test_a_static_function_is_copied_and_pickled_as_a_function_is():
    step_of_the_module(variable(1))
    assert pickle.loads(pickle.dumps(step_of_the_module)) is step_of_the_module
    assert copy.deepcopy(step_of_the_module) is step_of_the_module
    holder = Holder()
    x = np.ones((1, 2), "f")
    before = float(holder.step(x).array)
    other = holder.copy("copy")
    other.l.W.array = other.l.W.array * 0
    assert other.step is holder.step
    assert float(holder.step(x).array) == before
    assert (float(other.method(x).array), float(holder.method(x).array)) == (0, before)
    method = pickle.loads(pickle.dumps(holder.method.__reduce__()[1][1]))
    assert method == "method"


def test_objects_of_other_libraries_are_named():
    class Foreign:
        pass

    Foreign.__module__ = "numpy"
    foreign = Foreign()
    foreign.k = 2

    @jaxchain.static
    def step(x):
        return x * foreign.k

    step(variable(1))
    assert ["foreign", "Foreign object, not looked into"] in step.explain().to_dict()["variants"][0]["constants"]


# -- the world outside -------------------------------------------------------------------------------------------------

SCALE = contextvars.ContextVar("SCALE")
log = logging.getLogger("jaxchain.test_state")


def test_environment_variables_that_are_read_are_compared(monkeypatch):
    monkeypatch.delenv("JAXCHAIN_TEST_SCALE", raising=False)

    @jaxchain.static
    def step(x):
        return x * float(os.environ.get("JAXCHAIN_TEST_SCALE", "1"))

    assert float(step(np.float32(3))) == 3
    monkeypatch.setenv("JAXCHAIN_TEST_SCALE", "2")
    assert float(step(np.float32(3))) == 6 == float(step(np.float32(3)))
    reasons = [c.reason for c in step.explain().compiles]
    assert reasons == ["first call", "environment variable JAXCHAIN_TEST_SCALE None -> '2'"]
    assert "os.environ['JAXCHAIN_TEST_SCALE'] = '2'" in str(step.explain())


def test_context_variables_are_state():
    @jaxchain.static
    def step(x):
        return x * SCALE.get(1)

    def run(value):
        SCALE.set(value)
        return float(step(np.float32(3)))

    assert float(step(np.float32(3))) == 3
    for value in (2, 5, 2):
        assert contextvars.copy_context().run(run, value) == 3 * value
    arrays = [contextvars.copy_context().run(run, jnp.float32(v)) for v in (2, 5, 7)]
    assert arrays == [6, 15, 21] and len(step.explain().compiles) == 4  # an array is no constant


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda path: time.time(), "it reads the clock (time.time): "),
        (lambda path: time.perf_counter_ns(), "it reads the clock (time.perf_counter_ns): "),
        (lambda path: time.sleep(0), "it sleeps: "),
        (lambda path: open(path, "a").close(), "it opens a file: "),
        (lambda path: pathlib.Path(path).write_text("x"), "it opens a file: "),
        (lambda path: np.savetxt(path, [1.0]), "it opens a file: "),
        (lambda path: os.path.exists(path), "it looks at files (os.stat): "),
        (lambda path: os.listdir(), "it looks at files (os.listdir): "),
        (lambda path: pathlib.Path(path).unlink(missing_ok=True), "it changes files (os.unlink): "),
        (lambda path: os.makedirs(path, exist_ok=True), "it looks at files (os.stat): "),
        (lambda path: os.mkdir(path.with_name(uuid.uuid4().hex)), "it draws random bytes: "),
        (lambda path: subprocess.run([sys.executable, "-c", ""], check=True), "it starts a program: "),
        (lambda path: threading.Thread(target=int).start(), "it starts a thread: "),
        (lambda path: uuid.uuid4(), "it draws random bytes: "),
        (lambda path: secrets.token_hex(), "it draws random bytes: "),
        (lambda path: datetime.datetime.now(), "it reads the clock (datetime.datetime.now): "),
        (lambda path: Date.today(), "it reads the clock (datetime.date.today): "),
        (lambda path: perf_counter(), "it reads the clock (time.perf_counter): "),
        (lambda path: time.strftime("%H"), "it reads the clock (time.strftime): "),
        (lambda path: sys.stdout.write("x"), "it uses sys.stdout: "),
    ],
    ids=lambda value: value.strip(": ") if isinstance(value, str) else "",
)
def test_what_cannot_be_repeated_runs_in_eager_mode(act, reason, tmp_path):
    times = []

    @jaxchain.static
    def step(x):
        times.append(1)
        act(tmp_path / "file")
        return x * 2

    with pytest.warns(EagerFallback, match=re.escape(reason)):
        assert float(step(np.float32(3))) == 6
    seen = len(times)
    assert float(step(np.float32(3))) == 6 and len(times) == seen + 1
    assert reason + __file__ in step.explain().eager[0]
    assert time.time.__name__ == "time" and open is io.open


def test_what_only_looks_like_it_is_compiled():
    @jaxchain.static
    def step(x, day):
        assert isinstance(day, datetime.date) and issubclass(datetime.datetime, Date)
        later = datetime.datetime(2020, 1, 2) + datetime.timedelta(days=day.day)
        assert (
            repr(type(later)) == "<class 'datetime.datetime'>"
            and repr(type(Date.fromordinal(9))) == "<class 'datetime.date'>"
        )
        return x * later.day * len(time.strftime("%Y", time.gmtime(0))) + sys.stdout.isatty()

    assert float(step(np.float32(3), Date(2020, 1, 3))) == 3 * 5 * 4 == float(step(np.float32(3), Date(2020, 1, 3)))
    assert not step.explain().eager


def test_a_generator_that_a_step_seeds_is_compiled():
    @jaxchain.static
    def step(x):
        return x * np.random.RandomState(3).rand() + np.random.default_rng(4).random()

    expected = 2 * np.random.RandomState(3).rand() + np.random.default_rng(4).random()
    assert float(step(np.float32(2))) == pytest.approx(expected) == float(step(np.float32(2)))
    assert not step.explain().eager


def test_input_is_asked_for_at_every_call(monkeypatch):
    answers = iter("357")
    monkeypatch.setattr("builtins.input", lambda: next(answers))

    @jaxchain.static
    def step(x):
        return x * int(input())

    with pytest.warns(EagerFallback, match="it asks for input: "):
        assert [float(step(np.float32(2))) for _ in range(3)] == [6, 10, 14]


@pytest.mark.parametrize("kind", ["closure", "attribute", "argument", "csv"])
def test_what_is_written_to_an_open_file_is_that_of_eager_mode(kind, tmp_path):
    with open(tmp_path / "log", "w") as file:
        link = jaxchain.Link()
        link.log = csv.writer(file) if kind == "csv" else file

        def step(x, out=None):
            if kind == "csv":
                link.log.writerow(["a", 1])
            else:
                (file if kind == "closure" else link.log if out is None else out).write("a,1\n")
            return x * 2

        static = jaxchain.static(step)
        arguments = (file,) if kind == "argument" else ()
        with pytest.warns(EagerFallback, match="it uses the open file "):
            assert [float(static(np.float32(3), *arguments)) for _ in range(3)] == [6, 6, 6]
    assert (tmp_path / "log").read_text().split() == ["a,1"] * 3
    assert link.log is not None and not type(link.log).__name__ == "Unused"


@pytest.mark.parametrize("take", [next, list, lambda file: file.readline()], ids=["next", "list", "readline"])
def test_lines_of_an_open_file_are_those_of_eager_mode(take):
    file, taken = io.StringIO("a\nb\nc\n"), []

    @jaxchain.static
    def step(x):
        taken.append(take(file))
        return x * 2

    with pytest.warns(EagerFallback, match="it uses the open file file: "):
        step(np.float32(3))
        step(np.float32(3))
    assert taken == ([["a\n", "b\n", "c\n"], []] if take is list else ["a\n", "b\n"])


def test_prints_to_an_open_file_are_repeated(tmp_path):
    with open(tmp_path / "log", "w") as file:

        @jaxchain.static
        def step(x):
            print("x", x, file=file)
            return x * 2

        for value in (3.0, 4.0):
            step(np.float32(value))
    assert (tmp_path / "log").read_text() == "x 3.0\nx 4.0\n"
    assert not step.explain().eager


def test_warnings_are_repeated():
    def step(x):
        warnings.warn("careful", DeprecationWarning, stacklevel=2)
        warnings.warn(UserWarning("very"), stacklevel=1)
        return x * 2

    static, found = jaxchain.static(step), []
    for call in (step, static, static):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            call(np.float32(3))
        found.append([(w.category, str(w.message), w.filename, w.lineno) for w in seen])
    eager, first, second = found
    assert eager[1] == first[1] == second[1] and [w[1] for w in second] == ["careful", "very"]
    assert [w[0] for w in second] == [DeprecationWarning, UserWarning]
    assert not static.explain().eager


def test_an_attribute_of_another_librarys_object_is_not_changed_once_only():
    bar = tqdm.tqdm(total=10, disable=False, file=io.StringIO())

    @jaxchain.static
    def step(x):
        bar.update(1)
        return x * 2

    with pytest.warns(EagerFallback, match=re.escape("bar.n (tqdm object) was changed")):
        for _ in range(3):
            step(np.float32(3))
    assert bar.n == 3


def test_events_are_left_to_the_threads_that_use_them():
    event = threading.Event()

    @jaxchain.static
    def step(x):
        event.set()
        return x * 2

    assert float(step(np.float32(3))) == 6 and event.is_set()


@pytest.mark.parametrize("kind", [queue.Queue, queue.LifoQueue, queue.SimpleQueue])
def test_queues_are_used_at_every_call(kind):
    tasks = kind()

    @jaxchain.static
    def step(x):
        tasks.put(2)
        return x * tasks.get()

    with pytest.warns(EagerFallback, match="it uses "):
        assert float(step(np.float32(3))) == 6
    tasks.put(7)
    assert sorted([float(step(np.float32(3))), 3.0 * tasks.get()]) == [6, 21]


def test_modules_that_objects_hold_are_looked_into():
    module = types.ModuleType("held_module")
    module.__file__, module.factor = __file__, 2
    tools = {"module": module}

    @jaxchain.static
    def step(x):
        return x * tools["module"].factor

    assert float(step(np.float32(3))) == 6
    module.factor = 5
    assert float(step(np.float32(3))) == 15


def test_log_records_are_repeated_with_the_values_of_the_call(caplog):
    @jaxchain.static
    def step(x):
        log.warning("x is %s", x)
        log.warning("a %(word)s", {"word": "dictionary"})
        return x * 2

    for value in (3.0, 4.0):
        step(np.float32(value))
    assert [r.getMessage() for r in caplog.records] == ["x is 3.0", "a dictionary", "x is 4.0", "a dictionary"]
    assert len(step.explain().to_dict()["variants"][0]["prints"]) == 2


INSTALLED = """
import jaxchain, jaxchain.functions as F, jaxchain.links as L
from .numbers import SCALE

class Net(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(None, 2)

    def forward(self, x):
        return self.l1(x) * SCALE[0]

def make():
    model = Net()
    optimizer = jaxchain.optimizers.SGD(0.1).setup(model)

    def step(x):
        model.cleargrads()
        loss = F.sum(model(x))
        loss.backward()
        optimizer.update()
        return loss

    return step
"""


def test_an_installed_package_that_uses_jaxchain_is_part_of_the_program(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "installed_for_a_test"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(INSTALLED)
    (package / "numbers.py").write_text("SCALE = [1.0]\n")
    monkeypatch.syspath_prepend(package.parent)
    installed = importlib.import_module(package.name)
    x, found = np.ones((1, 2), np.float32), []
    for switch in (lambda step: step, jaxchain.static):
        jaxchain.seed(0)
        step = switch(installed.make())
        for installed.SCALE[0] in (1.0, 1.0, 3.0):
            found.append(float(step(x)))
    np.testing.assert_allclose(found[3:], found[:3], rtol=1e-6)
