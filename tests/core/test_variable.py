"""Variable, Parameter, backward and grad: Chainer's behaviour, checked against values."""

import concurrent.futures
import contextlib
import copy
import gc
import pickle
import subprocess
import sys
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
from jaxchain import Parameter, Variable, function_hooks
from jaxchain.core import arrays
from jaxchain.core.deferred import concrete
from jaxchain.core.errors import LeakedVariable, NotInitialized
from jaxchain.core.variable import as_variable


def v(*values, **kwargs):
    return Variable(np.array(values, np.float32), **kwargs)


def test_repr_is_chainers():
    assert repr(Variable(np.ones((2, 3), np.float32))) == "variable([[1., 1., 1.],\n          [1., 1., 1.]])"
    assert repr(v(1, 1, name="h")) == "variable h([1., 1.])"
    assert repr(Variable(np.float32(1.5))) == "variable(1.5)" and str(Variable(np.float32(0))) == "variable(0.)"
    assert repr(Parameter(name="W")) == "variable W(None)"


def test_debug_print_is_chainers():
    x = Variable(np.arange(6, dtype=np.float32).reshape(2, 3), name="x")
    lines = x.debug_print().splitlines()
    statistics = "mean=2.50000000, std=1.70782513"
    assert [lines[0], *lines[3:]] == [
        *("<variable x>", "- shape: (2, 3)", "- dtype: float32", f"- statistics: {statistics}", "- grad: None"),
    ]
    x.zerograd()
    assert x.debug_print().endswith("- grad: 0")
    x.grad = x.array
    assert x.debug_print().endswith(f"- grad: {statistics}")
    nothing = Variable().debug_print().splitlines()
    assert nothing[0].startswith("<variable at 0x") and all(line.endswith(": None") for line in nothing[1:])


def test_a_variable_without_an_array_remembers_whether_it_wants_a_gradient():
    x = Variable(None, requires_grad=False)
    x.array = np.ones(2, np.float32)
    assert not x.requires_grad and not as_variable(None).requires_grad
    x = Variable(None)
    x.array = np.ones(2, np.float32)
    assert x.requires_grad


def test_text_of_what_is_empty_or_has_several_rows():
    empty, rows = np.zeros((0, 3), np.float32), np.ones((2, 2), np.float32)
    assert repr(Variable(empty)) == "variable([], shape=(0, 3))" and repr(Variable(empty[:, 0])) == "variable([])"
    assert str(Variable(rows, name="h")) == "variable h([[1. 1.]\n            [1. 1.]])"
    assert str(v(1)) == "variable([1.])" and str(Variable(np.float32(1.5))) == "variable(1.5)"


def test_labels():
    x = Variable(np.zeros((2, 3), np.float32))
    assert x.label == "(2, 3), float32"
    assert F.sum(x).label == "float32"
    assert F.sum(x).creator.label == "Sum"
    assert (x + 1).creator.label == "_ + 1"


def test_numpy_input_is_copied():
    a = np.ones(4096, np.float32)
    x = Variable(a)
    a[:] = 0
    assert float(x.array.sum()) == 4096


def test_not_an_array():
    with pytest.raises(TypeError, match="list"):
        Variable([1.0, 2.0])


def test_array_can_be_assigned():
    x = v(1, 2)
    x.array = np.zeros((3, 1), np.float32)
    assert x.shape == (3, 1)
    assert x.node.shape == (3, 1)
    x.array *= 2
    np.testing.assert_array_equal(x.array, np.zeros((3, 1)))


def test_backward_leaves_gradients_on_leaves_only():
    x = v(1, -2)
    h = F.relu(x)
    y = F.sum(h * h)
    y.backward()
    np.testing.assert_array_equal(x.grad, [2, 0])
    assert h.grad is None
    assert y.grad is None
    y.backward()
    np.testing.assert_array_equal(x.grad, [4, 0])


def test_retain_grad():
    x = v(1, 2)
    h = x * 3
    y = F.sum(h * h)
    y.backward(retain_grad=True)
    np.testing.assert_array_equal(h.grad, [6, 12])
    assert float(y.grad) == 1


