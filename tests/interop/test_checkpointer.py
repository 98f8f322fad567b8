"""ChainerMN's checkpointer with one process."""

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import training
from jaxchain.interop import chainermn

pytestmark = pytest.mark.filterwarnings("ignore:Checkpointer is deprecated")


def trainer_of(path):
    model = L.Classifier(L.Linear(2, 1, initialW=1), lossfun=F.mean_squared_error)
    model.compute_accuracy = False
    optimizer = jaxchain.optimizers.SGD(0.1).setup(model)
    data = [(np.ones(2, "f"), np.zeros(1, "f"))] * 2
    updater = training.updaters.StandardUpdater(jaxchain.iterators.SerialIterator(data, 1), optimizer)
    return training.Trainer(updater, (14, "iteration"), out=str(path))


def test_it_keeps_the_last_files_resumes_and_clears_up(tmp_path):
    with pytest.warns(DeprecationWarning, match="multi_node_snapshot"):
        checkpointer = chainermn.create_multi_node_checkpointer("run.a", chainermn.create_communicator(), 2)
    assert checkpointer.get_stats() == "No stats available"
    trainer = trainer_of(tmp_path)
    trainer.extend(checkpointer, trigger=(1, "iteration"))
    seen = []

    @trainer.extend
    def look(trainer):
        seen.append(sorted(int(f.name.split(".")[-1]) for f in tmp_path.glob("run.a.0.*")))

    checkpointer.maybe_load(trainer)
    assert trainer.updater.iteration == 0
    trainer.run()
    assert max(map(len, seen)) <= 8 and not list(tmp_path.glob("run.a.*"))
    assert checkpointer.get_stats().startswith("Snapshot duration stats (sec): avg=0.")


def test_a_run_resumes_from_the_newest_file(tmp_path):
    def make():
        comm = chainermn.create_communicator()
        return chainermn.create_multi_node_checkpointer("run", comm, 3, path=str(tmp_path))

    trainer, checkpointer = trainer_of(tmp_path), make()
    for _ in range(10):
        trainer.updater.update()
        checkpointer.save(trainer, trainer.updater.iteration)
    assert sorted(int(f.suffix[1:]) for f in tmp_path.glob("run.0.*")) == [7, 8, 9, 10]
    resumed, second = trainer_of(tmp_path), make()
    (tmp_path / "other.0.99").touch()
    second.maybe_load(resumed)
    W = [t.updater.get_optimizer("main").target.predictor.W.array for t in (resumed, trainer)]
    assert resumed.updater.iteration == 10 and W[0].tolist() == W[1].tolist() and W[0].tolist() != [[1, 1]]


def test_a_run_that_fails_keeps_its_files(tmp_path):
    trainer = trainer_of(tmp_path)
    trainer.extend(chainermn.create_multi_node_checkpointer("run", chainermn.create_communicator()))

    @trainer.extend
    def fail(trainer):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert [f.name for f in tmp_path.glob("run*")] == ["run.0.1"]


def test_without_a_trainer_it_needs_a_folder():
    with pytest.raises(ValueError, match="give path"):
        chainermn.create_multi_node_checkpointer("run", chainermn.create_communicator()).save(L.Linear(1, 1), 1)
