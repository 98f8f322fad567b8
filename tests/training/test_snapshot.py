"""Snapshots: a resumed run goes on exactly; a kill at any moment leaves the previous snapshot whole."""

from __future__ import annotations

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import textwrap
import time
from unittest import mock

import numpy as np
import program_to_kill as program
import pytest

import jaxchain
from jaxchain import training
from jaxchain.serializers import load_npz, npz, save_npz
from jaxchain.training import extensions, files
from jaxchain.training.extensions import snapshot_writers
from jaxchain.training.extensions.snapshot import find_snapshots

HERE = pathlib.Path(__file__).parent


def log_of(folder, name="log"):
    """The log without its times."""
    return [
        {k: v for k, v in entry.items() if k != "elapsed_time"} for entry in json.loads((folder / name).read_text())
    ]


def state_of(trainer):
    arrays = npz.serialize(trainer)
    return {k: v for k, v in arrays.items() if k != "_snapshot_elapsed_time" and not k.endswith("_log")}


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for key, value in a.items():
        np.testing.assert_array_equal(value, b[key], err_msg=key)


# -- exact resumption --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [3, 5, 13])
def test_a_resumed_run_goes_on_exactly(tmp_path, mode, stop):
    whole = program.make(str(tmp_path / "whole"), mode, 17, every=100)
    whole.run()
    first = program.make(str(tmp_path / "parts"), mode, stop, every=100)
    first.run()
    save_npz(tmp_path / "parts" / "by hand", first)
    second = program.make(str(tmp_path / "parts"), mode, 17, seed=99, every=100)
    load_npz(tmp_path / "parts" / "by hand", second)
    second.run()
    for name in ("log", "log_7"):
        assert log_of(tmp_path / "parts", name) == log_of(tmp_path / "whole", name)
    assert_equal(state_of(second), state_of(whole))
    assert second.elapsed_time > first.elapsed_time


def test_a_run_goes_on_in_the_other_mode(tmp_path):
    whole = program.make(str(tmp_path / "whole"), "eager", 12, every=100)
    whole.run()
    program.make(str(tmp_path / "parts"), "static", 6, every=6).run()
    second = program.make(str(tmp_path / "parts"), "eager", 12, seed=99, every=100)
    second.run()
    assert second.updater.iteration == 12
    a, b = log_of(tmp_path / "parts"), log_of(tmp_path / "whole")
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(list(x.values()), list(y.values()), rtol=1e-4, atol=1e-5)


def test_autoload_comes_before_other_extensions_begin(tmp_path):
    """Chainer loads after schedules have set their first value, so they start over for one interval."""
    program.make(str(tmp_path), "eager", 12).run()
    again = program.make(str(tmp_path), "eager", 12)
    again.run()
    assert again.updater.iteration == 12
    assert again.updater.get_optimizer("main").alpha == pytest.approx(0.01 * 0.7**2)


def test_random_streams_are_saved_and_loaded(tmp_path):
    trainer = program.make(str(tmp_path), "eager", 1)
    trainer.run()
    random.gauss(0, 1)  # keeps a second number
    np.random.randn(1)
    file = tmp_path / "state"
    save_npz(file, trainer)
    draws = [(random.gauss(0, 1), random.random(), np.random.randn(), np.random.rand()) for _ in range(3)]
    key = jaxchain.core.random.next_key()
    initial = jaxchain.core.random.next_init_rng().randn()
    other = program.make(str(tmp_path / "other"), "eager", 1, seed=5)
    load_npz(file, other)
    assert draws == [(random.gauss(0, 1), random.random(), np.random.randn(), np.random.rand()) for _ in range(3)]
    np.testing.assert_array_equal(key, jaxchain.core.random.next_key())
    assert initial == jaxchain.core.random.next_init_rng().randn()


def test_saving_changes_no_random_stream(tmp_path):
    trainer = program.make(str(tmp_path), "eager", 1)
    trainer.run()
    before = random.getstate(), np.random.get_state()[1].copy(), jaxchain.core.random.ops.state()
    save_npz(tmp_path / "state", trainer)
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    np.testing.assert_array_equal(jaxchain.core.random.ops.state(), before[2])


def test_a_file_that_does_not_fit_lists_what_is_missing(tmp_path):
    trainer = program.make(str(tmp_path), "eager", 1)
    np.savez(tmp_path / "wrong.npz", nothing=np.zeros(1))
    with pytest.raises(KeyError, match=r"All differences:"):
        load_npz(tmp_path / "wrong.npz", trainer)