def test_backward_from_a_non_scalar_needs_grad():
    with pytest.raises(RuntimeError, match=r"one-element.*\(2,\).*\n.*test_variable.py"):
        (v(1, 2) * 2).backward()
    x = v(1, 2)
    y = x * 2
    y.grad = np.array([1, 10], np.float32)
    y.backward()
    np.testing.assert_array_equal(x.grad, [2, 20])


def test_grad_is_checked():
    x = v(1, 2)
    with pytest.raises(ValueError, match="Shape of grad"):
        x.grad = np.zeros(3, np.float32)
    with pytest.raises(TypeError, match="Dtype of grad"):
        x.grad = np.zeros(2, np.float16)


def test_gradients_of_any_order():
    x = v(2.0)
    y = F.sum(x**4)
    orders = []
    for _ in range(4):
        (y,) = jaxchain.grad([y], [x], enable_double_backprop=True)
        orders.append(float(y.array[0]))
        y = F.sum(y)
    assert orders == [32, 48, 48, 24]


def test_grad_of_a_variable_in_between_and_of_one_not_on_the_path():
    x = v(1, 2)
    h = x * 3
    other = v(1, 1)
    gh, go = jaxchain.grad([F.sum(h * h)], [h, other])
    np.testing.assert_array_equal(gh.array, [6, 12])
    assert go is None
    assert x.grad is None


def test_grad_takes_grad_outputs_and_grad_inputs():
    x = v(1, 2)
    y = x * x
    (g,) = jaxchain.grad([y], [x], grad_outputs=[v(1, 10)], grad_inputs=[v(100, 100)])
    np.testing.assert_array_equal(g.array, [102, 140])


@pytest.mark.parametrize("options", [{}, {"enable_double_backprop": True}, {"retain_grad": True}])
def test_gradients_that_inputs_have_go_on_to_others(options):
    first = v(0.5)
    x = first + first
    middle = x * 1.0
    y = middle + middle
    gx, gy = jaxchain.grad([y * y], [x, y], [v(10)], [v(1000), v(100)], **options)
    assert (float(gx), float(gy)) == (1000 + 2 * (100 + 40), 100 + 40)  # Chainer's
    assert [g if g is None else float(g[0]) for g in (first.grad, x.grad, middle.grad, y.grad)] == (
        [None, 1280, 280, 140] if "retain_grad" in options else [None] * 4
    )


def test_grad_wants_as_many_gradients():
    x = v(1.0)
    for options in ({"grad_outputs": []}, {"grad_inputs": [v(1), v(1)]}):
        with pytest.raises(ValueError, match=rf"{next(iter(options))}: expected 1 gradients, got "):
            jaxchain.grad([F.sum(x)], [x], **options)
        with pytest.raises(TypeError, match=f"{next(iter(options))}: expected a list or tuple of Variables"):
            jaxchain.grad([F.sum(x)], [x], **dict.fromkeys(options, v(1)))


def test_grad_wants_lists():
    x = v(1.0)
    with pytest.raises(TypeError, match="list or tuple"):
        jaxchain.grad(F.sum(x), [x])


def test_backward_on_several_outputs():
    x = v(1, 2)
    h = x * 2
    jaxchain.backward([F.sum(h), F.sum(h * h)])
    np.testing.assert_array_equal(x.grad, [2 + 8, 2 + 16])


@pytest.mark.parametrize("double", [False, True])
def test_gradients_set_on_the_other_outputs_go_back_with_the_one_that_arrives(double):
    x = Variable(np.arange(6, dtype=np.float32).reshape(3, 2))
    a, b, _ = F.split_axis(x, 3, 0)
    b.grad = np.full((1, 2), 7, np.float32)
    F.sum(a).backward(enable_double_backprop=double)
    np.testing.assert_array_equal(x.grad, [[1, 1], [7, 7], [0, 0]])
    assert b.grad is None  # used up
    b.grad = np.full((1, 2), 5, np.float32)
    F.sum(a).backward(retain_grad=True, enable_double_backprop=double)
    np.testing.assert_array_equal(x.grad, [[2, 2], [12, 12], [0, 0]])
    np.testing.assert_array_equal(b.grad, [[5, 5]])
    (g,) = jaxchain.grad([F.sum(a)], [x])
    np.testing.assert_array_equal(g.array, [[1, 1], [0, 0], [0, 0]])


