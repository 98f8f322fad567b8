"""Processes forked after JAX has run."""

import os
import signal

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Variable
from jaxchain.core.config import lock


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
def test_what_runs_in_a_forked_process_says_so_and_does_not_hang():
    x, model = Variable(np.ones(3, np.float32)), L.Scale(1, (3,))
    step = jaxchain.static(lambda x: F.sum(x))
    calls = [lambda: F.relu(x), lambda: model(x), lambda: step(x), lambda: jaxchain.config.train, lambda: model.W.array]
    step(x)
    near, far = os.pipe()
    with lock, jaxchain.using_config("train", False):
        child = os.fork()
        if child == 0:  # as pytest must not go on here
            signal.alarm(10)
            for call in calls:
                try:
                    os.write(far, f"{np.asarray(call())}\n".encode())
                except RuntimeError as error:
                    os.write(far, f"{' '.join(str(error).splitlines())}\n".encode())
            os._exit(0)
    os.close(far)
    with os.fdopen(near) as pipe:
        said = pipe.read().splitlines()
    assert os.waitpid(child, 0)[1] == 0
    for line in said[:3]:
        assert line.startswith("this process was forked after JAX had run") and "test_forks.py" in line
    assert said[3:] == ["False", "[1. 1. 1.]"]
    assert float(step(x).array) == 3
