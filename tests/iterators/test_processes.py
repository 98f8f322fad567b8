"""MultiprocessIterator: its batches, its resumes, and what happens when workers fail."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import worker_data
from worker_data import Plain

from jaxchain import iterators, serializers
from jaxchain.iterators.lanes import WorkerDied


def make(dataset, batch_size=4, **kwargs):
    kwargs = {"shuffle": False, "n_processes": 2, **kwargs}
    return iterators.MultiprocessIterator(dataset, batch_size, **kwargs)


def test_batches_shuffles_and_resume():
    np.random.seed(1)
    serial = iterators.SerialIterator(range(10), 4)
    expected = [serial.next() for _ in range(9)]
    np.random.seed(1)
    with make(Plain(10), shuffle=None, n_prefetch=3) as it:
        assert [it.next() for _ in range(3)] == expected[:3]
        state = np.random.get_state()
        buffer = io.BytesIO()
        serializers.save_npz(buffer, it)
        assert [it.next() for _ in range(6)] == expected[3:]  # saving changes nothing
        np.random.set_state(state)
        serializers.load_npz(buffer, it)
        assert [it.next() for _ in range(6)] == expected[3:]
        it.reset()
        assert it.epoch == 0 and len(it.next()) == 4
        processes = [lane.process for lane in it._helpers.lanes]
    assert all(not process.is_alive() for process in processes)
    it.finalize()


@pytest.mark.parametrize("shared_mem", [None, 0, 40_000, 64])
def test_arrays(shared_mem):
    """Large ones by shared memory: of any size that is needed, of a size given, and one that is too small."""
    x = np.arange(60_000, dtype=np.float32).reshape(12, 5000)
    data = [{"x": row, "t": (i, np.int32(i), np.zeros(0))} for i, row in enumerate(x)]
    with make(data, 4, repeat=False, n_processes=1, shared_mem=shared_mem) as it:
        if shared_mem == 64:
            with pytest.warns(UserWarning, match="Shared memory size is too small: shared_mem=64 bytes.*20000"):
                batches = [it.next()]
        else:
            batches = []
        batches += list(it)
        memory = it._helpers.lanes[0].memory
        assert (memory is None) == (shared_mem == 0)
    examples = [example for batch in batches for example in batch]
    assert len(examples) == 12
    for i, example in enumerate(examples):
        assert np.array_equal(example["x"], x[i]) and example["t"][:2] == (i, i) and example["t"][2].size == 0
        example["x"] += 1  # nobody else has this memory
    assert np.array_equal(examples[3]["x"], x[3] + 1)


@pytest.mark.parametrize(("special", "how"), [("kill", "signal 9"), ("exit", "exit code 3")])
@pytest.mark.parametrize("n_processes", [1, 2])
def test_a_worker_that_dies_is_an_error_and_no_hang(special, how, n_processes):
    with make(Plain(12, {5: special}), 2, repeat=False, n_processes=n_processes, n_prefetch=3) as it:
        assert [it.next(), it.next()] == [[0, 1], [2, 3]]
        with pytest.raises(WorkerDied, match=rf"worker process \d+ died \({how}\) .*\[(4, )?5\]"):
            it.next()
        assert list(it) == [[6, 7], [8, 9], [10, 11]]  # by new workers


def test_a_worker_that_is_killed_while_it_waits():
    with make(Plain(12), 2, n_processes=1) as it:
        it.next()
        it._ahead[0][1]()  # the next batch is there
        it._helpers.lanes[0].process.kill()
        it._helpers.lanes[0].process.join()
        assert it.next() == [2, 3]
        with pytest.raises(WorkerDied, match="signal 9"):
            it.next()
        assert it.next() == [6, 7]


def test_errors_in_workers():
    special = {2: "raise", 4: "odd error", 6: "lambda"}
    with make(Plain(9, special), 2, repeat=False, n_processes=1) as it:
        assert it.next() == [0, 1]
        with pytest.raises(KeyError, match="no example 2") as caught:
            it.next()
        assert "worker_data.py" in caught.value.__notes__[0]
        with pytest.raises(RuntimeError, match="Odd: odd"):
            it.next()
        with pytest.raises((AttributeError, TypeError), match="pickle"):
            it.next()
        assert it.next() == [8]
    with make(worker_data.Unloadable(), n_processes=1) as it, pytest.raises(OSError, match="not on this machine"):
        it.next()
    with make([lambda: 0] * 4) as it, pytest.raises(TypeError, match=r"cannot send the dataset \(list\) to worker"):
        it.next()


def test_timeout_and_replacement():
    """Two tasks a batch here, so a process for each batch."""
    data = Plain(4, {1: "slow", 2: "pid", 3: "pid"})
    with make(data, 2, n_processes=1, dataset_timeout=0.3, maxtasksperchild=2) as it:
        pids = set()
        for _ in range(2):
            with pytest.warns(it.TimeoutWarning, match="Stalled dataset"):
                assert it.next() == [0, 1]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", it.TimeoutWarning)  # a new process may be slow to start
                a, b = it.next()
            assert a == b
            pids.add(a)
        assert len(pids) == 2 and os.getpid() not in pids


@pytest.mark.parametrize("wrong", [{"n_processes": -1}, {"maxtasksperchild": 0}, {"shared_mem": -5}])
def test_arguments(wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(ValueError, match=rf"MultiprocessIterator: expected {name} .*got {value}"):
        make(Plain(3), **wrong)


SCRIPT = """
import {library}
print("import", __name__, flush=True)
class Mine({library}.dataset.DatasetMixin):
    def __len__(self): return 4
    def get_example(self, i): return Wrapped(i * i)
class Wrapped:
    def __init__(self, x): self.x = x
def main():
    it = {library}.iterators.MultiprocessIterator(Mine(), 4, shuffle=False, n_processes=1)
    print([w.x for w in it.next()], all(type(w) is Wrapped for w in it.next()))
"""


@pytest.mark.parametrize("how", ["jaxchain run", "no guard"])
def test_programs(tmp_path, how):
    """A class of the script itself; `import chainer` in workers; and no hang where the script has no guard."""
    guard = "main()\n" if how == "no guard" else 'if __name__ == "__main__":\n    main()\n'
    script = tmp_path / "program.py"
    script.write_text(SCRIPT.format(library="chainer" if how == "jaxchain run" else "jaxchain") + guard)
    command = [sys.executable, *(["-m", "jaxchain", "run"] if how == "jaxchain run" else []), str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if how == "no guard":
        assert done.returncode == 1 and "belongs under `if __name__ == '__main__':`" in done.stderr
    else:
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == ["import __main__", "import __mp_main__", "[0, 1, 4, 9] True"]


def test_a_class_typed_at_a_prompt():
    """`python -`: there is no script to import."""
    program = SCRIPT.format(library="jaxchain") + "main()"
    done = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "typed at a prompt or in a notebook" in done.stderr