def test_a_gradient_on_a_variable_in_between_is_replaced_not_added():
    x = v(1, 2)
    h = x * 2
    h.grad = np.full(2, 7, np.float32)
    F.sum(h).backward()
    np.testing.assert_array_equal(x.grad, [2, 2])


def test_a_leaf_of_one_element_is_its_own_gradient():
    x, y = v(2), v(1, 2)
    x.backward(loss_scale=3.0)
    y.backward()
    assert x.grad.tolist() == [3] and y.grad is None
    jaxchain.backward([y, y], [v(1, 2), v(3, 4)])
    assert y.grad.tolist() == [4, 6]


def test_outputs_without_a_gradient_are_left_out_if_gradients_are_given():
    x = v(1, 2)
    one, two = F.sum(x), F.sum(x * 2)
    one.grad = np.float32(5)
    jaxchain.backward([one, two], [None, Variable(np.float32(2))])
    assert x.grad.tolist() == [4, 4] and float(one.grad) == 5
    with pytest.raises(TypeError, match="backward: outputs: expected a list or tuple of Variables, got Variable"):
        jaxchain.backward(x)


def test_copydata_keeps_shape_and_dtype():
    half = Variable(np.zeros((2, 3), np.float16))
    half.copydata(v(1, 2, 3))
    assert half.dtype == np.float16 and half.array.tolist() == [[1, 2, 3]] * 2
    with pytest.raises(ValueError, match=r"cannot put shape \(2,\) into \(2, 3\)\nat .*test_variable.py"):
        half.copydata(v(1, 2))
    with pytest.raises(TypeError, match=r"cannot put float32 into int32\nat .*test_variable.py"):
        Variable(np.int32([1])).copydata(v(1.5))
    mine, other = Parameter(np.ones((2, 2), np.float32)), Parameter(7.0)
    mine.copydata(other)
    assert mine.array.tolist() == other.array.tolist() == [[7, 7], [7, 7]]
    other = Parameter(0.0)
    other.copydata(Parameter())
    assert other.array is None
    other.copydata(mine)
    assert other.array.tolist() == [[7, 7], [7, 7]]


def test_gradients_of_a_parameter_without_an_array():
    for clear in (Parameter.cleargrad, Parameter.zerograd, lambda p: setattr(p, "grad", None)):
        p = Parameter(1.0)
        clear(p)
        assert p.grad is None
    for clear, expected in ((Parameter.cleargrad, None), (Parameter.zerograd, [0, 0])):
        lazy = Parameter(1.0)
        clear(lazy)
        lazy.initialize(2)
        assert (lazy.grad if expected is None else lazy.grad.tolist()) == expected
    other = Parameter(0.0, (2,))
    other.grad = np.float32([1, 2])
    p.addgrad(other)
    assert p.array.tolist() == [1, 1] and p.grad.tolist() == [1, 2]


def test_variables_move_to_chainers_devices():
    x = v(1, 2)
    for device in ("@numpy", jaxchain.get_device("@numpy"), jax.devices("cpu")[0]):
        x.to_device(device)
        assert x.device == jaxchain.get_device("@numpy") and x.array.tolist() == [1, 2]
    x.to_intel64()
    x.to_chx()
    x.from_chx()
    with pytest.raises(RuntimeError):
        x.to_device("nonsense")


def test_double_backprop_through_grad_var():
    x = v(3.0)
    y = F.sum(x * x * x)
    y.backward(enable_double_backprop=True)
    g = x.grad_var
    x.cleargrad()
    F.sum(g * g).backward()
    np.testing.assert_allclose(x.grad, [2 * 27 * 18], rtol=1e-6)


def test_no_backprop_mode():
    x = v(1.0)
    with jaxchain.no_backprop_mode():
        assert (x * 2).creator is None
        with jaxchain.force_backprop_mode():
            assert (x * 2).creator is not None
    assert (x * 2).creator is not None


