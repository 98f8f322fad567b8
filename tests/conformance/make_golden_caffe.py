"""Write golden/caffe.npz: two small caffemodel files, and what real Chainer 7.8.1's CaffeFunction makes of them.

Also the names of the layers that the vision models take their weights from. Run with an interpreter that has Chainer
7.8.1 and protobuf 3: ``python tests/conformance/make_golden_caffe.py``.
"""

import json
import os
import tempfile

import chainer
import numpy as np
from chainer.links.caffe import CaffeFunction
from chainer.links.caffe.protobuf3 import caffe_pb2 as pb
from chainer.links.model.vision import googlenet, resnet

HERE = os.path.dirname(os.path.abspath(__file__))
RANDOM = np.random.RandomState(0)


def fill(blob, *shape, old=False, positive=False):
    """Fill a blob with random numbers, its shape in the present or in the old form."""
    values = RANDOM.rand(*shape) + 0.5 if positive else RANDOM.randn(*shape)
    blob.data.extend(values.astype(np.float32).ravel().tolist())
    if old:
        blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - len(shape)) + shape
    else:
        blob.shape.dim.extend(shape)


def new_net():
    """Return a network of the present format with every layer that there is."""
    net = pb.NetParameter()

    def layer(kind, name, bottom, top, *blobs, **params):
        added = net.layer.add(name=name, type=kind, bottom=bottom.split(), top=top.split())
        for shape in blobs:
            fill(added.blobs.add(), *shape, positive=kind == "BatchNorm")
        for param, values in params.items():
            for key, value in values.items():
                field = getattr(getattr(added, param), key)
                field.extend(value) if isinstance(value, list) else setattr(getattr(added, param), key, value)
        return added

    layer("Data", "data", "", "data")
    conv = {"kernel_size": [3], "pad": [1], "stride": [2], "group": 2}
    layer("Convolution", "conv", "data", "conv", (6, 2, 3, 3), (6,), convolution_param=conv)
    layer("BatchNorm", "bn", "conv", "bn", (6,), (6,), (1,), batch_norm_param={"use_global_stats": True, "eps": 1e-3})
    layer("Scale", "scale", "bn", "bn", (6,), (6,), scale_param={"bias_term": True})
    layer("ReLU", "relu", "bn", "bn", relu_param={"negative_slope": 0.25})
    layer("Split", "split", "bn", "left right")
    layer("LRN", "lrn", "left", "lrn", lrn_param={"local_size": 3, "alpha": 0.5, "beta": 0.5, "k": 2.0})
    layer("Pooling", "max", "right", "max", pooling_param={"kernel_h": 3, "kernel_w": 2, "stride_h": 1, "stride_w": 1})
    layer("Pooling", "ave", "lrn", "ave", pooling_param={"pool": 1, "kernel_size": 2, "pad": 1, "stride": 2})
    layer("Pooling", "global", "lrn", "global", pooling_param={"pool": 1, "global_pooling": True})
    layer("Slice", "slice", "lrn", "a b c", slice_param={"axis": 1, "slice_point": [2, 4]})
    layer("Eltwise", "sum", "a b", "sum", eltwise_param={"coeff": [0.5, -2.0]})
    layer("Eltwise", "prod", "a c", "prod", eltwise_param={"operation": 0})
    layer("Eltwise", "maximum", "a b c", "maximum", eltwise_param={"operation": 2})
    layer("Concat", "concat", "sum prod maximum", "concat")
    deconv = {"kernel_h": 2, "kernel_w": 3, "bias_term": False, "pad_w": 1}
    layer("Deconvolution", "deconv", "concat", "deconv", (6, 2, 2, 3), convolution_param=deconv)
    layer("Sigmoid", "sigmoid", "deconv", "sigmoid")
    layer("Scale", "product", "sum a", "product", scale_param={"axis": 0})
    layer("Reshape", "reshape", "global", "flat").reshape_param.shape.dim.extend([-1, 6])
    layer("InnerProduct", "fc", "flat", "fc", (5, 6), (5,))
    layer("Dropout", "dropout", "fc", "dropped", dropout_param={"dropout_ratio": 0.25})
    layer("Softmax", "softmax", "fc", "softmax")
    layer("SoftmaxWithLoss", "loss", "fc label", "loss")
    layer("Accuracy", "accuracy", "fc label", "accuracy")
    return net


