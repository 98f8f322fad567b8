"""Static mode: an update and an evaluation are one compiled call each; what varies costs at most one compile."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import datasets, iterators, optimizers, training
from jaxchain.training import extensions


class Net(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            # a bias here would have gradients of pure rounding, and Adam makes whole steps of their signs
            self.l1 = L.Linear(None, 8, nobias=True)
            self.bn = L.BatchNormalization(8)
            self.l2 = L.Linear(None, 3)

    def forward(self, x):
        return self.l2(F.dropout(F.relu(self.bn(self.l1(x))), 0.3))


def examples(n, seed=0):
    random = np.random.RandomState(seed)
    return datasets.TupleDataset(random.randn(n, 5).astype(np.float32), random.randint(0, 3, n).astype(np.int32))


class Sweeps(iterators.SerialIterator):
    """An iterator that repeats, but ends each sweep with a short batch."""

    def __next__(self):
        n = len(self.dataset)
        self.batch_size = min(self.full, n - self.current_position)
        return super().__next__()


def sweeps(dataset, batch):
    iterator = Sweeps(dataset, batch)
    iterator.full = batch
    return iterator


def trainer_of(tmp_path, mode, epochs=4, short=False, optimizer=None, **options):
    jaxchain.seed(1)
    np.random.seed(1)
    model = L.Classifier(Net())
    optimizer = (optimizer or optimizers.Adam()).setup(model)
    iterator = (sweeps if short else iterators.SerialIterator)(examples(22), 8)
    updater = training.StandardUpdater(iterator, optimizer, mode=mode, **options)
    trainer = training.Trainer(updater, (epochs, "epoch"), out=str(tmp_path / str(mode)))
    validation = iterators.SerialIterator(examples(11, 1), 4, repeat=False, shuffle=False)
    trainer.extend(extensions.Evaluator(validation, model, mode=mode))
    trainer.extend(extensions.LogReport(trigger=(1, "iteration")))
    return trainer


def log_of(trainer):
    return [{k: v for k, v in entry.items() if k != "elapsed_time"} for entry in trainer.get_extension("LogReport").log]


def programs(explanation):
    """How many programs were compiled: variants that share one count once."""
    return sum(not compile.variant.shared for compile in explanation.compiles)


def test_both_modes_log_the_same(tmp_path):
    logs = {}
    for mode in ("eager", "static"):
        trainer = trainer_of(tmp_path, mode)
        trainer.run()
        logs[mode] = log_of(trainer)
    assert len(logs["eager"]) == 11 and logs["eager"][0].keys() == {
        "main/loss",
        "main/accuracy",
        "epoch",
        "iteration",
    }
    for a, b in zip(logs["eager"], logs["static"], strict=True):
        assert a.keys() == b.keys()
        np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-5, atol=1e-6)


def test_an_update_is_one_compiled_call_for_every_iteration(tmp_path):
    trainer = trainer_of(tmp_path, "static")
    trainer.run()
    assert programs(trainer.updater.explain()) == 1
    evaluator = trainer.get_extension("validation")
    assert programs(evaluator.explain()) == 2  # batches of 4, and the last one of 3
    jaxpr = str(trainer.updater.explain().compiles[0].variant.traced.jaxpr)
    assert "Adam_update" in jaxpr and "softmax_cross_entropy" in jaxpr


def test_a_short_last_batch_costs_one_compile_and_no_more(tmp_path):
    trainer = trainer_of(tmp_path, "static", epochs=6, short=True)
    trainer.run()
    explanation = trainer.updater.explain()
    assert trainer.updater.iteration == 18
    assert programs(explanation) == 2
    seen = [c.reason for c in explanation.compiles]
    assert sum("-> float32[6,5]" in reason for reason in seen) == 1
    compiles = len(explanation.compiles)
    trainer.updater.update()
    trainer.updater.update()
    trainer.updater.update()
    assert len(trainer.updater.explain().compiles) == compiles  # another epoch


def test_snapshots_compile_nothing(tmp_path):
    trainer = trainer_of(tmp_path, "static", epochs=3)
    trainer.extend(extensions.snapshot(n_retains=1), trigger=(1, "iteration"))
    trainer.run()
    assert len(trainer.updater.explain().compiles) <= 2, [c.reason for c in trainer.updater.explain().compiles]


def test_schedules_compile_nothing(tmp_path):
    trainer = trainer_of(tmp_path, "static", epochs=3, optimizer=optimizers.MomentumSGD(lr=0.1))
    trainer.extend(extensions.ExponentialShift("lr", 0.9))
    trainer.extend(extensions.observe_lr(), trigger=(1, "iteration"))
    trainer.run()
    assert len(trainer.updater.explain().compiles) <= 2
    rates = [entry["lr"] for entry in log_of(trainer)]
    np.testing.assert_allclose(rates, 0.1 * 0.9 ** np.arange(len(rates)), rtol=1e-6)


def test_the_mode_follows_the_configuration_unless_it_is_given(tmp_path):
    counts = {}
    for given, configured in ((None, "static"), (None, "eager"), ("eager", "static"), ("static", "eager")):
        trainer = trainer_of(tmp_path, given, epochs=1)
        with jaxchain.using_config("mode", configured):
            trainer.run()
        counts[given, configured] = (
            len(trainer.updater.explain().compiles) > 0,
            len(trainer.get_extension("validation").explain().compiles) > 0,
        )
    assert counts == {
        (None, "static"): (True, True),
        (None, "eager"): (False, False),
        ("eager", "static"): (False, False),
        ("static", "eager"): (True, True),
    }


def test_a_wrong_mode_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"StandardUpdater: expected mode to be None or one of .*, got 'compiled'"):
        trainer_of(tmp_path, "compiled")
    with pytest.raises(ValueError, match="Evaluator: expected mode"):
        extensions.Evaluator(iterators.SerialIterator([1], 1, repeat=False), Net(), mode="fast")


def test_dictionaries_and_single_arrays_are_batches(tmp_path, mode):
    class Model(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.l = L.Linear(2, 1)

        def forward(self, x, t=None):
            y = self.l(x)
            return F.mean((y if t is None else y - t) ** 2)

    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    batches = {
        "dictionary": [{"x": a, "t": a[:1]} for a in x],
        "array": list(x),
    }
    for data in batches.values():
        model = Model()
        optimizer = optimizers.SGD(lr=0.01).setup(model)
        updater = training.StandardUpdater(iterators.SerialIterator(data, 4, shuffle=False), optimizer, mode=mode)
        before = np.asarray(model.l.W.array).copy()
        updater.update()
        assert not np.allclose(before, model.l.W.array)


class TwoOptimizers(training.StandardUpdater):
    """As the updaters of GAN programs: an update that is written by hand."""

    def update_core(self):
        x, _ = self.converter(self.get_iterator("main").next(), self.device)
        a, b = self.get_optimizer("a"), self.get_optimizer("b")
        y = b.target(a.target(x))
        loss = F.mean(y**2)
        for optimizer in (a, b):
            optimizer.target.cleargrads()
        loss.backward()
        a.update()
        b.update()
        jaxchain.report({"loss": loss}, a.target)


def test_an_update_written_by_hand(tmp_path):
    losses = {}
    for mode in ("eager", "static"):
        jaxchain.seed(0)
        pair = {"a": optimizers.SGD(0.1).setup(L.Linear(5, 4)), "b": optimizers.SGD(0.1).setup(L.Linear(4, 2))}
        updater = TwoOptimizers(iterators.SerialIterator(examples(8), 4, shuffle=False), pair, mode=mode)
        trainer = training.Trainer(updater, (6, "iteration"), out=str(tmp_path))
        trainer.extend(extensions.LogReport(trigger=(1, "iteration")))
        trainer.run()
        losses[mode] = [entry["a/loss"] for entry in trainer.get_extension("LogReport").log]
    np.testing.assert_allclose(losses["eager"], losses["static"], rtol=1e-5)
    assert losses["eager"][-1] < losses["eager"][0]


def test_a_loss_function_in_place_of_the_model(tmp_path):
    weights = {}
    for mode in ("eager", "static"):
        jaxchain.seed(0)
        model = L.Linear(5, 1)
        factor = 0.5

        def loss(x, t, model=model, factor=factor):
            return factor * F.mean((model(x)[:, 0] - t.astype(np.float32)) ** 2)

        optimizer = optimizers.SGD(0.05).setup(model)
        iterator = iterators.SerialIterator(examples(8), 4, shuffle=False)
        updater = training.StandardUpdater(iterator, optimizer, loss_func=loss, loss_scale=8.0, mode=mode)
        for _ in range(4):
            updater.update()
        weights[mode] = np.asarray(model.W.array)
        plain = L.Linear(5, 1)
    np.testing.assert_allclose(weights["eager"], weights["static"], rtol=1e-5)
    assert not np.allclose(plain.W.array, weights["eager"])


def test_the_log_file_is_chainers_json(tmp_path, mode):
    trainer = trainer_of(tmp_path, mode, epochs=1)
    trainer.run()
    text = (tmp_path / mode / "log").read_text()
    log = json.loads(text)
    assert text == json.dumps(log, indent=4)
    assert list(log[-1])[-3:] == ["epoch", "iteration", "elapsed_time"]
    assert list(log[-1])[:2] == ["main/loss", "main/accuracy"] and "validation/main/loss" in log[-1]


def test_evaluation_leaves_the_model_alone(tmp_path, mode):
    trainer = trainer_of(tmp_path, mode, epochs=1)
    trainer.run()
    evaluator = trainer.get_extension("validation")
    model = evaluator.get_target("main")
    before = {k: np.asarray(v) for k, v in jaxchain.serializers.npz.serialize(model).items()}
    first, second = evaluator(), evaluator()
    assert {k: float(v) for k, v in first.items()} == {k: float(v) for k, v in second.items()}
    after = jaxchain.serializers.npz.serialize(model)
    assert before.keys() == after.keys()
    for key, value in before.items():
        np.testing.assert_array_equal(value, after[key], err_msg=key)


def test_another_evaluation_function(tmp_path, mode):
    model = L.Classifier(Net())
    iterator = iterators.SerialIterator(examples(6), 4, repeat=False, shuffle=False)

    def evaluate(x, t):
        jaxchain.report({"size": x.shape[0], "train": float(jaxchain.config.train)}, model)

    hooked = []
    evaluator = extensions.Evaluator(iterator, model, eval_func=evaluate, eval_hook=hooked.append, mode=mode)
    assert evaluator() == {"main/size": 3.0, "main/train": 0.0} and hooked == [evaluator]
    assert evaluator.get_all_iterators() == {"main": iterator} and evaluator.get_all_targets() == {"main": model}


def test_an_iterator_that_repeats_is_warned_of():
    with pytest.warns(UserWarning, match="'main' repeats for ever"):
        extensions.Evaluator(iterators.SerialIterator([1], 1), Net())


def test_no_warning_of_many_compiles_in_a_run_with_everything(tmp_path):
    trainer = trainer_of(tmp_path, "static", epochs=8, short=True)
    trainer.extend(extensions.snapshot(n_retains=1))
    trainer.extend(extensions.LinearShift("alpha", (1e-3, 1e-4), (0, 20)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.run()


def test_the_graph_of_an_update_written_by_hand(tmp_path, mode):
    pair = {"a": optimizers.SGD(0.1).setup(L.Linear(5, 4)), "b": optimizers.SGD(0.1).setup(L.Linear(4, 2))}
    updater = TwoOptimizers(iterators.SerialIterator(examples(8), 4, shuffle=False), pair, mode=mode)
    trainer = training.Trainer(updater, (2, "iteration"), out=str(tmp_path))
    trainer.extend(extensions.DumpGraph("a/loss"))
    trainer.run()
    assert (tmp_path / "cg.dot").read_text().count("->") >= 6


class Truncated(training.StandardUpdater):
    """As the updaters of language models: back through two steps in time, then the state is let go of its past."""

    def update_core(self):
        optimizer, iterator = self.get_optimizer("main"), self.get_iterator("main")
        loss = 0
        for _ in range(2):
            x, t = self.converter(iterator.next(), self.device)
            loss += optimizer.target(x, t)
        optimizer.target.cleargrads()
        loss.backward()
        loss.unchain_backward()
        optimizer.update()


def test_a_recurrent_model_with_a_state(tmp_path):
    class Recurrent(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.lstm = L.LSTM(5, 6)
                self.out = L.Linear(6, 3)

        def forward(self, x):
            return self.out(self.lstm(x))

    logs = {}
    for mode in ("eager", "static"):
        jaxchain.seed(0)
        model = L.Classifier(Recurrent())
        optimizer = optimizers.SGD(0.5).setup(model)
        updater = Truncated(iterators.SerialIterator(examples(16), 4, shuffle=False), optimizer, mode=mode)
        trainer = training.Trainer(updater, (6, "iteration"), out=str(tmp_path))
        copied = model.copy()
        copied.predictor.lstm.reset_state()
        validation = iterators.SerialIterator(examples(8, 1), 4, repeat=False, shuffle=False)

        def forget(evaluator, copied=copied):
            copied.predictor.lstm.reset_state()

        trainer.extend(extensions.Evaluator(validation, copied, eval_hook=forget, mode=mode), trigger=(2, "iteration"))
        trainer.extend(extensions.LogReport(trigger=(2, "iteration")))
        trainer.run()
        logs[mode] = [list(entry.values()) for entry in log_of(trainer)]
    assert len(logs["eager"]) == 3 and len(logs["eager"][0]) == 6
    np.testing.assert_allclose(logs["static"], logs["eager"], rtol=1e-4)


def test_a_loss_that_takes_values_out_of_the_program(tmp_path):
    """It cannot be compiled as a whole: it runs eagerly, says so once, and gives the same result."""
    losses = {}
    for mode in ("eager", "static"):
        jaxchain.seed(0)
        model = L.Linear(5, 1)
        seen = []

        def loss(x, t, model=model, seen=seen):
            y = model(x)
            seen.append(np.asarray(y.array).mean())
            return F.mean(y**2)

        updater = training.StandardUpdater(
            iterators.SerialIterator(examples(8), 4, shuffle=False),
            optimizers.SGD(0.1).setup(model),
            loss_func=loss,
            mode=mode,
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(4):
                updater.update()
        assert len([w for w in caught if "eager" in str(w.message)]) == (mode == "static")
        losses[mode] = seen[-4:]
    np.testing.assert_allclose(losses["static"], losses["eager"], rtol=1e-5)