def test_unchain_and_unchain_backward():
    x = v(1.0)
    h = x * 2
    y = h * 3
    h.unchain()
    F.sum(y).backward()
    assert x.grad is None
    np.testing.assert_array_equal(h.grad, [3])
    h = x * 2
    y = h * 3
    y.unchain_backward()
    assert y.creator is None and h.creator is None


def test_rank_and_creator():
    x = v(1.0)
    y = (x * 2) + 1
    assert x.rank == 0 and y.rank == 2
    assert y.creator.inputs[0].creator_node.inputs[0].get_variable() is x
    assert y.creator.outputs[0]() is y.node


def test_source_line_of_a_node():
    y = v(1.0) * 2
    filename, line, function = y.creator.source
    assert filename == __file__
    assert function == "test_source_line_of_a_node"
    assert line == test_source_line_of_a_node.__code__.co_firstlineno + 1


def test_float_of_a_size_one_variable():
    assert float(v(2.5)) == 2.5
    with pytest.raises(TypeError, match=r"one element.*\(2,\)"):
        float(v(1, 2))


def test_comparisons_and_truth():
    with pytest.raises(TypeError, match="array"):
        _ = v(1.0) > 0
    with pytest.raises(TypeError, match="bool"):
        bool(v(1.0))


def test_as_variable():
    x = v(1.0)
    assert as_variable(x) is x
    assert not as_variable(np.ones(2, np.float32)).requires_grad


def test_a_parameter_takes_one_size_as_chainers_does():
    parameter = Parameter(1.5)
    parameter.initialize(3)
    np.testing.assert_array_equal(parameter.array, [1.5] * 3)


def test_arguments_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"volatile is not supported any more[^@]*\nat .*test_variable.py"):
        Variable(np.ones(2, "f"), volatile="on")
    with pytest.raises(TypeError, match=r"unexpected keyword argument\(s\): foo\nat .*test_variable.py"):
        Variable(np.ones(2, "f"), foo=1)


def test_scalars_of_numpy_are_numbers_to_a_parameter():
    assert Parameter(np.int64(3), (2,)).dtype == Parameter(np.float16(3), (2,)).dtype == np.float32
    assert Parameter(np.array([3, 4], np.int32)).dtype == np.int32


def test_a_parameter_knows_its_dtype_before_it_has_an_array():
    assert Parameter().dtype == np.float32 and Parameter(jaxchain.initializers.Zero(np.float16)).dtype == np.float16


def test_a_variable_of_a_variable_is_refused():
    with pytest.raises(TypeError, match=r"expected an array, got a Variable(.|\n)*test_variable.py"):
        Variable(v(1))


def test_parameter_is_initialised_lazily():
    p = Parameter(2.0, name="W")
    assert p.array is None
    with pytest.raises(RuntimeError, match="W"):
        _ = p.grad
    with pytest.raises(NotInitialized, match=r"W.*\n.*test_variable.py"):
        _ = p * 2
    p.initialize((2, 2))
    np.testing.assert_array_equal(p.array, np.full((2, 2), 2, np.float32))
    assert p.dtype == np.float32


def test_pickle_and_deepcopy():
    p = Parameter(1.0, (2,), name="W")
    p.grad = np.array([1, 2], np.float32)
    for q in (pickle.loads(pickle.dumps(p)), copy.deepcopy(p)):
        assert isinstance(q, Parameter) and q.name == "W"
        np.testing.assert_array_equal(q.array, p.array)
        np.testing.assert_array_equal(q.grad, [1, 2])
    y = pickle.loads(pickle.dumps(v(1, 2) * 3))  # the graph stays behind
    assert y.creator is None and y.rank == 0 and y.requires_grad
    np.testing.assert_array_equal(y.array, [3, 6])


def test_the_graph_goes_with_the_loss():
    x = v(1, 2)
    gc.collect()
    gc.disable()
    try:
        loss = F.sum(F.relu(x * 2))
        node = weakref.ref(loss.creator)
        del loss
        assert node() is None
    finally:
        gc.enable()