def old_net():
    """Return a network of the V1 format, in the manner of AlexNet."""
    net, kinds = pb.NetParameter(), pb.V1LayerParameter
    conv = net.layers.add(name="conv/1", type=kinds.CONVOLUTION, bottom=["data"], top=["conv"])
    conv.convolution_param.kernel_size.extend([2, 3])
    fill(conv.blobs.add(), 3, 4, 2, 3, old=True)
    fill(conv.blobs.add(), 3, old=True)
    net.layers.add(name="relu", type=kinds.RELU, bottom=["conv"], top=["conv"])
    pool = net.layers.add(name="pool", type=kinds.POOLING, bottom=["conv"], top=["pool"])
    pool.pooling_param.kernel_size, pool.pooling_param.stride = 3, 2
    net.layers.add(name="concat", type=kinds.CONCAT, bottom=["pool", "pool"], top=["both"])
    fc = net.layers.add(name="fc", type=kinds.INNER_PRODUCT, bottom=["both"], top=["fc"])
    fill(fc.blobs.add(), 4, 36, old=True)
    fill(fc.blobs.add(), 4, old=True)
    net.layers.add(name="half", type=kinds.SLICE, bottom=["fc"], top=["fc1", "fc2"])
    net.layers.add(name="prob", type=kinds.SOFTMAX, bottom=["fc1"], top=["prob"])
    net.layers.add(name="tanh", type=kinds.TANH, bottom=["fc1"], top=["tanh"])
    return net


class Names:
    """Stands for a CaffeFunction: the n-th array that is asked for is the number n, and its path is noted."""

    def __init__(self, path, seen):
        self.path, self.seen = path, seen

    def __getattr__(self, name):
        if name not in ("array", "avg_mean", "avg_var"):
            return Names(f"{self.path}/{name}", self.seen)
        self.seen.append((self.path if name == "array" else f"{self.path}/{name}").strip("/"))
        return np.float32(len(self.seen))

    __getitem__ = __getattr__


def sources(model, transfer):
    """Return the path in the caffemodel of each entry of a model."""
    seen = []
    transfer(Names("", seen), model)
    arrays = chainer.serializers.DictionarySerializer()
    arrays.save(model)
    found = {}
    for key, value in arrays.target.items():
        number = np.asarray(value).ravel()[0]
        if not key.endswith("/N") and number >= 1 and (value == number).all():
            if number > 1 or "conv1/W" in key:  # ones that nothing was copied to
                found[key] = seen[int(number) - 1]
    assert sorted(found.values()) == sorted(seen)
    return found


def main():
    """Write the file."""
    x = RANDOM.randn(2, 4, 7, 6).astype(np.float32)
    known = {"x": x, "label": np.array([1, 3], np.int32)}
    for name, net in (("new", new_net()), ("old", old_net())):
        text = net.SerializeToString()
        with tempfile.NamedTemporaryFile() as file:
            file.write(text)
            file.flush()
            function = CaffeFunction(file.name)
        known[f"{name}.caffemodel"] = np.frombuffer(text, np.uint8)
        with chainer.using_config("train", False):
            function({"data": x, "label": known["label"]}, [])
        for blob, y in function.variables.items():
            if isinstance(y, chainer.Variable):
                known[f"{name} blob {blob}"] = y.array
        arrays = chainer.serializers.DictionarySerializer()
        arrays.save(function)
        known[f"{name} entries"] = np.frombuffer(
            json.dumps({k: np.shape(v) for k, v in arrays.target.items()}).encode(), np.uint8
        )
    names = {"GoogLeNet": sources(googlenet.GoogLeNet(None), googlenet._transfer_googlenet)}
    for n in (50, 101, 152):
        model = resnet.ResNetLayers(None, n)
        names[f"ResNet{n}Layers"] = sources(model, getattr(resnet, f"_transfer_resnet{n}"))
    known["names"] = np.frombuffer(json.dumps(names).encode(), np.uint8)
    np.savez_compressed(os.path.join(HERE, "golden", "caffe.npz"), **known)


if __name__ == "__main__":
    main()
