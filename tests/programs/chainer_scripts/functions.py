"""Written for Chainer: user-defined functions of both styles, type checks, old paths, writes in place."""

import chainer
import numpy
from chainer import Function, FunctionNode, Variable, cuda
from chainer.functions.activation import relu
from chainer.utils import type_check


class MulAdd(Function):
    def check_type_forward(self, in_types):
        type_check.expect(in_types.size() == 3)

    def forward(self, inputs):
        xp = cuda.get_array_module(*inputs)
        x, y, z = inputs
        return (xp.asarray(x * y + z),)

    def backward(self, inputs, grad_outputs):
        x, y, z = inputs
        (gw,) = grad_outputs
        return y * gw, x * gw, gw


class Cube(FunctionNode):
    def forward(self, inputs):
        self.retain_inputs((0,))
        (x,) = inputs
        y = numpy.empty_like(x)
        y[...] = x**3
        return (y,)

    def backward(self, indexes, grad_outputs):
        (x,) = self.get_retained_inputs()
        return (3 * x**2 * grad_outputs[0],)


def main():
    x = Variable(numpy.array([[1, -2], [3, 4]], numpy.float32))
    y = Variable(numpy.array([[2, 2], [1, 5]], numpy.float32))
    z = chainer.functions.sum(relu.relu(MulAdd()(x, y, Cube().apply((x,))[0])))
    z.backward()
    print(float(z.data), x.grad.ravel().tolist(), y.grad.ravel().tolist())
    try:
        MulAdd()(x, y)
    except type_check.InvalidType as error:
        print(type(error).__name__)
    link = chainer.links.Linear(2, 2, initialW=1)
    link.W.data[0] = 3
    link.W.data[...] *= 2
    link.b.array[:] = 1
    print(link(x).data.ravel().tolist())
    (gx,) = chainer.grad([chainer.functions.sum(x**3)], [x], enable_double_backprop=True)
    chainer.functions.sum(gx).backward()
    for name, param in sorted(dict(link.namedparams()).items()):
        print(name, param.shape)


main()