def test_only_what_the_gradient_reads_is_kept():
    x, y = v(1, 2), v(3, 4)
    assert len((x + y).creator.kept) == 0
    assert len((x * y).creator.kept) == 2
    h = F.relu(x)
    assert len(h.creator.kept) == 1 and concrete(h.creator.kept)[0] is h.array  # the output, not the input


def test_calls_without_a_gradient_leave_nodes():
    """Chainer 7.8.1 gives the same labels, ranks and gradients."""
    y = F.relu(np.array([[-1, 2]], np.float32))
    z = F.exp(F.reshape(y, (2, 1)))
    assert (y.creator.label, y.rank, z.creator.label, z.rank, z.requires_grad) == ("ReLU", 1, "exp", 3, False)
    assert z.creator.inputs[0].creator.inputs[0].get_variable() is y
    assert len(y.creator.kept) == 0 and y.creator.inputs[0].data is None
    loss = F.sum(z)
    loss.backward(retain_grad=True)
    assert loss.grad is None and z.grad is None
    assert jaxchain.grad([loss], [y]) == [None]
    whole = F.sum(z * v(3))
    whole.backward(retain_grad=True)
    assert z.grad is None and whole.creator.inputs[0].creator.inputs[0].get_variable() is z
    for x in (v(1, requires_grad=False), np.int32([1, 2]), Variable(np.int32([1, 2]))):
        assert F.broadcast_to(x, (3, *x.shape)).creator.label == "BroadcastTo"
    assert F.argmax(v(1, 2)).creator.label == "ArgMax"
    assert pickle.loads(pickle.dumps(y)).array.tolist() == y.array.tolist()
    with jaxchain.no_backprop_mode():
        assert F.relu(y).creator is None


def test_a_result_that_is_only_read_gets_its_node_when_somebody_asks():
    x = v(-1, 2, name="x")
    for _ in range(300):  # far more than it takes until calls do not wait any more
        assert F.relu(x).array.tolist() == [0, 2]
    y = F.relu(x)
    copied = copy.copy(y)
    assert (y.shape, y.dtype, y.ndim, y.size, y.requires_grad) == ((2,), np.float32, 1, 2, True)
    node, function = y.node, y.creator
    assert y.node is node and function.outputs[0]() is node and node.get_variable() is y and node.rank == 1
    assert (
        function.inputs[0].get_variable() is x
        and function.source[2] == test_a_result_that_is_only_read_gets_its_node_when_somebody_asks.__name__
    )
    F.sum(F.relu(x) * y).backward(retain_grad=True)
    np.testing.assert_array_equal(x.grad, [0, 4])
    np.testing.assert_array_equal(y.grad, [0, 2])
    assert copied.creator is None
    z = F.relu(x)
    z.unchain()
    assert z.creator is None and z.rank == 1
    gone = weakref.ref(function)
    del y, node, function
    assert gone() is None


LONG = """
import gc, jax, numpy as np, jaxchain, jaxchain.functions as F
from jaxchain import Variable
x = Variable(np.ones(2, np.float32))
F.sum(x * 1.0).backward(); x.cleargrad(); gc.collect()
before = len(jax.live_arrays())
def run():
    y = x
    for _ in range(100_000):
        y = y * 1.0
    loss = F.sum(y)
    loss.backward()
    assert x.grad.tolist() == [1.0, 1.0]
    x.cleargrad()
    return loss
loss = run()
gc.disable()
del loss
after = len(jax.live_arrays())
assert after <= before + 2, (before, after)
print("freed")
"""


def test_a_chain_of_100000_nodes_is_walked_and_freed_without_recursion():
    done = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True)
    assert done.stdout == "freed\n", done.stderr


def test_a_variable_leaked_out_of_a_trace():
    kept = concurrent.futures.Future()  # not a container that static mode looks into

    @jaxchain.static
    def step(x):
        kept.set_result(x * 2)
        return x

    step(v(1.0))
    with pytest.raises(LeakedVariable, match=r"inside a static call(.|\n)*test_variable.py"):
        _ = kept.result() + 1


