"""The garbage collector is paused while a graph is made, and left as it was found."""

import gc

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
from jaxchain.views import collector
from jaxchain.views.readers import eager


def test_paused_inside_and_back_after():
    with collector.paused():
        assert not gc.isenabled()
        with collector.paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_back_after_an_error():
    with pytest.raises(ZeroDivisionError), collector.paused():
        _ = 1 / 0
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off():
    gc.disable()
    try:
        with collector.paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_no_collection_while_a_graph_is_read():
    h = jaxchain.Variable(np.ones(3, np.float32))
    for _ in range(3000):
        h = F.relu(h)
    phases = []
    gc.callbacks.append(lambda phase, info: phases.append(phase))
    try:
        eager.read(h, clusters=True)
    finally:
        gc.callbacks.pop()
    assert phases.count("start") <= 1  # the one that is due when the pause ends