# -- kills -------------------------------------------------------------------------------------------------------------


def start(out, mode, iterations):
    command = [sys.executable, str(HERE / "program_to_kill.py"), str(out), mode, str(iterations)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONWARNINGS": "error"})


def kill_often(tmp_path, mode, kills, iterations):
    whole = start(tmp_path / "whole", mode, iterations)
    whole.communicate(timeout=300)
    assert whole.returncode == 0
    draw = random.Random(kills)
    parts = tmp_path / "parts"
    done, last = 0, 0
    while done < kills:
        process = start(parts, mode, iterations)
        line = process.stdout.readline()
        assert line.strip(), f"it ended after {done} kills: {process.wait()}"
        assert int(line) <= last + 4, "it went on from a snapshot"
        time.sleep(draw.random() * 0.15)
        process.send_signal(signal.SIGKILL)
        rest = process.communicate(timeout=60)[0].split()
        done += process.returncode == -signal.SIGKILL
        last = int(rest[-1] if rest else line)
        assert last < iterations, "it was too fast for this test: give it more iterations"
    final = start(parts, mode, iterations)
    assert final.communicate(timeout=300)[0].split()[-1] == str(iterations)
    assert final.returncode == 0
    for name in ("log", "log_7"):
        assert log_of(parts, name) == log_of(tmp_path / "whole", name)
    snapshots = find_snapshots(extensions.snapshot().filename, str(parts))
    assert len(snapshots) == 2
    with np.load(parts / snapshots[-1]) as a, np.load(tmp_path / "whole" / snapshots[-1]) as b:
        for key in a.files:
            if key != "_snapshot_elapsed_time" and not key.endswith("_log"):
                np.testing.assert_array_equal(a[key], b[key], err_msg=key)
    assert sorted(p.name for p in parts.iterdir()) == sorted(p.name for p in (tmp_path / "whole").iterdir())


def test_killed_and_resumed(tmp_path):
    kill_often(tmp_path, "static", 2, 240)


@pytest.mark.slow
@pytest.mark.parametrize("mode_", ["eager", "static"])
def test_killed_twenty_times_and_resumed(tmp_path, mode_):
    kill_often(tmp_path, mode_, 10, 999)


def test_a_kill_in_the_middle_of_a_save_leaves_the_previous_one(tmp_path):
    script = """
        import os, sys
        from jaxchain.training.extensions.snapshot_writers import write_snapshot

        def slowly(path, target):
            with open(path, "wb") as file:
                file.write(b"half")
                file.flush()
                if target == "second":
                    os.kill(os.getpid(), 9)
                file.write(b" and half")

        write_snapshot("it", sys.argv[1], "first", slowly)
        write_snapshot("it", sys.argv[1], "second", slowly)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], timeout=120)
    assert run.returncode == -signal.SIGKILL
    assert (tmp_path / "it").read_bytes() == b"half and half"
    left = [p.name for p in tmp_path.iterdir() if p.name != "it"]
    assert len(left) == 1 and files.is_temporary(left[0])
    files.sweep(str(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["it"]


def test_the_sweep_leaves_alone_what_is_being_written(tmp_path):
    seen = []

    def savefun(path, target):
        files.sweep(str(tmp_path))
        seen.append(os.path.dirname(path))
        pathlib.Path(path).write_text("x")

    elsewhere, old = tmp_path / "tmpa.other-host.1-01234567.x", tmp_path / "tmpb.other-host.1-01234567.x"
    before = tmp_path / f"tmpc.{files._PLACE}.{os.getpid()}-01234567.x"  # this number had another process
    others = tmp_path / f"tmpd.{files._PLACE}.{os.getppid()}-01234567.x"
    for folder in (elsewhere, old, before, others):
        folder.mkdir()
    os.utime(old, (0, 0))
    snapshot_writers.write_snapshot("it", str(tmp_path), {}, savefun)
    assert (tmp_path / "it").read_text() == "x" and not os.path.exists(seen[0])
    assert {p.name for p in tmp_path.iterdir()} == {"it", elsewhere.name, others.name}


def test_a_failing_save_leaves_nothing_behind(tmp_path):
    def savefun(path, target):
        pathlib.Path(path).write_text("x")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        snapshot_writers.SimpleWriter(savefun)("it", str(tmp_path), {})
    assert list(tmp_path.iterdir()) == []


# -- the extension -----------------------------------------------------------------------------------------------------


def names(folder):
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("snap"))


def test_retention_keeps_the_latest(tmp_path):
    program.make(str(tmp_path), "eager", 12, every=1).run()
    assert names(tmp_path) == ["snapshot_iter_11", "snapshot_iter_12"]


def test_equally_old_files_are_ordered_by_their_numbers(tmp_path):
    for i in (9, 10, 100, 11):
        (tmp_path / f"snapshot_iter_{i}").write_text("")
        os.utime(tmp_path / f"snapshot_iter_{i}", ns=(5, 5))
    (tmp_path / "other").write_text("")
    found = find_snapshots("snapshot_iter_{.updater.iteration}", str(tmp_path))
    assert found == [f"snapshot_iter_{i}" for i in (9, 10, 11, 100)]
    assert find_snapshots("other", str(tmp_path)) == ["other"]


def trainer_of(out, iterations=4):
    return program.make(str(out), "eager", iterations, every=1000)


def test_condition_names_and_objects(tmp_path):
    trainer = trainer_of(tmp_path)
    model = trainer.updater.get_optimizer("main").target
    wanted = iter([True, False, True, False])
    one = extensions.snapshot(filename="some_{.updater.iteration}", condition=lambda: next(wanted))
    trainer.extend(one, trigger=(1, "iteration"))
    trainer.extend(
        extensions.snapshot_object(model, lambda t: f"model-{t.updater.iteration}"), trigger=(2, "iteration")
    )
    trainer.run()
    found = {p.name for p in tmp_path.iterdir()}
    assert {n for n in found if n.startswith("some")} == {"some_1", "some_3"}
    assert {n for n in found if n.startswith("model")} == {"model-2", "model-4"}
    fresh = trainer_of(tmp_path / "other").updater.get_optimizer("main").target
    load_npz(tmp_path / "model-4", fresh)
    np.testing.assert_array_equal(fresh.predictor.l1.W.array, model.predictor.l1.W.array)


def test_the_name_of_its_class_is_chainers(tmp_path):
    trainer = trainer_of(tmp_path)
    assert trainer.get_extension("_Snapshot").priority == -100


def test_old_spellings(tmp_path):
    with pytest.warns(DeprecationWarning, match="num_retain"):
        extension = extensions.snapshot(num_retain=3)
    assert extension.n_retains == 3
    with pytest.raises(TypeError, match="autoload needs a filename"):
        extensions.snapshot(filename=lambda t: "x", autoload=True).initialize(trainer_of(tmp_path))


def test_another_savefun(tmp_path):
    trainer = trainer_of(tmp_path, 2)
    trainer.extend(
        extensions.snapshot(
            lambda path, arrays: np.savez(path + ".npz", **{"n": len(arrays)}) or os.rename(path + ".npz", path),
            "by_{.updater.iteration}",
        ),
        trigger=(2, "iteration"),
    )
    trainer.run()
    with np.load(tmp_path / "by_2") as file:
        assert file["n"] > 30


WRITERS = ["SimpleWriter", "ThreadWriter", "ThreadQueueWriter"]
PROCESSES = ["ProcessWriter", "ProcessQueueWriter"]


@pytest.mark.parametrize("kind", WRITERS + [pytest.param(k, marks=pytest.mark.slow) for k in PROCESSES])
def test_writers_write_what_was_there(tmp_path, kind):
    """In static mode the next update takes over the buffers that are being written."""
    writer = getattr(snapshot_writers, kind)()
    trainer = program.make(str(tmp_path / "a"), "static", 6, every=1000)
    trainer.extend(
        extensions.snapshot(writer=writer, n_retains=3, filename="w_{.updater.iteration}"), trigger=(1, "iteration")
    )
    trainer.extend(extensions.snapshot(filename="simple_{.updater.iteration}"), trigger=(1, "iteration"))
    trainer.run()
    found = {p.name for p in (tmp_path / "a").iterdir()}
    assert {n for n in found if n.startswith("w_")} == {"w_4", "w_5", "w_6"}
    for i in (4, 6):
        with np.load(tmp_path / "a" / f"w_{i}") as a, np.load(tmp_path / "a" / f"simple_{i}") as b:
            assert a.files == b.files
            for key in a.files:
                if key != "_snapshot_elapsed_time" and "_Snapshot" not in key:
                    np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def fail(path, target):
    raise OSError("disk full")


@pytest.mark.parametrize(
    "kind", ["ThreadWriter", "ThreadQueueWriter", pytest.param("ProcessWriter", marks=pytest.mark.slow)]
)
def test_a_writer_that_fails_in_the_background_is_heard(tmp_path, kind, capfd):
    writer = getattr(snapshot_writers, kind)(fail)
    writer("it", str(tmp_path), {"a": np.zeros(1)})
    with pytest.raises(RuntimeError, match=r"a snapshot could not be written \((disk full|exit code 1)\)"):
        writer.finalize()
    writer.finalize()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["ThreadQueueWriter", pytest.param("ProcessQueueWriter", marks=pytest.mark.slow)])
def test_a_consumer_that_failed_is_heard_at_the_next_snapshot(tmp_path, kind, capfd):
    writer = getattr(snapshot_writers, kind)(fail)
    writer("it", str(tmp_path), {})
    writer._consumer.join(60)
    with pytest.raises(RuntimeError, match="a snapshot could not be written"):
        writer("it", str(tmp_path), {})


def test_a_queue_that_was_finalized_takes_nothing_more(tmp_path):
    writer = snapshot_writers.ThreadQueueWriter()
    writer.finalize()
    with pytest.raises(RuntimeError, match="it was finalized"):
        writer("it", str(tmp_path), {})


def test_a_task_of_ones_own(tmp_path):
    seen = []
    writer = snapshot_writers.ThreadQueueWriter(task=lambda *args: seen.append(args))
    writer("it", str(tmp_path), {"a": 1})
    writer.finalize()
    assert seen == [("it", str(tmp_path), {"a": 1})]
    assert training.extensions.snapshot(writer=writer).writer is writer


def test_a_queue_of_ones_own_can_be_joined(tmp_path):
    """As a subclass does that was written for Chainer: every item counts as done, the end too."""
    writer = snapshot_writers.ThreadQueueWriter(task=lambda *args: None)
    writer("it", str(tmp_path), {})
    writer.finalize()
    assert writer._queue.unfinished_tasks == 0


def test_a_worker_of_ones_own_may_have_any_attributes(tmp_path):
    class Writer(snapshot_writers.StandardWriter):
        def create_worker(self, *args, **kwargs):
            return mock.Mock()  # its `error` and `exitcode` say nothing

    writer = Writer()
    for _ in range(2):
        writer("it", str(tmp_path), {})
    writer.finalize()


def test_a_snapshot_holds_what_extensions_of_its_priority_did(tmp_path):
    """Else the resumed run asks a trigger for an epoch whose observations are not in the file: Chainer's KeyError."""

    def make():
        trainer = program.make(str(tmp_path), "eager", 6, every=1000)
        trainer.extend(extensions.snapshot(filename="s_{.updater.iteration}"), trigger=(1, "iteration"))
        best = training.triggers.MinValueTrigger("seen", trigger=(3, "iteration"))
        trainer.extend(extensions.snapshot_object(trainer.updater.get_optimizer("main").target, "best"), trigger=best)

        def see(trainer):
            if trainer.updater.iteration % 3 == 0:
                jaxchain.report({"seen": 1.0})

        trainer.extend(see, name="see", trigger=(1, "iteration"))
        return trainer

    make().run()
    resumed = make()
    load_npz(tmp_path / "s_3", resumed)
    resumed.run()
    assert resumed.updater.iteration == 6


UNGUARDED = """
import os, sys
import numpy as np
from jaxchain.training.extensions import snapshot_writers

print("runs")
with open(sys.argv[1] + "/count", "a") as file:
    file.write("x")
writers = [snapshot_writers.ProcessWriter(), snapshot_writers.ProcessQueueWriter()]
for i, writer in enumerate(writers):
    writer(f"w{i}", sys.argv[1], {"a": np.arange(300000)})  # more than a pipe holds
writers[1].finalize()  # the other one is waited for at the end
"""


@pytest.mark.slow
def test_processes_do_not_run_the_script_again(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    done = subprocess.run([sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "runs\n", "")
    assert (tmp_path / "count").read_text() == "x"
    for name in ("w0", "w1"):
        with np.load(tmp_path / name) as file:
            np.testing.assert_array_equal(file["a"], np.arange(300000))