@pytest.mark.parametrize("hook", [function_hooks.TimerHook(), None], ids=["at once", "later"])
def test_an_input_whose_buffer_is_gone(hook):
    """A static step of another thread took it, while this one had no more than the array in a link's attribute."""
    taken = jnp.ones(3)
    taken.delete()
    with pytest.raises(LeakedVariable, match=r"^exp: the buffer of an input(.|\n)*test_variable.py"):
        with hook or contextlib.nullcontext():
            y = F.exp(taken)
        _ = y.array


@pytest.mark.parametrize("dtype", [np.float16, np.float32, jnp.bfloat16])
def test_dtypes_are_kept(dtype):
    x = Variable(jnp.array([1, 2], dtype))
    y = F.sum(F.relu(x * 2.5) / 3)
    y.backward()
    assert y.dtype == dtype and x.grad.dtype == dtype


def test_float64_with_x64():
    with jax.enable_x64(True):
        x = Variable(np.array([1.0, 2.0]))
        y = F.sum(x * 0.1)
        y.backward()
        assert y.dtype == np.float64
        np.testing.assert_array_equal(x.grad, [0.1, 0.1])


@pytest.mark.parametrize("size", [30_000, 3_000_000])
def test_a_numpy_buffer_may_be_reused_at_once(size):
    buffer = np.zeros(size, np.float32)
    kept = []
    for i in range(20):
        buffer[:] = i
        kept.append((Variable(buffer), F.relu(buffer), F.identity(buffer)))
    buffer[:] = -1
    for i, variables in enumerate(kept):
        for v in variables:
            array = np.asarray(v.array)
            assert array[0] == array[-1] == i


def test_device_is_a_device_object():
    x = Variable(np.ones(2, np.float32))
    assert isinstance(x.device, jaxchain.backend.Device) and x.device == x.array.device
    assert x.device.xp is jaxchain.get_device("@numpy").xp
    assert jaxchain.Parameter().device is None
    seen = []
    jaxchain.static(lambda x: seen.append(x.device) or x * 2)(x)
    assert seen == [x.device]


@pytest.mark.parametrize("often", [0, 10**9])
def test_numpy_arrays_are_copied_however_often_they_came(often, monkeypatch):
    monkeypatch.setattr(arrays, "OFTEN", often)
    strided, swapped = np.arange(6).reshape(2, 3)[:, ::2], np.array([1, 2], ">f4")
    for value in (np.float32([[1, 2]]), strided, np.float16(3), np.zeros((0, 2), "f"), swapped):
        before = value.copy()
        x = arrays.from_numpy(value)
        if value.ndim:
            value[...] = 7
        np.testing.assert_array_equal(x, before)
        assert x.shape == before.shape and not x.weak_type


def test_arrays_of_new_shapes_come_in_are_copied_and_are_loaded_without_a_compile(tmp_path, caplog):
    link = jaxchain.links.Linear(7, 11)
    jaxchain.serializers.save_npz(tmp_path / "link.npz", link)
    grown = np.random.RandomState(0).rand(3, 13).astype(np.float32)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        x = Variable(grown).array
        y = arrays.copied(x)
        jaxchain.serializers.load_npz(tmp_path / "link.npz", link)
    assert not [r.getMessage() for r in caplog.records if "Compiling" in r.getMessage()]
    np.testing.assert_array_equal(y, grown)
    assert y is not x and y.unsafe_buffer_pointer() != x.unsafe_buffer_pointer()


def test_an_array_of_no_numbers_is_refused_at_the_users_line():
    with pytest.raises(TypeError, match=r"expected an array of numbers, got one of <U1\nat .*test_variable.py:\d+"):
        Variable(np.array(["a"]))


def test_arrays_of_the_other_byte_order_are_numbers():
    x = np.array([1, -2], ">f4")
    np.testing.assert_array_equal(F.relu(x).array, [1, 0])
    with pytest.warns(jaxchain.core.explain.EagerFallback, match="argument x is a numpy.ndarray of >f4"):
        np.testing.assert_array_equal(jaxchain.static(lambda x: F.relu(x))(x).array, [1, 0])
